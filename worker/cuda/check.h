// What CUDA's runtime returns, as a Failure.
#ifndef JENNER_WORKER_CUDA_CHECK_H_
#define JENNER_WORKER_CUDA_CHECK_H_

#include <cuda_runtime_api.h>

#include <string>

#include "worker/trainer/failure.h"

namespace jenner::cuda {

// Failure: kOutOfMemory, kNoDevice (no driver, no such device), else kInternal.
inline void CheckCuda(cudaError_t error, const char* what) {
  if (error == cudaSuccess) return;
  core::ExitCode code = core::ExitCode::kInternal;
  if (error == cudaErrorMemoryAllocation) code = core::ExitCode::kOutOfMemory;
  if (error == cudaErrorNoDevice || error == cudaErrorInsufficientDriver ||
      error == cudaErrorInvalidDevice || error == cudaErrorSystemDriverMismatch ||
      error == cudaErrorDevicesUnavailable) {
    code = core::ExitCode::kNoDevice;
  }
  // The runtime's own words for no driver at all are that it is too old.
  const char* message = error == cudaErrorInsufficientDriver
                            ? "no NVIDIA driver, or one that is too old for CUDA 13"
                            : cudaGetErrorString(error);
  throw trainer::Failure(code, std::string(what) + ": " + message);
}

}  // namespace jenner::cuda

#endif  // JENNER_WORKER_CUDA_CHECK_H_
