// Spawns a trainer: own process group, killed with its agent, its events appended to a file.
#ifndef JENNER_WORKER_AGENT_CHILD_H_
#define JENNER_WORKER_AGENT_CHILD_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "worker/agent/files.h"
#include "worker/agent/process.h"

namespace jenner::agent {

struct ChildOptions {
  std::vector<std::string> command;      // the program's path, then its arguments
  std::vector<std::string> environment;  // "NAME=value", besides the agent's own
  std::string events_path;               // appended to through descriptor 3
  std::string log_path;                  // standard output and error are appended to it
};

struct Child {
  ProcessIdentity identity;
  UniqueFd pidfd;
};

// Errors: the program cannot be run, a file cannot be opened; the path in front.
// Call from the thread that lives as long as the agent: the child is killed when that thread ends.
absl::StatusOr<Child> Spawn(const ChildOptions& options);

// Takes the exit code of an ended child of this process: its own, or 128 + the signal that ended
// it.
int Reap(const Child& child);

// SIGKILLs the whole process group of `identity`, if that process is still the one meant.
void KillGroup(const ProcessIdentity& identity);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_CHILD_H_
