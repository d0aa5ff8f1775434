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
  EXPECT_EQ(*ParseConfig(FormatConfig(*config, "float32"), "f"), *config);
}

TEST(ConfigTest, RefusesByNamingFileAndField) {
  const struct {
    std::string json;
    std::string message;
  } cases[] = {
      {"[", "model/config.json: not a JSON object"},
      {"{}", "unsupported architecture \"\"; supported: LlamaForCausalLM"},
      {R"({"architectures":["GPT2LMHeadModel"]})", "unsupported architecture \"GPT2LMHeadModel\""},
      {With(R"(,"rope_scaling":{"rope_type":"yarn","factor":2})"),
       "unsupported rope type \"yarn\""},
      {With(R"(,"attention_bias":true)"), "attention_bias: biases are not supported"},
      {With(R"(,"hidden_act":"gelu")"), "hidden_act: unsupported activation \"gelu\""},
      {With(R"(,"sliding_window":4096)"), "sliding_window"},
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
