// Real children: what they write, how they end, and that nothing of them is left.
#include "worker/agent/child.h"

#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <filesystem>

#include "absl/strings/numbers.h"

namespace jenner::agent {
namespace {

class ChildTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "/child_" +
              testing::UnitTest::GetInstance()->current_test_info()->name();
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(MakeFolders(folder_).ok());
  }
  absl::StatusOr<Child> Shell(const std::string& script) {
    return Spawn({{"/bin/sh", "-c", script}, {"EXTRA=1"}, folder_ + "/events", folder_ + "/log"});
  }
  int EndOf(const Child& child) {
    pollfd item{child.pidfd.get(), POLLIN, 0};
    EXPECT_EQ(poll(&item, 1, 20000), 1) << "the child does not end";
    return Reap(child);
  }
  std::string folder_;
};

TEST_F(ChildTest, EventsLogAndExitCode) {
  const auto child = Shell("echo event >&3; echo out; echo err >&2; echo $EXTRA >&3; exit 7");
  ASSERT_TRUE(child.ok()) << child.status();
  EXPECT_EQ(EndOf(*child), 7);
  EXPECT_EQ(*ReadSmallFile(folder_ + "/events", 100), "event\n1\n");
  EXPECT_EQ(*ReadSmallFile(folder_ + "/log", 100), "out\nerr\n");
}

TEST_F(ChildTest, InheritsNothingElse) {
  const auto child = Shell("ls /proc/self/fd | wc -l >&3");
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(EndOf(*child), 0);
  int count = 0;
  ASSERT_TRUE(absl::SimpleAtoi(*ReadSmallFile(folder_ + "/events", 100), &count));
  EXPECT_LE(count, 5);  // 0 to 3, and the folder that ls itself reads
}

TEST_F(ChildTest, MissingProgramIsAnError) {
  const auto child = Spawn({{folder_ + "/none"}, {}, folder_ + "/events", folder_ + "/log"});
  EXPECT_EQ(child.status().code(), absl::StatusCode::kNotFound);
  EXPECT_NE(child.status().message().find("/none"), std::string::npos);
}

TEST_F(ChildTest, KillTakesTheWholeGroup) {
  const auto child = Shell("trap '' TERM; sleep 1000 & echo $! >&3; wait");
  ASSERT_TRUE(child.ok());
  std::string grandchild;
  for (int i = 0; i < 2000 && grandchild.empty(); ++i) {
    grandchild = *ReadSmallFile(folder_ + "/events", 100);
    usleep(10'000);  // tidy: allow; waits for the shell, bounded
  }
  int pid = 0;
  ASSERT_TRUE(absl::SimpleAtoi(grandchild, &pid));
  const auto identity = IdentifyProcess(pid);
  ASSERT_TRUE(identity.ok());
  SignalProcess(child->pidfd, SIGTERM);
  EXPECT_FALSE(HasEnded(child->pidfd));
  KillGroup(child->identity);
  EXPECT_EQ(EndOf(*child), 128 + SIGKILL);
  const auto left = OpenProcess(*identity);
  if (left.ok()) {
    pollfd item{left->get(), POLLIN, 0};
    EXPECT_EQ(poll(&item, 1, 20000), 1) << "the grandchild lives on";
  }
}

TEST_F(ChildTest, ARecycledPidIsNotKilled) {
  const auto child = Shell("sleep 1000");
  ASSERT_TRUE(child.ok());
  ProcessIdentity other = child->identity;
  other.start_ticks += 1;
  KillGroup(other);
  EXPECT_FALSE(HasEnded(child->pidfd));
  KillGroup(child->identity);
  EXPECT_EQ(EndOf(*child), 128 + SIGKILL);
}

}  // namespace
}  // namespace jenner::agent
