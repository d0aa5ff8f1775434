// Exit codes of jenner-trainer and what they mean to the coordinator; docs/failures.md has the same
// table for people, and exit_code_test.cc compares them. Never renumber.
#ifndef JENNER_CORE_EXIT_CODE_H_
#define JENNER_CORE_EXIT_CODE_H_

namespace jenner::core {

enum class ExitCode : int {
  kSuccess = 0,
  kUsage = 2,               // user: flags of the command line
  kInvalidSpec = 10,        // user: the job file
  kInvalidData = 11,        // user: a dataset (empty, all rows masked, ...)
  kInvalidModel = 12,       // user: missing, broken or unsupported model folder
  kNonFiniteLoss = 13,      // user: the training diverged
  kOutOfMemory = 14,        // system
  kStorage = 15,            // system: disk full, read-only, I/O error
  kPeerLost = 16,           // system: another rank went away or timed out
  kCorruptCheckpoint = 17,  // system
  kNoDevice = 18,           // system: no GPU, no driver, or no CUDA plugin
  kInternal = 20,           // system: our bug
  kTerminated = 30,         // capacity: SIGTERM was obeyed
};

enum class Retry {
  kNever,      // a user's fault: the job fails at once
  kCounted,    // tried again, and takes one of the job's attempts
  kUncounted,  // tried again; nobody's fault but the machines'
};

struct FailureClass {
  ExitCode exit_code;
  const char* code;   // of the trainer's `failed` event
  const char* blame;  // "user", "system" or "capacity"
  Retry retry;
};

inline constexpr FailureClass kFailureClasses[] = {
    {ExitCode::kUsage, "USAGE", "user", Retry::kNever},
    {ExitCode::kInvalidSpec, "INVALID_SPEC", "user", Retry::kNever},
    {ExitCode::kInvalidData, "INVALID_DATA", "user", Retry::kNever},
    {ExitCode::kInvalidModel, "INVALID_MODEL", "user", Retry::kNever},
    {ExitCode::kNonFiniteLoss, "NON_FINITE_LOSS", "user", Retry::kNever},
    {ExitCode::kOutOfMemory, "OUT_OF_MEMORY", "system", Retry::kCounted},
    {ExitCode::kStorage, "STORAGE", "system", Retry::kCounted},
    {ExitCode::kPeerLost, "PEER_LOST", "system", Retry::kUncounted},
    {ExitCode::kCorruptCheckpoint, "CORRUPT_CHECKPOINT", "system", Retry::kCounted},
    {ExitCode::kNoDevice, "NO_DEVICE", "system", Retry::kCounted},
    {ExitCode::kInternal, "INTERNAL", "system", Retry::kCounted},
    {ExitCode::kTerminated, "TERMINATED", "capacity", Retry::kUncounted},
};

// The class of a rank that ended with `exit_code` (not 0; below 0: nobody saw it end). A code that
// is not in the table, as of a signal, is INTERNAL's.
inline FailureClass ClassOf(int exit_code) {
  FailureClass otherwise{ExitCode::kInternal, "INTERNAL", "system", Retry::kCounted};
  if (exit_code < 0) otherwise.retry = Retry::kUncounted;
  for (const FailureClass& one : kFailureClasses) {
    if (static_cast<int>(one.exit_code) == exit_code) return one;
  }
  return otherwise;
}

}  // namespace jenner::core

#endif  // JENNER_CORE_EXIT_CODE_H_
