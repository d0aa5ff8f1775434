#include "worker/agent/gpus.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace jenner::agent {
namespace {

struct Gpus : testing::Test {
  void SetUp() override {
    std::string path = testing::TempDir() + "/gpus-XXXXXX";
    ASSERT_NE(mkdtemp(path.data()), nullptr);
    folder = path;
  }
  void TearDown() override { std::filesystem::remove_all(folder); }
  void Touch(const std::string& name) { std::ofstream(folder + "/" + name) << ""; }
  std::string folder;
};

TEST_F(Gpus, OnlyNumberedDeviceFilesAreGpus) {
  EXPECT_EQ(CountGpus(folder), 0);
  EXPECT_EQ(CountGpus(folder + "/nowhere"), 0);
  for (const char* name : {"nvidia0", "nvidia1", "nvidia10", "nvidia", "nvidiactl", "nvidia-uvm",
                           "nvidia-caps", "nvidia2x", "null"}) {
    Touch(name);
  }
  EXPECT_EQ(CountGpus(folder), 3);
}

TEST_F(Gpus, TheFlagIsANumberOrAuto) {
  Touch("nvidia0");
  EXPECT_EQ(*ParseGpus("auto", folder), 1);
  EXPECT_EQ(*ParseGpus("0", folder), 0);
  EXPECT_EQ(*ParseGpus("8", folder), 8);
  for (const char* bad : {"", "all", "-1", "65", "1.5", "auto "}) {
    EXPECT_EQ(ParseGpus(bad, folder).status().code(), absl::StatusCode::kInvalidArgument) << bad;
  }
}

TEST_F(Gpus, JobsAskForThemByTheirDevice) {
  EXPECT_TRUE(WantsGpu(R"({"device": "cuda"})"));
  for (const char* other : {"{}", R"({"device": "cpu"})", R"({"device": 1})", "[]", "not JSON"}) {
    EXPECT_FALSE(WantsGpu(other)) << other;
  }
}

TEST_F(Gpus, TheLowestFreeOneIsGiven) {
  EXPECT_EQ(FreeGpu(0, {}), std::nullopt);
  EXPECT_EQ(FreeGpu(3, {}), 0);
  EXPECT_EQ(FreeGpu(3, {0, 2}), 1);
  EXPECT_EQ(FreeGpu(2, {0, 1}), std::nullopt);
}

}  // namespace
}  // namespace jenner::agent
