// Exit codes of jenner-trainer and what they mean to the coordinator;
// docs/formats/trainer-events.md has the same table for people. Never renumber.
#ifndef JENNER_CORE_EXIT_CODE_H_
#define JENNER_CORE_EXIT_CODE_H_

namespace jenner::core {

enum class ExitCode : int {
  kSuccess = 0,
  kUsage = 2,               // flags of the command line
  kInvalidSpec = 10,        // user: the job file
  kInvalidData = 11,        // user: a dataset (empty, all rows masked, ...)
  kInvalidModel = 12,       // user: missing, broken or unsupported model folder
  kNonFiniteLoss = 13,      // user: the training diverged
  kOutOfMemory = 14,        // system
  kStorage = 15,            // system: disk full, read-only, I/O error
  kPeerLost = 16,           // system: another rank went away or timed out
  kCorruptCheckpoint = 17,  // system
  kInternal = 20,           // system: our bug
  kTerminated = 30,         // SIGTERM was obeyed
};

}  // namespace jenner::core

#endif  // JENNER_CORE_EXIT_CODE_H_
