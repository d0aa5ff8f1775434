// What can be tested of the CUDA plugin without a GPU: how it is refused, and the address by which
// ranks meet. Built with JENNER_CUDA, also that it loads and what it says of a machine without a
// driver.
#include "worker/trainer/cuda_plugin.h"

#include <gtest/gtest.h>

#include <fstream>
#include <functional>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

Failure FailureOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const Failure& failure) {
    return failure;
  }
  return {core::ExitCode::kSuccess, "no failure"};
}

TEST(CudaPlugin, OneThatIsMissingOrForeignIsNoDevice) {
  const Failure missing = FailureOf([] { LoadCudaPlugin("/nowhere/libjenner_cuda.so"); });
  EXPECT_EQ(missing.code(), core::ExitCode::kNoDevice);
  EXPECT_NE(std::string(missing.what()).find("/nowhere/libjenner_cuda.so"), std::string::npos);
  EXPECT_NE(std::string(missing.what()).find("docs/gpu.md"), std::string::npos);
  const Failure foreign = FailureOf([] { LoadCudaPlugin("libm.so.6"); });
  EXPECT_EQ(foreign.code(), core::ExitCode::kNoDevice);
  EXPECT_NE(std::string(foreign.what()).find(kCudaPluginBuildSymbol), std::string::npos);
}

TEST(CudaPlugin, UniqueIdsTravelAsAddresses) {
  std::string id(128, '\0');
  for (size_t i = 0; i < id.size(); ++i) id[i] = static_cast<char>(i * 37);
  const std::string address = NcclAddress(id);
  EXPECT_EQ(UniqueIdOf(address), id);
  EXPECT_EQ(address.size(), 176u);  // the wire takes 255
  EXPECT_EQ(address.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
                                      "0123456789-_:"),
            std::string::npos);
  for (const std::string& bad : {std::string(), std::string("127.0.0.1:80"), std::string("nccl:"),
                                 NcclAddress(id.substr(1)), address + "A", address.substr(5)}) {
    EXPECT_EQ(FailureOf([&] { UniqueIdOf(bad); }).code(), core::ExitCode::kUsage) << bad;
  }
}

// Rank 0 announces before it waits for the others; they get what it made.
TEST(CudaPlugin, RankZeroMakesTheIdAndTheOthersAreGivenIt) {
  class Fake : public CudaPlugin {
   public:
    int NumDevices() override { return 2; }
    void Open(int) override {}
    std::string MakeUniqueId(const std::string& interface) override {
      calls += "make:" + interface + " ";
      return std::string(128, 'u');
    }
    std::unique_ptr<Collective> MakeNccl(const NcclOptions& options, const std::string&) override {
      calls += "join" + std::to_string(options.rank) + options.unique_id.substr(127) + " ";
      return MakeSingleCollective();
    }
    std::string calls;
  };
  Fake plugin;
  NcclJoin first;
  first.interface = "eth1";
  std::string address;
  first.on_address = [&](const std::string& announced) {
    plugin.calls += "tell ";
    address = announced;
  };
  JoinNccl(&plugin, first);
  NcclJoin second;
  second.nccl.rank = 1;
  second.address = address;
  JoinNccl(&plugin, second);
  EXPECT_EQ(plugin.calls, "make:eth1 tell join0u join1u ");
}

#ifdef JENNER_WITH_CUDA
TEST(CudaPlugin, LoadsAndSaysWhatIsMissing) {
  CudaPlugin* plugin = LoadCudaPlugin(JENNER_BINARY_DIR "/bin/libjenner_cuda.so");
  ASSERT_NE(plugin, nullptr);
  const std::string id = plugin->MakeUniqueId("lo");
  EXPECT_EQ(UniqueIdOf(NcclAddress(id)), id);
  if (std::ifstream("/proc/driver/nvidia/version").good()) GTEST_SKIP() << "there is a driver";
  for (const Failure& failure :
       {FailureOf([&] { plugin->NumDevices(); }), FailureOf([&] { plugin->Open(0); })}) {
    EXPECT_EQ(failure.code(), core::ExitCode::kNoDevice) << failure.what();
    EXPECT_NE(std::string(failure.what()).find("driver"), std::string::npos) << failure.what();
  }
}
#endif

}  // namespace
}  // namespace jenner::trainer
