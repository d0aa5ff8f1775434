// Leaves a data directory in $JENNER_DATA_DIR as a server of this tree writes it: an experiment
// that has ended, "done", and one that runs, "running". Built by tests/upgrade/make in trees of
// earlier commits, with what their server_fixture.h offers.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

TEST_F(ServerTest, MakesADataDir) {
  const char* folder = std::getenv("JENNER_DATA_DIR");
  ASSERT_NE(folder, nullptr);
  RunWhole("done");
  ASSERT_TRUE(stubs_->Create(Request("running")).ok());
  FakeAgent agent(*stubs_, "w1");
  ASSERT_TRUE(agent.Synchronize().ok());
  ASSERT_EQ(agent.last.assignments_size(), 2);
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    std::vector<std::string> lines = FakeAgent::Run(assignment, 4);
    lines.resize(lines.size() / 2);
    ASSERT_TRUE(agent.Telemetry(assignment.key(), lines, "half way\n").ok());
  }
  server_->Shutdown();
  server_.reset();
  std::filesystem::copy(dir_.path() + "/data", folder, std::filesystem::copy_options::recursive);
}

}  // namespace
}  // namespace jenner::tests
