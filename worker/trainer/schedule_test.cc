#include "worker/trainer/schedule.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <numeric>
#include <set>

namespace jenner::trainer {
namespace {

using nlohmann::json;

core::TrainingSpec Settings(int32_t batch_size, int32_t accumulation_steps) {
  core::TrainingSpec settings;
  settings.batch_size = batch_size;
  settings.accumulation_steps = accumulation_steps;
  return settings;
}

TEST(LearningRate, EqualsTransformers) {
  std::ifstream file(JENNER_SOURCE_DIR "/tests/golden/train/schedules.json");
  const json golden = json::parse(file);
  const std::map<std::string, core::Schedule> names = {{"constant", core::Schedule::kConstant},
                                                       {"linear", core::Schedule::kLinear},
                                                       {"cosine", core::Schedule::kCosine}};
  ASSERT_EQ(golden.at("cases").size(), 9u);
  for (const json& one : golden.at("cases")) {
    core::TrainingSpec settings;
    settings.schedule = names.at(one.at("schedule"));
    settings.warmup_steps = one.at("warmup_steps");
    settings.learning_rate = one.at("peak");
    const int64_t total = one.at("total_steps");
    for (int64_t step = 0; step < total; ++step) {
      const double expected = one.at("rates")[static_cast<size_t>(step)];
      EXPECT_NEAR(LearningRate(settings, step, total), expected, 1e-12 * settings.learning_rate)
          << one.at("schedule") << " warmup " << settings.warmup_steps << " step " << step;
    }
  }
}

TEST(EpochOrder, IsAPermutationThatDependsOnSeedAndEpoch) {
  std::vector<int64_t> sorted = EpochOrder(3, 0, 1000);
  const std::vector<int64_t> order = sorted;
  std::sort(sorted.begin(), sorted.end());
  std::vector<int64_t> identity(1000);
  std::iota(identity.begin(), identity.end(), 0);
  EXPECT_EQ(sorted, identity);
  EXPECT_EQ(order, EpochOrder(3, 0, 1000));
  EXPECT_NE(order, identity);
  EXPECT_NE(order, EpochOrder(3, 1, 1000));
  EXPECT_NE(order, EpochOrder(4, 0, 1000));
}

// All rows of all ranks and micro-batches of a step.
std::multiset<int64_t> RowSet(const core::TrainingSpec& settings, int64_t step,
                              const std::vector<int64_t>& lengths, int world_size) {
  std::multiset<int64_t> rows;
  for (int rank = 0; rank < world_size; ++rank) {
    const StepRows own = RowsOfStep(settings, 7, step, lengths, rank, world_size);
    EXPECT_EQ(own.micro_batches.size(), static_cast<size_t>(settings.accumulation_steps));
    for (const auto& micro_batch : own.micro_batches)
      rows.insert(micro_batch.begin(), micro_batch.end());
  }
  return rows;
}

TEST(RowsOfStep, TheSetOfAStepIsTheSameForAnyNumberOfRanks) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 29; ++i) lengths.push_back(3 + (i * 37) % 50);
  std::multiset<int64_t> epoch;
  for (int64_t step = 0; step < 4; ++step) {
    const std::multiset<int64_t> one = RowSet(Settings(8, 1), step, lengths, 1);
    EXPECT_EQ(one.size(), step < 3 ? 8u : 5u);
    EXPECT_EQ(one, RowSet(Settings(8, 1), step, lengths, 2));
    EXPECT_EQ(one, RowSet(Settings(8, 2), step, lengths, 2));
    EXPECT_EQ(one, RowSet(Settings(8, 1), step, lengths, 8));
    epoch.insert(one.begin(), one.end());
  }
  EXPECT_EQ(epoch.size(), 29u);
  EXPECT_EQ(std::set<int64_t>(epoch.begin(), epoch.end()).size(), 29u);
  EXPECT_EQ(RowsOfStep(Settings(8, 1), 7, 3, lengths, 0, 1).epoch, 0);
  EXPECT_EQ(RowsOfStep(Settings(8, 1), 7, 4, lengths, 0, 1).epoch, 1);
}

TEST(RowsOfStep, SharesTokensOutEvenly) {
  std::vector<int64_t> lengths;
  for (int64_t i = 0; i < 64; ++i) lengths.push_back(1 + i);
  for (int64_t step = 0; step < 4; ++step) {
    std::vector<int64_t> tokens(2, 0);
    for (int rank = 0; rank < 2; ++rank) {
      const StepRows rows = RowsOfStep(Settings(16, 1), 1, step, lengths, rank, 2);
      for (const int64_t row : rows.micro_batches[0]) {
        tokens[static_cast<size_t>(rank)] += lengths[static_cast<size_t>(row)];
      }
    }
    EXPECT_LT(std::abs(tokens[0] - tokens[1]), 64) << tokens[0] << " and " << tokens[1];
  }
}

}  // namespace
}  // namespace jenner::trainer
