// Agents: simulated workers. Each has a connection of its own and synchronizes as often as the
// server says; what it is given runs until it is told to be done. No process is started.
#ifndef JENNER_TESTS_BENCH_LOAD_AGENTS_H_
#define JENNER_TESTS_BENCH_LOAD_AGENTS_H_

#include <atomic>
#include <condition_variable>
#include <map>
#include <memory>
#include <mutex>
#include <queue>
#include <string>
#include <thread>
#include <vector>

#include "tests/bench/load/timing.h"

namespace jenner::load {

// Thread-safe.
class Agents {
 public:
  // `count` workers of one slot with the model "tiny".
  Agents(const std::string& address, int count);
  ~Agents();
  Agents(const Agents&) = delete;
  Agents& operator=(const Agents&) = delete;

  // From now on every rank ends well when its agent synchronizes next; of the first attempts every
  // `fail_every`th is killed instead (0: none).
  void Finish(int fail_every);

  int64_t num_synchronized() const { return num_synchronized_; }
  int64_t num_failed_calls() const { return num_failed_calls_; }
  const std::string& last_error() const { return last_error_; }
  Timing latency;   // of Synchronize
  Timing recovery;  // from the report of a failure to the assignment of the next attempt

 private:
  struct Agent;
  using Due = std::pair<absl::Time, Agent*>;

  void Run();
  void Synchronize(Agent* agent);
  void Answered(Agent* agent, absl::Time begin, bool ok, const std::string& error);
  void Report(Agent* agent);

  std::vector<std::unique_ptr<Agent>> agents_;
  std::atomic<int64_t> num_synchronized_ = 0;
  std::atomic<int64_t> num_failed_calls_ = 0;
  std::mutex mutex_;  // of what follows
  std::condition_variable changed_;
  std::priority_queue<Due, std::vector<Due>, std::greater<Due>> due_;
  std::map<std::string, absl::Time> failed_;  // job -> when
  bool is_finishing_ = false;
  bool is_stopped_ = false;
  int fail_every_ = 0;
  int64_t num_ended_ = 0;
  int num_under_way_ = 0;
  std::string last_error_;
  std::thread thread_;
};

}  // namespace jenner::load

#endif  // JENNER_TESTS_BENCH_LOAD_AGENTS_H_
