#include "server/coordinator/decide.h"

namespace jenner::coordinator {

std::vector<Assignment> Desired(const State& state, const std::string& worker) {
  std::vector<Assignment> assignments;
  const auto known = state.index.workers.find(worker);
  if (known == state.index.workers.end()) return assignments;
  for (const JobKey& key : known->second.jobs) {
    const Experiment& experiment = state.experiments.at(key.experiment);
    const Job& job = experiment.jobs[key.job];
    const bool is_stopping = IsStopping(job);
    for (size_t i = 0; i < job.ranks.size(); ++i) {
      if (job.ranks[i].worker != worker || job.ranks[i].ended) continue;
      Assignment assignment;
      assignment.key = {experiment.id, job.plan.id, job.attempt, static_cast<int32_t>(i)};
      assignment.world_size = static_cast<int32_t>(job.ranks.size());
      assignment.spec = &job.plan.spec;
      assignment.store_address = job.store_address;
      assignment.stop = is_stopping;
      assignment.is_final = job.state == RunState::kCancelling;
      assignment.kill = experiment.is_killed;
      if (i == 0 && job.checkpoint.step > 0) assignment.checkpoint = &job.checkpoint;
      const Job* predecessor = PredecessorOf(experiment, job);
      if (i == 0 && predecessor != nullptr) assignment.initial = &predecessor->artifacts;
      assignments.push_back(std::move(assignment));
    }
  }
  return assignments;
}

const std::string& ExperimentOf(const Event& event) {
  return std::visit(
      [](const auto& e) -> const std::string& {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, ExperimentCreated>) {
          return e.id;
        } else if constexpr (std::is_same_v<T, RankEnded>) {
          return e.key.experiment;
        } else if constexpr (std::is_same_v<T, WorkerCordoned> ||
                             std::is_same_v<T, WorkerUncordoned> ||
                             std::is_same_v<T, CoordinatorRestored>) {
          static const std::string kNone;
          return kNone;
        } else {
          return e.experiment;
        }
      },
      event.body);
}

bool HasEnded(const State& state, const std::string& job_name) {
  const size_t slash = job_name.find('/');
  const auto found = state.experiments.find(job_name.substr(0, slash));
  if (found == state.experiments.end() || slash == std::string::npos) return false;
  const Job* job = found->second.Find(job_name.substr(slash + 1));
  return job != nullptr && IsTerminal(job->state);
}

}  // namespace jenner::coordinator
