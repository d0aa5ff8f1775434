// Gpus: how many GPUs a machine offers, and which one a rank gets. One rank has one GPU for itself.
// Thread-safe: no state.
#ifndef JENNER_WORKER_AGENT_GPUS_H_
#define JENNER_WORKER_AGENT_GPUS_H_

#include <optional>
#include <set>
#include <string>

#include "absl/status/statusor.h"

namespace jenner::agent {

inline constexpr int kMaxGpus = 64;

// The device files nvidia0, nvidia1, ... in `folder` (/dev), as the driver makes them. Says nothing
// of whether they work: no driver is asked.
int CountGpus(const std::string& folder);

// What --gpus says: a number in [0, kMaxGpus], or "auto": CountGpus(folder), at most kMaxGpus.
// InvalidArgument: anything else.
absl::StatusOr<int> ParseGpus(const std::string& text, const std::string& folder);

// Whether a job file asks for GPUs ("device": "cuda").
bool WantsGpu(const std::string& job_json);

// The lowest of `num_gpus` that is not `taken`.
std::optional<int> FreeGpu(int num_gpus, const std::set<int>& taken);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_GPUS_H_
