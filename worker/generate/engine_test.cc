// Generation: equal to the full forward pass, and the same answer whatever else is in the batch.
#include "worker/generate/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <random>

#include "worker/model/peft.h"

namespace jenner::generate {
namespace {

const std::string kGolden = JENNER_SOURCE_DIR "/tests/golden/model/";

std::unique_ptr<model::Transformer> Tiny(core::Dtype dtype = core::Dtype::kFloat32,
                                         const std::string& name = "tiny-tied") {
  auto transformer = model::Transformer::Load(kGolden + name, dtype);
  EXPECT_TRUE(transformer.ok()) << transformer.status();
  auto adapter = model::ReadAdapter(kGolden + name + "/adapter", (*transformer)->config(), "");
  EXPECT_TRUE(adapter.ok()) << adapter.status();
  (*transformer)->AttachAdapter(*std::move(adapter));
  return *std::move(transformer);
}

std::vector<Request> SomeRequests(size_t count, int64_t seed = 11) {
  std::mt19937_64 random(5);
  std::vector<Request> requests(count);
  for (size_t i = 0; i < count; ++i) {
    requests[i].seed = seed;
    requests[i].prompt_idx = i / 2;
    requests[i].group = i % 3;
    requests[i].sample_idx = i % 2;
    const size_t length = 1 + random() % 90;  // beyond one prefill block too
    for (size_t j = 0; j < length; ++j)
      requests[i].prompt.push_back(static_cast<int32_t>(3 + random() % 120));
  }
  return requests;
}

std::map<size_t, Answer> Answers(const model::Transformer& transformer,
                                 const std::vector<Request>& requests, const Options& options) {
  std::map<size_t, Answer> answers;
  Engine engine(transformer);
  const absl::Status status = engine.Generate(requests, options, [&](Answer answer) {
    const size_t key = answer.request_idx;
    EXPECT_TRUE(answers.emplace(key, std::move(answer)).second) << "answered twice";
    return true;
  });
  EXPECT_TRUE(status.ok()) << status;
  return answers;
}

class FamilyTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Families, FamilyTest,
                         testing::Values("tiny-tied", "tiny-llama3", "tiny-mistral", "tiny-qwen2",
                                         "tiny-qwen3", "tiny-gemma", "tiny-gemma2", "tiny-gemma3",
                                         "tiny-adapter"),
                         [](const auto& given) { return given.param.substr(5); });

// The longest prompt and 24 tokens: beyond every sliding window.
TEST_P(FamilyTest, GreedyTokensEqualTransformers) {
  auto transformer = Tiny(core::Dtype::kFloat32, GetParam());
  std::ifstream file(kGolden + GetParam() + "/figures.json");
  const nlohmann::json figures = nlohmann::json::parse(file);
  for (const bool has_adapter : {true, false}) {
    transformer->SetAdapterEnabled(has_adapter);
    const nlohmann::json& expected = figures.at(has_adapter ? "lora_greedy" : "greedy");
    std::vector<Request> requests(figures.at("rows").size());
    for (size_t i = 0; i < requests.size(); ++i) {
      for (const nlohmann::json& id : figures["rows"][i]) requests[i].prompt.push_back(id);
    }
    Options options;
    options.max_new_tokens = 24;
    const auto answers = Answers(*transformer, requests, options);
    for (size_t i = 0; i < requests.size(); ++i) {
      std::vector<int32_t> until_end;
      for (const nlohmann::json& id : expected[i]) {
        const auto& ends = transformer->config().eos_token_ids;
        if (std::find(ends.begin(), ends.end(), id.get<int64_t>()) != ends.end()) break;
        until_end.push_back(id);
      }
      EXPECT_EQ(answers.at(i).token_ids, until_end) << i << (has_adapter ? " with adapter" : "");
    }
  }
}

TEST_P(FamilyTest, CachedDecodingEqualsTheFullForwardPass) {
  const auto transformer = Tiny(core::Dtype::kFloat32, GetParam());
  std::vector<int32_t> tokens;
  for (int i = 0; i < 100; ++i) tokens.push_back(3 + (i * 37) % 120);
  at::NoGradGuard no_grad;
  const at::Tensor ids = at::tensor(std::vector<int64_t>(tokens.begin(), tokens.end()), at::kLong);
  const at::Tensor full = transformer->LogitsFromHidden(transformer->Forward({ids, {0, 100}}));
  for (const size_t prefilled : {size_t{1}, size_t{7}, size_t{64}, size_t{65}, size_t{100}}) {
    std::vector<float> cached = Engine(*transformer).CachedLogits(tokens, prefilled);
    const at::Tensor mine =
        at::from_blob(cached.data(), {100, transformer->config().vocab_size}, at::kFloat);
    const int64_t from = static_cast<int64_t>(prefilled) - 1;
    const double difference = (mine.narrow(0, from, 100 - from) - full.narrow(0, from, 100 - from))
                                  .abs()
                                  .max()
                                  .item<double>();
    EXPECT_LE(difference, 1e-4) << prefilled;
  }
}

class InvarianceTest : public testing::TestWithParam<core::Dtype> {};
INSTANTIATE_TEST_SUITE_P(Dtypes, InvarianceTest,
                         testing::Values(core::Dtype::kFloat32, core::Dtype::kBfloat16),
                         [](const auto& given) {
                           return given.param == core::Dtype::kFloat32 ? "Float32" : "Bfloat16";
                         });

TEST_P(InvarianceTest, AnswersDoNotDependOnTheBatch) {
  const auto transformer = Tiny(GetParam());
  const std::vector<Request> requests = SomeRequests(40);
  for (const double temperature : {0.0, 1.0}) {
    Options options;
    options.max_new_tokens = 24;
    options.temperature = temperature;
    options.top_p = temperature == 0 ? 1 : 0.9;
    options.batch_size = 16;
    const auto reference = Answers(*transformer, requests, options);
    ASSERT_EQ(reference.size(), requests.size());
    for (const int32_t batch_size : {1, 5, 33, 64}) {
      options.batch_size = batch_size;
      const auto answers = Answers(*transformer, requests, options);
      for (size_t i = 0; i < requests.size(); ++i) {
        EXPECT_EQ(answers.at(i).token_ids, reference.at(i).token_ids)
            << "batch " << batch_size << ", request " << i;
        EXPECT_EQ(answers.at(i).finish_reason, reference.at(i).finish_reason);
      }
    }
    // Other neighbours in another order.
    options.batch_size = 8;
    const std::vector<Request> few = {requests[31], requests[2]};
    const auto answers = Answers(*transformer, few, options);
    EXPECT_EQ(answers.at(0).token_ids, reference.at(31).token_ids);
    EXPECT_EQ(answers.at(1).token_ids, reference.at(2).token_ids);
  }
}

TEST(EngineTest, GreedyIsTheArgmaxOfTheFullForwardPass) {
  const auto transformer = Tiny();
  const std::vector<Request> requests = SomeRequests(6);
  Options options;
  options.max_new_tokens = 12;
  const auto answers = Answers(*transformer, requests, options);
  at::NoGradGuard no_grad;
  for (size_t i = 0; i < requests.size(); ++i) {
    std::vector<int64_t> tokens(requests[i].prompt.begin(), requests[i].prompt.end());
    for (const int32_t id : answers.at(i).token_ids) {
      const int64_t length = static_cast<int64_t>(tokens.size());
      const at::Tensor hidden = transformer->Forward({at::tensor(tokens, at::kLong), {0, length}});
      EXPECT_EQ(
          transformer->LogitsFromHidden(hidden.narrow(0, length - 1, 1)).argmax().item<int64_t>(),
          id);
      tokens.push_back(id);
    }
  }
}

TEST(EngineTest, StopsAtEndTokensAndAtTheLimit) {
  const auto transformer = Tiny();
  const std::vector<Request> requests = SomeRequests(8);
  Options options;
  options.max_new_tokens = 10;
  const auto free_running = Answers(*transformer, requests, options);
  const std::vector<int32_t>& tokens = free_running.at(3).token_ids;
  ASSERT_GE(tokens.size(), 5u);
  EXPECT_EQ(free_running.at(3).finish_reason, FinishReason::kLength);
  options.end_token_ids = {tokens[4]};
  const auto stopped = Answers(*transformer, requests, options).at(3);
  EXPECT_EQ(stopped.finish_reason, FinishReason::kStop);
  const size_t first =
      static_cast<size_t>(std::find(tokens.begin(), tokens.end(), tokens[4]) - tokens.begin());
  EXPECT_EQ(stopped.token_ids,
            std::vector<int32_t>(tokens.begin(), tokens.begin() + static_cast<int64_t>(first)));
}

TEST(EngineTest, SamplesDifferBySampleAndSeedButRepeat) {
  const auto transformer = Tiny();
  std::vector<Request> requests(20);
  for (size_t i = 0; i < requests.size(); ++i) {
    requests[i].prompt = {5, 6, 7};
    requests[i].sample_idx = i;
  }
  Options options;
  options.max_new_tokens = 8;
  options.temperature = 1.5;
  const auto first = Answers(*transformer, requests, options);
  const auto again = Answers(*transformer, requests, options);
  for (Request& request : requests) request.seed = 1;
  const auto other = Answers(*transformer, requests, options);
  int different_samples = 0;
  int different_seeds = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    EXPECT_EQ(first.at(i).token_ids, again.at(i).token_ids);
    different_samples += first.at(i).token_ids != first.at(0).token_ids ? 1 : 0;
    different_seeds += first.at(i).token_ids != other.at(i).token_ids ? 1 : 0;
  }
  EXPECT_GT(different_samples, 15);
  EXPECT_GT(different_seeds, 15);
}

TEST(EngineTest, BadRequestsAreRefusedBeforeAnyWork) {
  const auto transformer = Tiny();
  const auto status = [&](std::vector<int32_t> prompt, Options options) {
    return Engine(*transformer)
        .Generate({{std::move(prompt), 0, 0, 0, 0}}, options, [](Answer) { return true; })
        .code();
  };
  EXPECT_EQ(status({}, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status({128}, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status({-1}, {}), absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(status(std::vector<int32_t>(256, 3), {}), absl::StatusCode::kInvalidArgument);
  Options bad;
  bad.top_p = 0;
  EXPECT_EQ(status({3}, bad), absl::StatusCode::kInvalidArgument);
}

TEST(EngineTest, TheCallerMayStopIt) {
  const auto transformer = Tiny();
  int count = 0;
  const absl::Status status =
      Engine(*transformer).Generate(SomeRequests(10), {}, [&](Answer) { return ++count < 3; });
  EXPECT_EQ(status.code(), absl::StatusCode::kCancelled);
  EXPECT_EQ(count, 3);
}

}  // namespace
}  // namespace jenner::generate
