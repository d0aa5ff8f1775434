// Watchers: readers of WatchExperiment streams that take everything at once, and how late it comes.
#ifndef JENNER_TESTS_BENCH_LOAD_WATCHERS_H_
#define JENNER_TESTS_BENCH_LOAD_WATCHERS_H_

#include <atomic>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "tests/bench/load/timing.h"

namespace jenner::load {

// Thread-safe.
class Watchers {
 public:
  explicit Watchers(const std::string& address);
  ~Watchers();
  Watchers(const Watchers&) = delete;
  Watchers& operator=(const Watchers&) = delete;

  // Another one, of that experiment, on a connection of its own.
  void Add(const std::string& experiment);

  int num_terminal() const { return num_terminal_; }  // that were told the end
  int num_broken() const { return num_broken_; }      // whose stream ended without it
  int64_t num_updates() const { return num_updates_; }
  // From the start or end of a job, by the server's clock, to the snapshot that tells it.
  Timing lag;

 private:
  class Stream;

  const std::string address_;
  std::atomic<int> num_terminal_ = 0;
  std::atomic<int> num_broken_ = 0;
  std::atomic<int64_t> num_updates_ = 0;
  std::mutex mutex_;
  std::vector<std::unique_ptr<Stream>> streams_;
};

}  // namespace jenner::load

#endif  // JENNER_TESTS_BENCH_LOAD_WATCHERS_H_
