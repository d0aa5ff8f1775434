#include "worker/trainer/schedule.h"

#include <algorithm>
#include <cmath>
#include <numbers>
#include <numeric>

#include "core/check.h"
#include "core/steps.h"
#include "worker/model/counter_rng.h"

namespace jenner::trainer {
namespace {

constexpr uint64_t kOrderStream = 0x6f72646572;  // "order"

}  // namespace

double LearningRate(const core::TrainingSpec& settings, int64_t step, int64_t total_steps) {
  const int64_t warmup = settings.warmup_steps;
  if (step < warmup)
    return settings.learning_rate * static_cast<double>(step) / static_cast<double>(warmup);
  const double span = static_cast<double>(std::max<int64_t>(1, total_steps - warmup));
  const double done = static_cast<double>(step - warmup) / span;
  switch (settings.schedule) {
    case core::Schedule::kConstant:
      return settings.learning_rate;
    case core::Schedule::kLinear:
      return settings.learning_rate * std::max(0.0, 1 - done);
    case core::Schedule::kCosine:
      return settings.learning_rate * std::max(0.0, 0.5 * (1 + std::cos(std::numbers::pi * done)));
  }
  JENNER_CHECK(false && "unknown schedule");
  return 0;
}

std::vector<int64_t> EpochOrder(int64_t seed, int64_t epoch, int64_t num_rows) {
  std::vector<int64_t> order(static_cast<size_t>(num_rows));
  std::iota(order.begin(), order.end(), 0);
  const uint64_t key =
      model::MakeKey({static_cast<uint64_t>(seed), kOrderStream, static_cast<uint64_t>(epoch)});
  for (size_t i = order.size(); i > 1; --i) {
    // Multiply-shift to [0, i): the bias is below 2^-32 for any dataset that fits.
    const uint64_t bits = model::RandomBits(key, i) >> 32;
    std::swap(order[i - 1], order[(bits * i) >> 32]);
  }
  return order;
}

StepRows RowsOfStep(const core::TrainingSpec& settings, int64_t seed, int64_t step,
                    const std::vector<int64_t>& lengths, int rank, int world_size) {
  const auto num_rows = static_cast<int64_t>(lengths.size());
  const int64_t per_epoch = core::StepsPerEpoch(settings, num_rows);
  StepRows rows;
  rows.epoch = step / per_epoch;
  const std::vector<int64_t> order = EpochOrder(seed, rows.epoch, num_rows);
  const int64_t begin = (step % per_epoch) * settings.batch_size;
  const int64_t end = std::min(begin + settings.batch_size, num_rows);
  std::vector<int64_t> batch(order.begin() + begin, order.begin() + end);
  std::stable_sort(batch.begin(), batch.end(), [&](int64_t a, int64_t b) {
    return lengths[static_cast<size_t>(a)] > lengths[static_cast<size_t>(b)];
  });
  const int64_t parts = int64_t{world_size} * settings.accumulation_steps;
  rows.micro_batches.resize(static_cast<size_t>(settings.accumulation_steps));
  for (size_t i = 0; i < batch.size(); ++i) {
    const int64_t place = static_cast<int64_t>(i) % (2 * parts);
    const int64_t part = place < parts ? place : 2 * parts - 1 - place;
    if (part % world_size != rank) continue;
    rows.micro_batches[static_cast<size_t>(part / world_size)].push_back(batch[i]);
  }
  return rows;
}

}  // namespace jenner::trainer
