#include "worker/trainer/cuda_plugin.h"

#include <dlfcn.h>

#include <utility>

#include "absl/strings/escaping.h"
#include "absl/strings/strip.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;

constexpr absl::string_view kScheme = "nccl:";
constexpr size_t kUniqueIdBytes = 128;  // NCCL_UNIQUE_ID_BYTES

template <typename Function>
Function* Symbol(void* library, const char* name, const std::string& path) {
  void* found = dlsym(library, name);
  if (found == nullptr) throw Failure(ExitCode::kNoDevice, path + " lacks " + name);
  return reinterpret_cast<Function*>(found);
}

}  // namespace

CudaPlugin* LoadCudaPlugin(const std::string& path) {
  // Global: the libraries that the plugin loads later find its own.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_GLOBAL);
  if (library == nullptr) {
    throw Failure(ExitCode::kNoDevice, std::string("the CUDA plugin cannot be loaded: ") +
                                           dlerror() + " (docs/gpu.md says how to build it)");
  }
  const std::string build = Symbol<const char*()>(library, kCudaPluginBuildSymbol, path)();
  if (build != kCudaPluginBuild) {
    throw Failure(ExitCode::kNoDevice,
                  path + " is of \"" + build + "\"; expected \"" + kCudaPluginBuild + "\"");
  }
  return Symbol<CudaPlugin*()>(library, kCudaPluginSymbol, path)();
}

std::string NcclAddress(const std::string& unique_id) {
  return std::string(kScheme) + absl::WebSafeBase64Escape(unique_id);
}

std::string UniqueIdOf(const std::string& address) {
  absl::string_view text = address;
  std::string id;
  if (!absl::ConsumePrefix(&text, kScheme) || !absl::WebSafeBase64Unescape(text, &id) ||
      id.size() != kUniqueIdBytes) {
    throw Failure(ExitCode::kUsage,
                  "--store: expected nccl:<unique id of 128 bytes>, found \"" + address + "\"");
  }
  return id;
}

std::unique_ptr<Collective> JoinNccl(CudaPlugin* plugin, NcclJoin join) {
  if (join.nccl.rank == 0) {
    join.nccl.unique_id = plugin->MakeUniqueId(join.interface);
    if (join.on_address) join.on_address(NcclAddress(join.nccl.unique_id));
  } else {
    join.nccl.unique_id = UniqueIdOf(join.address);
  }
  std::unique_ptr<Collective> collective = plugin->MakeNccl(join.nccl, join.interface);
  collective->Barrier();
  return collective;
}

}  // namespace jenner::trainer
