// CudaPlugin: all that needs CUDA, behind an interface, so that the trainer itself links none of
// it. libjenner_cuda.so (worker/cuda, built with JENNER_CUDA=ON) implements it and is loaded at run
// time; docs/gpu.md.
#ifndef JENNER_WORKER_TRAINER_CUDA_PLUGIN_H_
#define JENNER_WORKER_TRAINER_CUDA_PLUGIN_H_

#include <chrono>
#include <functional>
#include <memory>
#include <string>

#include "worker/trainer/collective.h"

namespace jenner::trainer {

// Both sides are compiled from one tree against one libtorch: the interface is C++, and a plugin
// that says anything else is refused.
inline constexpr char kCudaPluginBuild[] = "jenner " JENNER_VERSION ", torch 2.13.0, interface 2";
inline constexpr char kCudaPluginFile[] = "libjenner_cuda.so";

struct NcclOptions {
  int rank = 0;
  int size = 1;
  int device = 0;         // of this process; no two ranks of a gang share one
  std::string unique_id;  // rank 0's MakeUniqueId()
  std::chrono::milliseconds rendezvous_timeout = std::chrono::seconds(300);
  std::chrono::milliseconds timeout = std::chrono::seconds(600);  // of one operation
};

// Not thread-safe. Lives as long as the process.
class CudaPlugin {
 public:
  virtual ~CudaPlugin() = default;
  // Failure(kNoDevice): there is no driver or it refuses; the message is the driver's.
  virtual int NumDevices() = 0;
  // Loads what tensors on CUDA devices need and makes `device` the current one of this thread.
  // Failure(kNoDevice): there is no such device, or libtorch_cuda.so cannot be loaded.
  virtual void Open(int device) = 0;
  // 128 bytes that name a new NCCL communicator; valid while this process lives. `interface`: of
  // the network, by name, which NCCL is to use; "": its own choice. Works without a GPU.
  virtual std::string MakeUniqueId(const std::string& interface) = 0;
  // Blocks until all ranks are there. Failure: kPeerLost, kUsage (NCCL calls the use invalid, as
  // with two ranks on one device). REQUIRES: Open(options.device).
  virtual std::unique_ptr<Collective> MakeNccl(const NcclOptions& options,
                                               const std::string& interface) = 0;
};

// What the library exports, with C linkage.
inline constexpr char kCudaPluginBuildSymbol[] = "jenner_cuda_build";  // const char* ()
inline constexpr char kCudaPluginSymbol[] = "jenner_cuda_plugin";      // CudaPlugin* (), static

// The plugin of the library at `path`. Failure(kNoDevice): it cannot be loaded, or was built for
// another trainer.
CudaPlugin* LoadCudaPlugin(const std::string& path);

// How rank 0's unique id travels to the others, in the place of the Gloo store's address: "nccl:"
// and the id in web-safe Base64, 176 characters (hexadecimal would not fit into the 255 bytes that
// an address may have).
std::string NcclAddress(const std::string& unique_id);
// Failure(kUsage): `address` is nothing of the kind.
std::string UniqueIdOf(const std::string& address);

struct NcclJoin {
  NcclOptions nccl;       // without the unique id
  std::string address;    // of rank 0; ranks above 0
  std::string interface;  // name of the network interface; "": NCCL's choice
  std::function<void(const std::string&)> on_address;  // rank 0: before the others come
};

// Rank 0 makes the id and announces it; the others are given it. Failures of MakeNccl and
// UniqueIdOf.
std::unique_ptr<Collective> JoinNccl(CudaPlugin* plugin, NcclJoin join);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_CUDA_PLUGIN_H_
