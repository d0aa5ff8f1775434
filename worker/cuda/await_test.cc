#include "worker/cuda/await.h"

#include <gtest/gtest.h>

#include <stdexcept>

namespace jenner::cuda {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A clock that only pauses and polls move.
struct Await_ : testing::Test {
  std::chrono::steady_clock::time_point time;
  int num_polls = 0;
  microseconds longest{0};

  bool Run(int busy_polls, milliseconds timeout) {
    return Await(
        [&] {
          time += microseconds(1);
          return num_polls++ >= busy_polls;
        },
        timeout, [&] { return time; },
        [&](microseconds pause) {
          time += pause;
          longest = std::max(longest, pause);
        });
  }
};

TEST_F(Await_, WhatIsDoneIsAskedOnce) {
  EXPECT_TRUE(Run(0, milliseconds(0)));
  EXPECT_EQ(num_polls, 1);
}

TEST_F(Await_, ShortWaitsDoNotPause) {
  EXPECT_TRUE(Run(kPollsWithoutPause, milliseconds(100)));
  EXPECT_EQ(longest, microseconds(0));
}

TEST_F(Await_, LongWaitsPauseLongerUpToALimit) {
  EXPECT_TRUE(Run(kPollsWithoutPause + 20, milliseconds(100)));
  EXPECT_EQ(longest, kLongestPause);
}

TEST_F(Await_, EndsWithinOnePauseOfTheLimit) {
  const auto started = time;
  EXPECT_FALSE(Run(1 << 30, milliseconds(100)));
  EXPECT_GE(time - started, milliseconds(100));
  EXPECT_LE(time - started, milliseconds(100) + kLongestPause + microseconds(10));
}

TEST(Await, WhatThePollThrowsComesThrough) {
  const auto broken = []() -> bool { throw std::runtime_error("asynchronous error"); };
  EXPECT_THROW(Await(
                   broken, milliseconds(1), [] { return std::chrono::steady_clock::now(); },
                   [](microseconds) {}),
               std::runtime_error);
}

}  // namespace
}  // namespace jenner::cuda
