#include "worker/model/config.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jenner::model {
namespace {

constexpr char kGood[] = R"({"architectures":["LlamaForCausalLM"],"vocab_size":100,"hidden_size":32,
  "intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":2)";

std::string With(const std::string& more) { return std::string(kGood) + more + "}"; }

TEST(ConfigTest, ReadsAndWritesBack) {
  const auto config = ParseConfig(
      With(R"(,"tie_word_embeddings":true,"rope_theta":5e5,"eos_token_id":[1,2])"), "f");
  ASSERT_TRUE(config.ok()) << config.status();
  EXPECT_EQ(config->head_dim, 8);
  EXPECT_EQ(config->eos_token_ids, (std::vector<int64_t>{1, 2}));
  const std::string written = FormatConfig(*config, "float32");
  EXPECT_THAT(written, testing::HasSubstr(R"("torch_dtype": "float32")"));
  auto again = ParseConfig(written, "f");
  ASSERT_TRUE(again.ok()) << again.status();
  again->source = config->source;
  EXPECT_EQ(*again, *config);
}

ModelConfig Parsed(const std::string& architecture, const std::string& more) {
  const auto config = ParseConfig(R"({"architectures":[")" + architecture + R"("],"vocab_size":100,
      "hidden_size":64,"intermediate_size":64,"num_hidden_layers":7,"num_attention_heads":4,
      "num_key_value_heads":2,"max_position_embeddings":512)" +
                                      more + "}",
                                  "f");
  EXPECT_TRUE(config.ok()) << config.status();
  return config.value_or(ModelConfig{});
}

TEST(ConfigTest, WhatFilesOftenLeaveOutIsTheFamilys) {
  EXPECT_FALSE(Parsed("Qwen2ForCausalLM", "").tie_word_embeddings);
  EXPECT_TRUE(Parsed("GemmaForCausalLM", "").tie_word_embeddings);
  EXPECT_EQ(Parsed("Qwen2ForCausalLM", "").head_dim, 16);
  EXPECT_EQ(Parsed("Qwen3ForCausalLM", "").head_dim, 128);
  const ModelConfig gemma3 = Parsed("Gemma3ForCausalLM", "");
  EXPECT_EQ(gemma3.head_dim, 256);
  EXPECT_EQ(gemma3.rope.theta, 1e6);
  EXPECT_EQ(gemma3.sliding_rope.theta, 1e4);
  EXPECT_EQ(gemma3.attention_scale, 1.0 / 16);
  EXPECT_EQ(gemma3.sliding_layers, (std::vector<bool>{true, true, true, true, true, false, true}));
  const ModelConfig gemma2 = Parsed("Gemma2ForCausalLM", R"(,"attn_logit_softcapping":null)");
  EXPECT_EQ(gemma2.attention_softcap, 0);
  EXPECT_EQ(gemma2.logit_softcap, 30);
}

TEST(ConfigTest, AWindowThatIsNotUsedIsNone) {
  const std::string window = R"(,"sliding_window":4096,"max_window_layers":5)";
  EXPECT_EQ(Parsed("Qwen2ForCausalLM", window).sliding_window, 0);
  const ModelConfig used = Parsed("Qwen2ForCausalLM", window + R"(,"use_sliding_window":true)");
  EXPECT_FALSE(used.IsSliding(4));
  EXPECT_TRUE(used.IsSliding(5));
  EXPECT_FALSE(Parsed("MistralForCausalLM", R"(,"sliding_window":null)").IsSliding(0));
  EXPECT_TRUE(Parsed("MistralForCausalLM", R"(,"sliding_window":16)").IsSliding(0));
}

TEST(ConfigTest, RopeAsTransformers5WritesIt) {
  const ModelConfig config =
      Parsed("Gemma3ForCausalLM", R"(,"rope_parameters":{"sliding_attention":{"rope_theta":500.0},
        "full_attention":{"rope_theta":2e6,"rope_type":"linear","factor":8.0}})");
  EXPECT_EQ(config.rope, (Rope{2e6, 8, std::nullopt}));
  EXPECT_EQ(config.sliding_rope, (Rope{500, 1, std::nullopt}));
  EXPECT_EQ(Parsed("LlamaForCausalLM", R"(,"rope_parameters":{"rope_theta":7.0})").rope.theta, 7);
}

TEST(ConfigTest, RefusesByNamingFileAndField) {
  const struct {
    std::string json;
    std::string message;
  } cases[] = {
      {"[", "model/config.json: not a JSON object"},
      {"{}", "unsupported architecture \"\"; supported: LlamaForCausalLM, Mistral"},
      {R"({"architectures":["GPT2LMHeadModel"]})", "unsupported architecture \"GPT2LMHeadModel\""},
      {With(R"(,"rope_scaling":{"rope_type":"yarn","factor":2})"),
       "unsupported rope type \"yarn\""},
      {With(R"(,"attention_bias":true)"), "attention_bias: biases are not supported, found true"},
      {With(R"(,"hidden_act":"gelu")"), "hidden_act: unsupported activation, found \"gelu\""},
      {With(R"(,"sliding_window":4096)"), "sliding_window: a Llama has no sliding window"},
      {With(R"(,"attention_dropout":0.1)"), "attention_dropout: dropout of attention"},
      {With(R"(,"rope_scaling":{"type":"linear","factor":-2})"), "rope_scaling: factor: expected"},
      {With(R"(,"rope_scaling":[])"), "rope_scaling: expected an object"},
      {With(R"(,"quantization_config":{"bits":4})"), "quantised weights are not supported"},
      {R"({"architectures":["Gemma3ForCausalLM"],"vocab_size":10,"hidden_size":8,
           "intermediate_size":8,"num_hidden_layers":2,"num_attention_heads":2,
           "layer_types":["full_attention","chunked_attention"]})",
       "layer_types: unsupported \"chunked_attention\""},
      {R"({"architectures":["Gemma3ForConditionalGeneration"]})", "unsupported architecture"},
      {With(R"(,"rms_norm_eps":0)"), "rms_norm_eps: expected a number above 0"},
      {With(R"(,"head_dim":7)"), "head_dim: expected an even number"},
      {With(R"(,"max_position_embeddings":99999999999)"),
       "max_position_embeddings: expected an integer"},
      {R"({"architectures":["LlamaForCausalLM"],"vocab_size":-4})",
       "vocab_size: expected an integer from 1"},
      {R"({"architectures":["LlamaForCausalLM"],"vocab_size":10,"hidden_size":"32"})",
       "hidden_size"},
  };
  for (const auto& one : cases) {
    const absl::Status status = ParseConfig(one.json, "model/config.json").status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << one.json;
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr(one.message));
    EXPECT_THAT(std::string(status.message()), testing::HasSubstr("model/config.json"));
  }
}

TEST(ConfigTest, KvHeadsMustDivideHeads) {
  const std::string json =
      R"({"architectures":["LlamaForCausalLM"],"vocab_size":100,"hidden_size":32,
    "intermediate_size":64,"num_hidden_layers":2,"num_attention_heads":4,"num_key_value_heads":3})";
  EXPECT_THAT(std::string(ParseConfig(json, "f").status().message()),
              testing::HasSubstr("num_key_value_heads"));
}

TEST(ConfigTest, MissingFolder) {
  EXPECT_EQ(LoadConfig("/nowhere/at/all").status().code(), absl::StatusCode::kNotFound);
}

}  // namespace
}  // namespace jenner::model
