// Failure: the exception by which trainer code ends the process, with the exit code that tells the
// coordinator whose fault it is. main.cc has the one catch. Libraries that return a Status are
// turned into it at the call.
#ifndef JENNER_WORKER_TRAINER_FAILURE_H_
#define JENNER_WORKER_TRAINER_FAILURE_H_

#include <stdexcept>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/exit_code.h"

namespace jenner::trainer {

class Failure : public std::runtime_error {
 public:
  Failure(core::ExitCode code, const std::string& message)
      : std::runtime_error(message), code_(code) {}
  core::ExitCode code() const { return code_; }

 private:
  core::ExitCode code_;
};

// "INVALID_SPEC" and so on; docs/formats/trainer-events.md.
const char* Name(core::ExitCode code);

// What `status` means where InvalidArgument, NotFound, DataLoss and the like are `user_code`. I/O
// errors (Unavailable, ResourceExhausted of a write) are kStorage, Internal is kInternal.
core::ExitCode ExitCodeOf(const absl::Status& status, core::ExitCode user_code);

// Throws Failure(ExitCodeOf(status, user_code), message) unless OK.
void ThrowIfError(const absl::Status& status, core::ExitCode user_code);

template <typename T>
T ValueOrThrow(absl::StatusOr<T> value, core::ExitCode user_code) {
  ThrowIfError(value.status(), user_code);
  return std::move(value).value();
}

// A system call failed with `error` (errno): kStorage, or kOutOfMemory for ENOMEM.
[[noreturn]] void ThrowErrno(int error, const std::string& what, const std::string& path);

// The failure that the exception being handled stands for: a Failure itself, bad_alloc or an
// allocation error of ATen (kOutOfMemory), anything else kInternal. Call inside a catch block.
Failure CurrentFailure();

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_FAILURE_H_
