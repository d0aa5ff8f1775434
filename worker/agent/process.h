// Processes: who is who (a pid alone can be recycled), the machine's clock since boot, and pidfds.
// Thread-safe: no state.
#ifndef JENNER_WORKER_AGENT_PROCESS_H_
#define JENNER_WORKER_AGENT_PROCESS_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "worker/agent/files.h"

namespace jenner::agent {

// Names a process for good: a pid can come again, not with the same start time in the same boot.
struct ProcessIdentity {
  int pid = 0;
  int64_t start_ticks = 0;  // field 22 of /proc/<pid>/stat: clock ticks after boot
  std::string boot_id;      // /proc/sys/kernel/random/boot_id
  bool operator==(const ProcessIdentity&) const = default;
};

std::string KernelBootId();

// NotFound: there is no such process.
absl::StatusOr<ProcessIdentity> IdentifyProcess(int pid);

// A pidfd of exactly that process. NotFound: it is gone, or its pid belongs to another one now.
absl::StatusOr<UniqueFd> OpenProcess(const ProcessIdentity& identity);

// Sends a signal; a process that is gone is not an error.
void SignalProcess(const UniqueFd& pidfd, int signal);

// True once the process has ended.
bool HasEnded(const UniqueFd& pidfd);

// Milliseconds since boot, time asleep included: comparable between processes of one boot.
int64_t BootMilliseconds();

// The same as a time, for deadlines that a change of the wall clock must not move.
inline absl::Time MonotonicNow() {
  return absl::UnixEpoch() + absl::Milliseconds(BootMilliseconds());
}

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_PROCESS_H_
