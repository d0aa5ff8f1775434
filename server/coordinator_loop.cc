#include "server/coordinator_loop.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/status.h"
#include "logging/log.h"
#include "server/coordinator/decide.h"
#include "server/store/event_codec.h"

namespace jenner::server {
namespace {

using coordinator::Event;
using logging::Level;
using logging::Log;

// Each round of ticks ends something or starts an attempt; more than this is a fault of ours.
constexpr int kMaxRounds = 100'000;

struct Logger {
  void operator()(const coordinator::ExperimentCreated& e) const {
    Log(Level::kInfo, "experiment created", {{"experiment", e.id}});
  }
  void operator()(const coordinator::AttemptStarted& e) const {
    Log(Level::kInfo, "attempt started",
        {{"experiment", e.experiment},
         {"job", e.job},
         {"attempt", absl::StrFormat("%d", e.attempt)},
         {"worker", e.placements.empty() ? "" : e.placements.front().worker}});
  }
  void operator()(const coordinator::StoreAnnounced&) const {}
  void operator()(const coordinator::JobPlanned&) const {}
  void operator()(const coordinator::CheckpointCommitted& e) const {
    Log(Level::kInfo, "checkpoint committed",
        {{"experiment", e.experiment},
         {"job", e.job},
         {"attempt", absl::StrFormat("%d", e.attempt)},
         {"step", absl::StrFormat("%d", e.step)}});
  }
  void operator()(const coordinator::AttemptResumed& e) const {
    Log(Level::kInfo, "attempt goes on from a checkpoint",
        {{"experiment", e.experiment},
         {"job", e.job},
         {"attempt", absl::StrFormat("%d", e.attempt)},
         {"step", absl::StrFormat("%d", e.step)}});
  }
  void operator()(const coordinator::RankEnded& e) const {
    if (e.exit_code == 0) return;
    Log(Level::kWarning, "rank ended",
        {{"experiment", e.key.experiment},
         {"job", e.key.job},
         {"attempt", absl::StrFormat("%d", e.key.attempt)},
         {"rank", absl::StrFormat("%d", e.key.rank)},
         {"exit_code", absl::StrFormat("%d", e.exit_code)},
         {"code", e.error.code},
         {"error", e.error.message}});
  }
  void operator()(const coordinator::StopRequested& e) const {
    Log(Level::kInfo, "job asked to stop",
        {{"experiment", e.experiment},
         {"job", e.job},
         {"code", e.reason.code},
         {"why", e.reason.message}});
  }
  void operator()(const coordinator::JobRequeued& e) const {
    Log(Level::kWarning, "job queued again",
        {{"experiment", e.experiment}, {"job", e.job}, {"code", e.reason.code}});
  }
  void operator()(const coordinator::JobEnded& e) const {
    Log(e.state == coordinator::RunState::kFailed ? Level::kWarning : Level::kInfo, "job ended",
        {{"experiment", e.experiment}, {"job", e.job}, {"code", e.reason.code}});
  }
  void operator()(const coordinator::CancelRequested& e) const {
    Log(Level::kInfo, e.kill ? "kill requested" : "cancel requested",
        {{"experiment", e.experiment}});
  }
  void operator()(const coordinator::PauseRequested& e) const {
    Log(Level::kInfo, "pause requested", {{"experiment", e.experiment}});
  }
  void operator()(const coordinator::ExperimentPaused& e) const {
    Log(Level::kInfo, "experiment paused", {{"experiment", e.experiment}});
  }
  void operator()(const coordinator::ExperimentResumed& e) const {
    Log(Level::kInfo, "experiment resumed", {{"experiment", e.experiment}});
  }
  void operator()(const coordinator::WorkerCordoned& e) const {
    const bool is_drained = e.cordon == coordinator::Cordon::kDraining;
    Log(Level::kInfo, is_drained ? "worker drained" : "worker cordoned", {{"worker", e.worker}});
  }
  void operator()(const coordinator::CoordinatorRestored&) const {}
  void operator()(const coordinator::WorkerUncordoned& e) const {
    Log(Level::kInfo, "worker uncordoned", {{"worker", e.worker}});
  }
  void operator()(const coordinator::ExperimentEnded& e) const {
    Log(Level::kInfo, "experiment ended", {{"experiment", e.experiment}, {"code", e.reason.code}});
  }
  void operator()(const coordinator::ExperimentDeleted& e) const {
    Log(Level::kInfo, "experiment deleted", {{"experiment", e.experiment}});
  }
};

}  // namespace

absl::StatusOr<int64_t> CoordinatorLoop::Replay() {
  RETURN_IF_ERROR(
      store::ForEachEvent(log_, 1, [this](const store::StoredEvent& stored, const Event& event) {
        versions_[coordinator::ExperimentOf(event)] = stored.seq;
        coordinator::Apply(event, &state_);
        return absl::OkStatus();
      }).status());
  std::erase_if(versions_,
                [&](const auto& one) { return state_.experiments.count(one.first) == 0; });
  return log_.LastSeq();
}

absl::Status CoordinatorLoop::Handle(const std::vector<rpc::Request>& group, absl::Time now) {
  batch_.clear();
  changed_.clear();
  std::vector<absl::Status> decided;
  bool has_commands = false;
  bool has_tick = false;
  for (const rpc::Request& request : group) {
    absl::Status status = request.permit == nullptr ? absl::OkStatus() : request.permit(state_);
    if (status.ok() && request.command.has_value()) status = Decide(*request.command, now);
    decided.push_back(std::move(status));
    has_commands = has_commands || request.command.has_value();
    has_tick = has_tick || (request.command.has_value() &&
                            std::holds_alternative<coordinator::Tick>(*request.command));
  }
  if (has_commands) Schedule(now);
  RETURN_IF_ERROR(Commit());
  const rpc::View view{state_, versions_, log_.LastSeq(), now};
  for (size_t i = 0; i < group.size(); ++i) {
    if (group[i].answer) group[i].answer(decided[i], view);
  }
  for (const std::string& experiment : changed_) hub_.NotifyEvent(experiment);
  if (has_tick) {
    metrics_.Observe(state_, now);
    metrics_.LookAtQueue(state_, now);
  }
  return absl::OkStatus();
}

absl::Status CoordinatorLoop::Decide(const coordinator::Command& command, absl::Time now) {
  coordinator::Observe(command, now, lease_, &state_);
  absl::StatusOr<std::vector<Event>> events = coordinator::Decide(state_, command, now);
  if (!events.ok()) return events.status();
  Record(*std::move(events));
  return absl::OkStatus();
}

// What follows from the commands of this group.
void CoordinatorLoop::Schedule(absl::Time now) {
  const absl::Time begin = absl::Now();  // tidy: allow, a duration for people
  for (int round = 0; round < kMaxRounds; ++round) {
    absl::StatusOr<std::vector<Event>> events =
        coordinator::Decide(state_, coordinator::Tick{}, now);
    if (!events.ok() || events->empty()) break;
    Record(*std::move(events));
  }
  metrics_.Scheduled(absl::Now() - begin);  // tidy: allow
}

void CoordinatorLoop::Record(std::vector<Event> events) {
  for (const Event& event : events) {
    batch_.push_back({event.time, store::EncodeEvent(event)});
    const std::string experiment = coordinator::ExperimentOf(event);
    coordinator::Apply(event, &state_);
    metrics_.CountEvent(event, state_);
    std::visit(Logger(), event.body);
    if (experiment.empty()) continue;
    changed_.insert(experiment);
    versions_[experiment] = log_.LastSeq() + static_cast<int64_t>(batch_.size());
    if (std::holds_alternative<coordinator::ExperimentDeleted>(event.body)) {
      versions_.erase(experiment);
    }
  }
}

absl::Status CoordinatorLoop::Commit() {
  if (batch_.empty()) return absl::OkStatus();
  const absl::Time begin = absl::Now();  // tidy: allow, a duration for people
  RETURN_IF_ERROR(Annotate(log_.Append(batch_), "the event log cannot be written"));
  metrics_.StoreCommitted("events", absl::Now() - begin);  // tidy: allow
  return absl::OkStatus();
}

}  // namespace jenner::server
