// Housekeeping: what an agent leaves on disk, and the processes of its former life. Thread-safe: no
// state.
#ifndef JENNER_WORKER_AGENT_HOUSEKEEPING_H_
#define JENNER_WORKER_AGENT_HOUSEKEEPING_H_

#include <cstdint>
#include <set>
#include <string>

#include "absl/time/time.h"
#include "worker/agent/process.h"

namespace jenner::agent {

// The record of a rank's process in its folder, for KillOrphans.
std::string ProcessRecord(const ProcessIdentity& identity);

// SIGKILLs the group of every process that a file "process" below `attempts` records, unless its
// pid belongs to another process now, and waits until they are gone, at most `patience`.
void KillOrphans(const std::string& attempts, absl::Duration patience);

// Removes the files of `folder` that were used longest ago (by modification time) until the others
// have at most `max_bytes`; never one that `keep` names.
void TrimCache(const std::string& folder, int64_t max_bytes, const std::set<std::string>& keep);

// Says that a file of the cache is used now.
void TouchFile(const std::string& path);

// Removes the folders two levels below `root` (<experiment>/<job>) in which nothing changed for
// `age`, except those that `keep` names as "<experiment>/<job>". `now` is wall-clock time, as in
// the files.
void RemoveOld(const std::string& root, absl::Duration age, absl::Time now,
               const std::set<std::string>& keep);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_HOUSEKEEPING_H_
