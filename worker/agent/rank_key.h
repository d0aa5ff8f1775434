// RankKey: identity of one rank of one attempt of a job; it names the rank's folder and every row
// and blob that is uploaded for it. A plain value.
#ifndef JENNER_WORKER_AGENT_RANK_KEY_H_
#define JENNER_WORKER_AGENT_RANK_KEY_H_

#include <compare>
#include <cstdint>
#include <string>

namespace jenner::agent {

struct RankKey {
  std::string experiment;  // id
  std::string job;         // id
  int32_t attempt = 0;     // >= 1
  int32_t rank = 0;        // >= 0
  auto operator<=>(const RankKey&) const = default;
};

// "experiment/job/attempt-rank": for messages, and the rank's folder below attempts/.
inline std::string ToString(const RankKey& key) {
  return key.experiment + "/" + key.job + "/" + std::to_string(key.attempt) + "-" +
         std::to_string(key.rank);
}

// "experiment/job": for what the attempts of a job share.
inline std::string JobName(const RankKey& key) { return key.experiment + "/" + key.job; }

// Where a job's initial/ is, below the agent's work folder.
inline std::string InitialFolder(const RankKey& key) { return "out/" + JobName(key) + "/initial"; }

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_RANK_KEY_H_
