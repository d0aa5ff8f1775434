// Await: waiting for something that is only polled, with a limit. NCCL's non-blocking communicators
// and CUDA's events tell their state when asked and never block; a lost peer shows as a state that
// does not change.
#ifndef JENNER_WORKER_CUDA_AWAIT_H_
#define JENNER_WORKER_CUDA_AWAIT_H_

#include <algorithm>
#include <chrono>

namespace jenner::cuda {

inline constexpr int kPollsWithoutPause = 2000;  // a small all-reduce is over within them
inline constexpr std::chrono::microseconds kFirstPause{20};
inline constexpr std::chrono::microseconds kLongestPause{1000};

// Calls `poll()` until it returns true; false: `timeout` passed first. What poll throws comes
// through. `now()` gives the time, `pause(microseconds)` lets it pass.
template <typename Poll, typename Now, typename Pause>
bool Await(const Poll& poll, std::chrono::milliseconds timeout, const Now& now,
           const Pause& pause) {
  const auto deadline = now() + timeout;
  std::chrono::microseconds rest = kFirstPause;
  for (int polls = 0; !poll(); ++polls) {
    if (now() >= deadline) return false;
    if (polls < kPollsWithoutPause) continue;
    pause(rest);
    rest = std::min(2 * rest, kLongestPause);
  }
  return true;
}

}  // namespace jenner::cuda

#endif  // JENNER_WORKER_CUDA_AWAIT_H_
