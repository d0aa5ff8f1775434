#include "server/coordinator/lifecycle.h"

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::coordinator {
namespace {

absl::StatusOr<const Experiment*> Find(const State& state, const std::string& id) {
  const auto found = state.experiments.find(id);
  if (found == state.experiments.end()) return absl::NotFoundError("no experiment \"" + id + "\"");
  return &found->second;
}

absl::Status Illegal(const std::string& id, const char* is, const char* what) {
  return absl::FailedPreconditionError(absl::StrFormat("experiment \"%s\" %s: %s", id, is, what));
}

// Of an experiment that is to be paused or to go on.
absl::Status CheckIsActive(const Experiment& experiment, const char* what) {
  if (IsTerminal(experiment.state)) return Illegal(experiment.id, "has ended", what);
  if (experiment.state == RunState::kCancelling)
    return Illegal(experiment.id, "is being cancelled", what);
  return absl::OkStatus();
}

bool IsPaused(const Experiment& experiment) {
  return experiment.state == RunState::kPausing || experiment.state == RunState::kPaused;
}

// One that was heard of, or that is cordoned and may come back.
absl::Status CheckIsKnown(const State& state, const std::string& worker) {
  if (state.liveness.workers.count(worker) > 0 || state.cordons.count(worker) > 0)
    return absl::OkStatus();
  return absl::NotFoundError("no worker \"" + worker + "\"");
}

}  // namespace

Decided DecideVerb(const State& state, const CancelExperiment& verb) {
  ASSIGN_OR_RETURN(const Experiment* experiment, Find(state, verb.id));
  const bool is_cancelled =
      experiment->state == RunState::kCancelled ||
      (experiment->state == RunState::kCancelling && (experiment->is_killed || !verb.kill));
  if (is_cancelled) return std::vector<EventBody>{};
  if (IsTerminal(experiment->state)) return Illegal(verb.id, "has ended", "nothing to cancel");
  return std::vector<EventBody>{CancelRequested{verb.id, verb.kill}};
}

Decided DecideVerb(const State& state, const PauseExperiment& verb) {
  ASSIGN_OR_RETURN(const Experiment* experiment, Find(state, verb.id));
  RETURN_IF_ERROR(CheckIsActive(*experiment, "nothing to pause"));
  if (IsPaused(*experiment)) return std::vector<EventBody>{};
  return std::vector<EventBody>{PauseRequested{verb.id}};
}

Decided DecideVerb(const State& state, const ResumeExperiment& verb) {
  ASSIGN_OR_RETURN(const Experiment* experiment, Find(state, verb.id));
  RETURN_IF_ERROR(CheckIsActive(*experiment, "nothing to resume"));
  if (!IsPaused(*experiment)) return std::vector<EventBody>{};
  return std::vector<EventBody>{ExperimentResumed{verb.id}};
}

Decided DecideVerb(const State& state, const DeleteExperiment& verb) {
  ASSIGN_OR_RETURN(const Experiment* experiment, Find(state, verb.id));
  if (!IsTerminal(experiment->state)) return Illegal(verb.id, "is active", "cancel it first");
  return std::vector<EventBody>{ExperimentDeleted{verb.id}};
}

Decided DecideVerb(const State& state, const CordonWorker& verb) {
  RETURN_IF_ERROR(CheckIsKnown(state, verb.worker));
  const auto known = state.cordons.find(verb.worker);
  if (known != state.cordons.end() && known->second == verb.cordon) return std::vector<EventBody>{};
  if (known == state.cordons.end() && state.cordons.size() >= kMaxCordons) {
    return absl::ResourceExhaustedError(
        absl::StrFormat("%d workers are cordoned; uncordon some", state.cordons.size()));
  }
  return std::vector<EventBody>{WorkerCordoned{verb.worker, verb.cordon}};
}

Decided DecideVerb(const State& state, const UncordonWorker& verb) {
  RETURN_IF_ERROR(CheckIsKnown(state, verb.worker));
  if (state.cordons.count(verb.worker) == 0) return std::vector<EventBody>{};
  return std::vector<EventBody>{WorkerUncordoned{verb.worker}};
}

}  // namespace jenner::coordinator
