// Collective over NCCL, used directly: no ProcessGroup, no watchdog thread, no store. One
// communicator a process, made without blocking; operations run on a stream of their own, ordered
// after the caller's by events, and are polled, never blocked on, so that a peer that is gone ends
// in an abort and Failure(kPeerLost) at the latest when the operation's time is over.
#ifndef JENNER_WORKER_CUDA_NCCL_COLLECTIVE_H_
#define JENNER_WORKER_CUDA_NCCL_COLLECTIVE_H_

#include <memory>

#include "worker/trainer/collective.h"
#include "worker/trainer/cuda_plugin.h"

namespace jenner::cuda {

// Tensors may be on the device or on the CPU: those of the CPU are copied through pinned memory.
// dtypes: float32, bfloat16, float16, float64, int32, int64. NCCL itself does not notice that
// ranks give different numbers of elements; the operation then runs into its time limit or gives
// nonsense. Failures as CudaPlugin::MakeNccl.
std::unique_ptr<trainer::Collective> MakeNcclCollective(const trainer::NcclOptions& options);

}  // namespace jenner::cuda

#endif  // JENNER_WORKER_CUDA_NCCL_COLLECTIVE_H_
