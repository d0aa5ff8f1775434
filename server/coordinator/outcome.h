// How ranks, gangs, jobs and experiments end, and what a failure costs. Internal to Decide(). Pure.
#ifndef JENNER_SERVER_COORDINATOR_OUTCOME_H_
#define JENNER_SERVER_COORDINATOR_OUTCOME_H_

#include <string>
#include <vector>

#include "core/exit_code.h"
#include "server/coordinator/event.h"

namespace jenner::coordinator {

// The class of a rank's failure; `code` is its error's.
core::FailureClass FailureOf(int32_t exit_code, const std::string& code);

// The rank for whose sake the gang broke, the others having followed it; null: all ended well.
const Rank* CauseOf(const Job& job);

// The ranks of workers whose lease is over.
std::vector<EventBody> ExpiredRanks(const State& state, absl::Time now);
// The jobs whose whole gang has ended, whose predecessor failed, or that a cancel ends: done,
// failed or waiting again.
std::vector<EventBody> EndedJobs(const State& state);
// The experiments whose jobs have all ended.
std::vector<EventBody> EndedExperiments(const State& state);
// The experiments being paused of which nothing runs any more.
std::vector<EventBody> PausedExperiments(const State& state);
// The jobs with a rank on a worker that is drained.
std::vector<EventBody> Drains(const State& state);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_OUTCOME_H_
