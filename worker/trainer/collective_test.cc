// Two real processes over loopback: sums, broadcast, a lost peer. The child is this executable
// again.
#include "worker/trainer/collective.h"

#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <cstring>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

constexpr char kRoleVariable[] = "JENNER_COLLECTIVE_TEST_STORE";

// What both ranks compute together.
void Exchange(Collective& collective) {
  const int64_t rank = collective.rank();
  EXPECT_EQ(collective.size(), 2);
  EXPECT_EQ(collective.Sum(std::vector<int64_t>{1, rank}), (std::vector<int64_t>{2, 1}));
  EXPECT_EQ(collective.Sum(0.5), 1.0);
  EXPECT_EQ(collective.Broadcast(std::vector<int64_t>{7 + rank}), std::vector<int64_t>{7});
  EXPECT_EQ(collective.Gather({rank, -rank - 2}), (std::vector<int64_t>{0, -2, 1, -3}));
  at::Tensor first = at::full({1000}, static_cast<double>(rank + 1), at::kFloat);
  at::Tensor second = at::arange(5, at::kFloat) * static_cast<double>(rank);
  auto first_sum = collective.StartSum(first);
  auto second_sum = collective.StartSum(second);
  first_sum->Wait();
  second_sum->Wait();
  EXPECT_TRUE(at::equal(first, at::full({1000}, 3.0, at::kFloat)));
  EXPECT_TRUE(at::equal(second, at::arange(5, at::kFloat)));
  at::Tensor shared = at::full({3}, static_cast<double>(rank), at::kFloat);
  collective.Broadcast(shared);
  EXPECT_TRUE(at::equal(shared, at::zeros({3})));
  collective.Barrier();
}

GlooOptions Options(int rank) {
  GlooOptions options;
  options.rank = rank;
  options.size = 2;
  options.host = rank == 0 ? "127.0.0.1" : "";
  options.rendezvous_timeout = std::chrono::seconds(30);
  options.timeout = std::chrono::seconds(30);
  return options;
}

pid_t StartPeer(const std::string& store) {
  setenv(kRoleVariable, store.c_str(), 1);
  const pid_t pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "collective_test", static_cast<char*>(nullptr));
    _exit(127);
  }
  return pid;
}

TEST(Collective, OneRankDoesNothing) {
  auto single = MakeSingleCollective();
  EXPECT_EQ(single->size(), 1);
  EXPECT_EQ(single->Sum(std::vector<int64_t>{4}), std::vector<int64_t>{4});
  EXPECT_EQ(single->Gather({4, 5}), (std::vector<int64_t>{4, 5}));
  at::Tensor tensor = at::ones({2});
  single->StartSum(tensor)->Wait();
  EXPECT_TRUE(at::equal(tensor, at::ones({2})));
}

// The peer exchanges once, then hangs until it is killed in the middle of a sum.
TEST(Collective, TwoProcessesAgreeAndALostPeerIsNoticed) {
  pid_t peer = -1;
  GlooOptions options = Options(0);
  options.on_listening = [&](const std::string& store) { peer = StartPeer(store); };
  auto collective = MakeGlooCollective(options);
  ASSERT_GT(peer, 0);
  Exchange(*collective);
  at::Tensor tensor = at::ones({1 << 20});
  auto sum = collective->StartSum(tensor);
  ASSERT_EQ(kill(peer, SIGKILL), 0);
  const auto killed = std::chrono::steady_clock::now();
  try {
    sum->Wait();
    FAIL() << "a sum without its peer succeeded";
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), core::ExitCode::kPeerLost) << failure.what();
  }
  EXPECT_LT(std::chrono::steady_clock::now() - killed, std::chrono::seconds(5));
  int status = 0;
  ASSERT_EQ(waitpid(peer, &status, 0), peer);
  EXPECT_TRUE(WIFSIGNALED(status));
}

TEST(Collective, BadAddressesAreUsageFaults) {
  GlooOptions options = Options(1);
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "nowhere:80"}) {
    options.store_address = address;
    try {
      MakeGlooCollective(options);
      FAIL() << address;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), core::ExitCode::kUsage) << failure.what();
    }
  }
}

TEST(Collective, NobodyAtTheStoreIsALostPeer) {
  GlooOptions options = Options(1);
  options.store_address = "127.0.0.1:1";
  options.rendezvous_timeout = std::chrono::milliseconds(200);
  try {
    MakeGlooCollective(options);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), core::ExitCode::kPeerLost) << failure.what();
  }
}

}  // namespace

// The other process: exchanges, then waits to be killed.
int RunPeer(const char* store) {
  GlooOptions options = Options(1);
  options.store_address = store;
  auto collective = MakeGlooCollective(options);
  Exchange(*collective);
  if (testing::Test::HasFailure()) return 1;
  for (;;) pause();
}

}  // namespace jenner::trainer

int main(int argc, char** argv) {
  at::set_num_threads(1);
  if (const char* store = std::getenv(jenner::trainer::kRoleVariable)) {
    return jenner::trainer::RunPeer(store);
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
