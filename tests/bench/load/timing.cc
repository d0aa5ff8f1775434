#include "tests/bench/load/timing.h"

#include <algorithm>
#include <cmath>

namespace jenner::load {

void Timing::Add(absl::Duration duration) {
  const std::lock_guard<std::mutex> lock(mutex_);
  milliseconds_.push_back(absl::ToDoubleMilliseconds(duration));
}

void Timing::Clear() {
  const std::lock_guard<std::mutex> lock(mutex_);
  milliseconds_.clear();
}

nlohmann::ordered_json Timing::Summary() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  std::vector<double> sorted = milliseconds_;
  std::sort(sorted.begin(), sorted.end());
  const auto at = [&](double share) {
    if (sorted.empty()) return 0.0;
    const auto index = static_cast<size_t>(share * static_cast<double>(sorted.size() - 1));
    return std::round(sorted[index] * 100) / 100;
  };
  return {{"count", sorted.size()}, {"p50_ms", at(0.5)}, {"p99_ms", at(0.99)}, {"max_ms", at(1)}};
}

}  // namespace jenner::load
