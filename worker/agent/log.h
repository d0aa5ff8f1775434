// The agent's log (logging/log.h), about a rank or about nothing in particular. Thread-safe.
#ifndef JENNER_WORKER_AGENT_LOG_H_
#define JENNER_WORKER_AGENT_LOG_H_

#include <string>

#include "logging/log.h"
#include "worker/agent/rank_key.h"

namespace jenner::agent {

using logging::Level;
using logging::Log;

inline void LogRank(Level level, const RankKey& key, const std::string& message,
                    logging::Fields more = {},
                    const logging::SourceLocation& where = logging::SourceLocation::current()) {
  logging::Fields fields = {{"experiment", key.experiment},
                            {"job", key.job},
                            {"attempt", std::to_string(key.attempt)},
                            {"rank", std::to_string(key.rank)}};
  fields.insert(fields.end(), more.begin(), more.end());
  Log(level, message, fields, where);
}

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_LOG_H_
