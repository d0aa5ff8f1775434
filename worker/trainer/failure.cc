#include "worker/trainer/failure.h"

#include <cerrno>
#include <cstring>
#include <new>

namespace jenner::trainer {

using core::ExitCode;

const char* Name(ExitCode code) {
  switch (code) {
    case ExitCode::kSuccess:
      return "SUCCESS";
    case ExitCode::kUsage:
      return "USAGE";
    case ExitCode::kInvalidSpec:
      return "INVALID_SPEC";
    case ExitCode::kInvalidData:
      return "INVALID_DATA";
    case ExitCode::kInvalidModel:
      return "INVALID_MODEL";
    case ExitCode::kNonFiniteLoss:
      return "NON_FINITE_LOSS";
    case ExitCode::kOutOfMemory:
      return "OUT_OF_MEMORY";
    case ExitCode::kStorage:
      return "STORAGE";
    case ExitCode::kPeerLost:
      return "PEER_LOST";
    case ExitCode::kCorruptCheckpoint:
      return "CORRUPT_CHECKPOINT";
    case ExitCode::kNoDevice:
      return "NO_DEVICE";
    case ExitCode::kInternal:
      return "INTERNAL";
    case ExitCode::kTerminated:
      return "TERMINATED";
  }
  return "INTERNAL";
}

ExitCode ExitCodeOf(const absl::Status& status, ExitCode user_code) {
  switch (status.code()) {
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kPermissionDenied:
      return ExitCode::kStorage;
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kUnimplemented:
      return ExitCode::kInternal;
    case absl::StatusCode::kCancelled:
      return ExitCode::kTerminated;
    default:
      return user_code;
  }
}

void ThrowIfError(const absl::Status& status, ExitCode user_code) {
  if (!status.ok()) throw Failure(ExitCodeOf(status, user_code), std::string(status.message()));
}

void ThrowErrno(int error, const std::string& what, const std::string& path) {
  throw Failure(error == ENOMEM ? ExitCode::kOutOfMemory : ExitCode::kStorage,
                what + " " + path + ": " + std::strerror(error));
}

Failure CurrentFailure() {
  try {
    throw;
  } catch (const Failure& failure) {
    return failure;
  } catch (const std::bad_alloc&) {
    return {ExitCode::kOutOfMemory, "out of memory"};
  } catch (const std::exception& error) {
    const std::string message = error.what();
    // ATen has no class of its own for this on the CPU; the texts are those of
    // c10/core/impl/alloc_cpu.cpp and c10/cuda/CUDACachingAllocator.cpp.
    for (const char* text : {"can't allocate memory", "not enough memory", "CPU out of memory",
                             "CUDA out of memory"}) {
      if (message.find(text) != std::string::npos) {
        return {ExitCode::kOutOfMemory, message.substr(0, message.find('\n'))};
      }
    }
    return {ExitCode::kInternal, message};
  }
}

}  // namespace jenner::trainer
