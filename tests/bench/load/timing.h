// Timing: durations as they are collected from many threads, and what is said of them.
#ifndef JENNER_TESTS_BENCH_LOAD_TIMING_H_
#define JENNER_TESTS_BENCH_LOAD_TIMING_H_

#include <mutex>
#include <nlohmann/json.hpp>
#include <vector>

#include "absl/time/time.h"

namespace jenner::load {

// Thread-safe.
class Timing {
 public:
  void Add(absl::Duration duration);
  // Drops what there is.
  void Clear();
  // {"count", "p50", "p99", "max"} in milliseconds; zeros if nothing was added.
  nlohmann::ordered_json Summary() const;

 private:
  mutable std::mutex mutex_;
  std::vector<double> milliseconds_;
};

}  // namespace jenner::load

#endif  // JENNER_TESTS_BENCH_LOAD_TIMING_H_
