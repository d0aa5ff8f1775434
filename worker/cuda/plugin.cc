// libjenner_cuda.so: the CudaPlugin of worker/trainer/cuda_plugin.h. NCCL and the CUDA runtime are
// linked; libtorch_cuda.so and the gigabytes behind it are loaded once a device is opened, so that
// a host without a GPU gets as far as a clear message.
#include <ATen/Context.h>
#include <cuda_runtime_api.h>
#include <dlfcn.h>
#include <nccl.h>
#include <stdlib.h>

#include <string>

#include "worker/cuda/check.h"
#include "worker/cuda/nccl_collective.h"
#include "worker/trainer/cuda_plugin.h"
#include "worker/trainer/failure.h"

namespace jenner::cuda {
namespace {

using core::ExitCode;
using trainer::Failure;

// NCCL reads it when it is first used. What the operator set stays.
void ChooseInterface(const std::string& interface) {
  if (!interface.empty()) setenv("NCCL_SOCKET_IFNAME", ("=" + interface).c_str(), 0);
}

class Plugin : public trainer::CudaPlugin {
 public:
  int NumDevices() override {
    int count = 0;
    CheckCuda(cudaGetDeviceCount(&count), "CUDA devices");
    return count;
  }

  void Open(int device) override {
    // A training that goes on from a checkpoint repeats the bits of one that was never interrupted:
    // no atomic additions of floats. cuBLAS asks for workspaces of its own then.
    setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8", 0);
    at::globalContext().setDeterministicAlgorithms(true, /*warn_only=*/false);
    at::globalContext().setDeterministicFillUninitializedMemory(false);
    const int count = NumDevices();
    if (device >= count) {
      throw Failure(ExitCode::kNoDevice, "cuda:" + std::to_string(device) + ": this machine has " +
                                             std::to_string(count) + " CUDA devices");
    }
    // Its initialisers register the kernels of CUDA tensors.
    if (dlopen("libtorch_cuda.so", RTLD_NOW | RTLD_GLOBAL) == nullptr) {
      throw Failure(ExitCode::kNoDevice, std::string("libtorch_cuda.so cannot be loaded: ") +
                                             dlerror() + " (tools/setup --cuda-run)");
    }
    at::globalContext().lazyInitDevice(at::kCUDA);
    CheckCuda(cudaSetDevice(device), "CUDA device");
  }

  std::string MakeUniqueId(const std::string& interface) override {
    ChooseInterface(interface);
    ncclUniqueId id;
    const ncclResult_t result = ncclGetUniqueId(&id);
    if (result != ncclSuccess) {
      throw Failure(ExitCode::kInternal,
                    std::string("NCCL's unique id: ") + ncclGetErrorString(result));
    }
    return std::string(reinterpret_cast<const char*>(&id), sizeof(id));
  }

  std::unique_ptr<trainer::Collective> MakeNccl(const trainer::NcclOptions& options,
                                                const std::string& interface) override {
    ChooseInterface(interface);
    return MakeNcclCollective(options);
  }
};

}  // namespace
}  // namespace jenner::cuda

extern "C" __attribute__((visibility("default"))) const char* jenner_cuda_build() {
  return jenner::trainer::kCudaPluginBuild;
}

extern "C" __attribute__((visibility("default"))) jenner::trainer::CudaPlugin*
jenner_cuda_plugin() {
  static jenner::cuda::Plugin plugin;
  return &plugin;
}
