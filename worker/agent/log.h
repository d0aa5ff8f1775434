// One line of the agent's log on standard error, with the time in UTC. Thread-safe.
#ifndef JENNER_WORKER_AGENT_LOG_H_
#define JENNER_WORKER_AGENT_LOG_H_

#include <cstdio>
#include <string>

#include "absl/time/clock.h"
#include "absl/time/time.h"

namespace jenner::agent {

inline void Log(const std::string& message) {
  const std::string time =
      absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(), absl::UTCTimeZone());
  std::fprintf(stderr, "%s %s\n", time.c_str(), message.c_str());
}

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_LOG_H_
