#include "worker/cuda/nccl_collective.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <cuda_runtime_api.h>
#include <nccl.h>
#include <poll.h>
#include <time.h>

#include <cstring>
#include <string>
#include <utility>

#include "worker/cuda/await.h"
#include "worker/cuda/check.h"
#include "worker/trainer/failure.h"

namespace jenner::cuda {
namespace {

using core::ExitCode;
using std::chrono::milliseconds;
using trainer::Failure;

// Of the end of a communicator that works: the peers are about to do the same.
constexpr milliseconds kFinalizeTimeout{5000};

template <typename Poll>
bool AwaitNow(const Poll& poll, milliseconds timeout) {
  return Await(
      poll, timeout, [] { return std::chrono::steady_clock::now(); },
      [](std::chrono::microseconds pause) {
        const timespec rest = {0, static_cast<long>(pause.count()) * 1000};
        nanosleep(&rest, nullptr);
      });
}

ncclDataType_t TypeOf(const at::Tensor& tensor) {
  switch (tensor.scalar_type()) {
    case at::kFloat:
      return ncclFloat32;
    case at::kBFloat16:
      return ncclBfloat16;
    case at::kHalf:
      return ncclFloat16;
    case at::kDouble:
      return ncclFloat64;
    case at::kInt:
      return ncclInt32;
    case at::kLong:
      return ncclInt64;
    default:
      throw Failure(ExitCode::kInternal,
                    std::string("no all-reduce of dtype ") + c10::toString(tensor.scalar_type()));
  }
}

class Event {
 public:
  Event() { CheckCuda(cudaEventCreateWithFlags(&event_, cudaEventDisableTiming), "event"); }
  ~Event() { cudaEventDestroy(event_); }
  Event(const Event&) = delete;
  Event& operator=(const Event&) = delete;
  void Record(cudaStream_t stream) { CheckCuda(cudaEventRecord(event_, stream), "event"); }
  void Block(cudaStream_t stream) { CheckCuda(cudaStreamWaitEvent(stream, event_, 0), "event"); }
  bool IsDone() const {
    const cudaError_t state = cudaEventQuery(event_);
    if (state == cudaErrorNotReady) return false;
    CheckCuda(state, "all-reduce");
    return true;
  }

 private:
  cudaEvent_t event_ = nullptr;
};

// The NCCL communicator and its stream. After Abort() every call throws kPeerLost.
class Communicator {
 public:
  explicit Communicator(const trainer::NcclOptions& options)
      : device(options.device),
        timeout(options.timeout),
        stream_(c10::cuda::getStreamFromPool(/*isHighPriority=*/true,
                                             static_cast<c10::DeviceIndex>(options.device))) {
    ncclUniqueId id;
    static_assert(sizeof(id) == NCCL_UNIQUE_ID_BYTES);
    std::memcpy(&id, options.unique_id.data(), sizeof(id));
    ncclConfig_t config = NCCL_CONFIG_INITIALIZER;
    config.blocking = 0;
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    Settle("rendezvous", ncclCommInitRankConfig(&comm_, options.size, id, options.rank, &config),
           options.rendezvous_timeout);
  }

  ~Communicator() {
    if (comm_ == nullptr) return;
    try {
      Settle("finalize", ncclCommFinalize(comm_), kFinalizeTimeout);
      ncclCommDestroy(comm_);
    } catch (const Failure&) {
      // Settle() has aborted it.
    }
  }

  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  // Starts `call(comm, stream)` after what the calling thread's stream has been given so far.
  template <typename Call>
  void Start(const char* what, Event* done, const Call& call) {
    if (comm_ == nullptr) throw Failure(ExitCode::kPeerLost, std::string(what) + ": aborted");
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(device));
    Event ready;
    ready.Record(c10::cuda::getCurrentCUDAStream(static_cast<c10::DeviceIndex>(device)).stream());
    ready.Block(stream_.stream());
    Settle(what, call(comm_, stream_.stream()), timeout);
    done->Record(stream_.stream());
  }

  void AwaitEvent(const char* what, const Event& done) {
    if (comm_ == nullptr) throw Failure(ExitCode::kPeerLost, std::string(what) + ": aborted");
    const auto poll = [&] {
      // The error first: a failed operation may leave its event undone for ever.
      ncclResult_t state = ncclSuccess;
      const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
      if (asked != ncclSuccess) state = asked;
      if (state != ncclSuccess && state != ncclInProgress) Lose(what, state);
      return done.IsDone();
    };
    if (!AwaitNow(poll, timeout)) TimeOut(what, timeout);
  }

  void Abort() {
    if (comm_ == nullptr) return;
    ncclCommAbort(comm_);
    comm_ = nullptr;
  }

  const int device;
  const milliseconds timeout;

 private:
  // A non-blocking call returns at once; until its state settles no other may be made.
  void Settle(const char* what, ncclResult_t result, milliseconds limit) {
    if (result != ncclSuccess && result != ncclInProgress) Lose(what, result);
    ncclResult_t state = ncclInProgress;
    const auto poll = [&] {
      const ncclResult_t asked = ncclCommGetAsyncError(comm_, &state);
      if (asked != ncclSuccess) Lose(what, asked);
      return state != ncclInProgress;
    };
    if (!AwaitNow(poll, limit)) TimeOut(what, limit);
    if (state != ncclSuccess) Lose(what, state);
  }

  [[noreturn]] void TimeOut(const char* what, milliseconds limit) {
    Abort();
    throw Failure(ExitCode::kPeerLost, std::string(what) + ": no answer from all ranks within " +
                                           std::to_string(limit.count()) + " ms");
  }

  [[noreturn]] void Lose(const char* what, ncclResult_t error) {
    std::string message = std::string(what) + ": " + ncclGetErrorString(error);
    const char* last = ncclGetLastError(comm_);
    if (last != nullptr && *last != '\0') message += std::string("; ") + last;
    Abort();
    const bool is_misuse = error == ncclInvalidUsage || error == ncclInvalidArgument;
    throw Failure(is_misuse ? ExitCode::kUsage : ExitCode::kPeerLost, message);
  }

  ncclComm_t comm_ = nullptr;
  c10::cuda::CUDAStream stream_;
};

// An operation under way. Dropped before its end, it takes the communicator with it: the memory
// that it writes to is about to go.
class NcclWork : public trainer::Work {
 public:
  // Of a CPU tensor, `device` is the copy that is computed with.
  NcclWork(std::shared_ptr<Communicator> comm, const char* what, at::Tensor tensor,
           at::Tensor device)
      : comm_(std::move(comm)),
        what_(what),
        tensor_(std::move(tensor)),
        device_(std::move(device)) {}
  ~NcclWork() override {
    if (!is_over_) comm_->Abort();
  }

  Event* done() { return &done_; }

  void Wait() override {
    if (is_over_) return;
    comm_->AwaitEvent(what_, done_);
    is_over_ = true;
    // The host has seen the end: whatever the caller's stream is given next comes after it.
    if (tensor_.is_cpu()) tensor_.copy_(device_);
  }

 private:
  std::shared_ptr<Communicator> comm_;
  const char* what_;
  at::Tensor tensor_;
  at::Tensor device_;
  Event done_;
  bool is_over_ = false;
};

class NcclCollective : public trainer::Collective {
 public:
  explicit NcclCollective(const trainer::NcclOptions& options)
      : rank_(options.rank), size_(options.size), comm_(std::make_shared<Communicator>(options)) {}

  int rank() const override { return rank_; }
  int size() const override { return size_; }

  std::unique_ptr<trainer::Work> StartSum(const at::Tensor& tensor) override {
    return Start("all-reduce", tensor, [](const at::Tensor& on, ncclComm_t comm, cudaStream_t s) {
      return ncclAllReduce(on.const_data_ptr(), on.mutable_data_ptr(),
                           static_cast<size_t>(on.numel()), TypeOf(on), ncclSum, comm, s);
    });
  }

  using trainer::Collective::Broadcast;
  void Broadcast(const at::Tensor& tensor, int from) override {
    Start("broadcast", tensor, [from](const at::Tensor& on, ncclComm_t comm, cudaStream_t s) {
      return ncclBroadcast(on.const_data_ptr(), on.mutable_data_ptr(),
                           static_cast<size_t>(on.numel()), TypeOf(on), from, comm, s);
    })->Wait();
  }

 private:
  template <typename Call>
  std::unique_ptr<trainer::Work> Start(const char* what, const at::Tensor& tensor,
                                       const Call& call) {
    if (!tensor.is_contiguous()) throw Failure(ExitCode::kInternal, "a tensor with gaps");
    const c10::cuda::CUDAGuard guard(static_cast<c10::DeviceIndex>(comm_->device));
    at::Tensor device = tensor;
    if (tensor.is_cpu()) {
      device = tensor.detach().pin_memory().to(
          at::Device(at::kCUDA, static_cast<c10::DeviceIndex>(comm_->device)), tensor.scalar_type(),
          /*non_blocking=*/true);
    }
    auto work = std::make_unique<NcclWork>(comm_, what, tensor, device);
    comm_->Start(what, work->done(),
                 [&](ncclComm_t comm, cudaStream_t stream) { return call(device, comm, stream); });
    return work;
  }

  const int rank_;
  const int size_;
  std::shared_ptr<Communicator> comm_;
};

}  // namespace

std::unique_ptr<trainer::Collective> MakeNcclCollective(const trainer::NcclOptions& options) {
  return std::make_unique<NcclCollective>(options);
}

}  // namespace jenner::cuda
