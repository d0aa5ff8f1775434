#include "server/store/event_codec.h"

#include "core/json_fields.h"
#include "core/spec_json.h"
#include "core/status.h"
#include "server/store/event_log.h"

// Field lists, found by argument-dependent lookup (core/json_fields.h).
namespace jenner::coordinator {

core::NameTable<RunState> EnumNames(RunState) {
  return {{"queued", RunState::kQueued},         {"running", RunState::kRunning},
          {"pausing", RunState::kPausing},       {"paused", RunState::kPaused},
          {"cancelling", RunState::kCancelling}, {"succeeded", RunState::kSucceeded},
          {"failed", RunState::kFailed},         {"cancelled", RunState::kCancelled}};
}

core::NameTable<Charge> EnumNames(Charge) {
  return {{"attempt", Charge::kAttempt},
          {"interruption", Charge::kInterruption},
          {"none", Charge::kNone}};
}

core::NameTable<StopCause> EnumNames(StopCause) {
  return {{"none", StopCause::kNone},
          {"preempted", StopCause::kPreempted},
          {"paused", StopCause::kPaused},
          {"drained", StopCause::kDrained}};
}
core::NameTable<Cordon> EnumNames(Cordon) {
  return {{"cordoned", Cordon::kCordoned}, {"draining", Cordon::kDraining}};
}

template <typename V>
void VisitFields(V& visit, Reason& r) {
  visit("code", r.code);
  visit("message", r.message);
  visit("blame", r.blame);
}
template <typename V>
void VisitFields(V& visit, Artifact& a) {
  visit("path", a.path);
  visit("sha256", a.sha256);
  visit("size_bytes", a.size_bytes);
}
template <typename V>
void VisitFields(V& visit, AttemptStarted::Placement& p) {
  visit("worker", p.worker);
  visit("boot_id", p.boot_id);
}
template <typename V>
void VisitFields(V& visit, AttemptStarted& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("placements", e.placements);
}
template <typename V>
void VisitFields(V& visit, StoreAnnounced& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("address", e.address);
}
template <typename V>
void VisitFields(V& visit, JobPlanned& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("total_steps", e.total_steps);
}
template <typename V>
void VisitFields(V& visit, CheckpointCommitted& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("step", e.step);
  visit("files", e.files);
}
template <typename V>
void VisitFields(V& visit, AttemptResumed& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("step", e.step);
}
template <typename V>
void VisitFields(V& visit, RankEnded& e) {
  visit("experiment", e.key.experiment);
  visit("job", e.key.job);
  visit("attempt", e.key.attempt);
  visit("rank", e.key.rank);
  visit("exit_code", e.exit_code);
  visit("error", e.error);
  visit("artifacts", e.artifacts);
  visit("step", e.step);
  visit("total_steps", e.total_steps);
}
template <typename V>
void VisitFields(V& visit, StopRequested& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("attempt", e.attempt);
  visit("cause", e.cause);
  visit("reason", e.reason);
}
template <typename V>
void VisitFields(V& visit, JobRequeued& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("reason", e.reason);
  visit("charge", e.charge);
}
template <typename V>
void VisitFields(V& visit, JobEnded& e) {
  visit("experiment", e.experiment);
  visit("job", e.job);
  visit("state", e.state);
  visit("reason", e.reason);
  visit("charge", e.charge);
}
template <typename V>
void VisitFields(V& visit, CancelRequested& e) {
  visit("experiment", e.experiment);
  visit("kill", e.kill);
}
template <typename V>
void VisitFields(V& visit, PauseRequested& e) {
  visit("experiment", e.experiment);
}
template <typename V>
void VisitFields(V& visit, ExperimentPaused& e) {
  visit("experiment", e.experiment);
}
template <typename V>
void VisitFields(V& visit, ExperimentResumed& e) {
  visit("experiment", e.experiment);
}
template <typename V>
void VisitFields(V& visit, WorkerCordoned& e) {
  visit("worker", e.worker);
  visit("cordon", e.cordon);
}
template <typename V>
void VisitFields(V& visit, WorkerUncordoned& e) {
  visit("worker", e.worker);
}
template <typename V>
void VisitFields(V& visit, CoordinatorRestored& e) {
  visit("first_attempt", e.first_attempt);
}
template <typename V>
void VisitFields(V& visit, ExperimentEnded& e) {
  visit("experiment", e.experiment);
  visit("state", e.state);
  visit("reason", e.reason);
}
template <typename V>
void VisitFields(V& visit, ExperimentDeleted& e) {
  visit("experiment", e.experiment);
}

}  // namespace jenner::coordinator

namespace jenner::store {
namespace {

using coordinator::Event;
using coordinator::EventBody;
using coordinator::ExperimentCreated;
using core::Json;

// By index in EventBody; never reorder, only append.
constexpr const char* kKinds[] = {
    "experiment_created",   "attempt_started",    "store_announced",     "rank_ended",
    "job_requeued",         "job_ended",          "cancel_requested",    "experiment_ended",
    "experiment_deleted",   "job_planned",        "stop_requested",      "pause_requested",
    "experiment_paused",    "experiment_resumed", "worker_cordoned",     "worker_uncordoned",
    "checkpoint_committed", "attempt_resumed",    "coordinator_restored"};
static_assert(std::size(kKinds) == std::variant_size_v<EventBody>);

// The spec has its own strict format: it is kept as that format's text.
struct CreatedFile {
  std::string id;
  std::string request_id;
  std::string fingerprint;
  std::string spec_json;
  std::vector<std::string> job_ids;
  std::string creator;
  std::string project;
  std::string owner = coordinator::kDefaultOwner;
};
template <typename V>
void VisitFields(V& visit, CreatedFile& f) {
  visit("id", f.id);
  visit("request_id", f.request_id);
  visit("fingerprint", f.fingerprint);
  visit("spec_json", f.spec_json);
  visit("job_ids", f.job_ids);
  visit("creator", f.creator);
  visit("project", f.project);
  visit("owner", f.owner);
}

Json Encode(const ExperimentCreated& e) {
  return core::WriteValue(CreatedFile{e.id, e.request_id, e.fingerprint, core::ToJson(e.spec),
                                      e.job_ids, e.creator, e.project, e.owner});
}
template <typename T>
Json Encode(const T& e) {
  return core::WriteValue(e);
}

void Decode(const Json& json, ExperimentCreated* e, core::Faults* faults) {
  CreatedFile file;
  core::ReadValue(json, "", &file, faults);
  *e = {file.id,          file.request_id,
        file.fingerprint, core::ParseExperimentSpec(file.spec_json, faults),
        file.job_ids,     file.creator,
        file.project,     file.owner};
}
template <typename T>
void Decode(const Json& json, T* e, core::Faults* faults) {
  core::ReadValue(json, "", e, faults);
}

// An EventBody with alternative number `index`, read from `json`.
template <size_t kIndex = 0>
EventBody DecodeBody(size_t index, const Json& json, core::Faults* faults) {
  if constexpr (kIndex < std::variant_size_v<EventBody>) {
    if (index != kIndex) return DecodeBody<kIndex + 1>(index, json, faults);
    std::variant_alternative_t<kIndex, EventBody> body;
    Decode(json, &body, faults);
    return body;
  } else {
    return EventBody();
  }
}

}  // namespace

absl::StatusOr<int64_t> ForEachEvent(
    EventLog& log, int64_t seq,
    const std::function<absl::Status(const StoredEvent&, const Event&)>& visit) {
  constexpr int kPage = 1000;
  for (;;) {
    ASSIGN_OR_RETURN(const std::vector<StoredEvent> page, log.ReadFrom(seq, kPage));
    if (page.empty()) return seq;
    for (const StoredEvent& stored : page) {
      const absl::StatusOr<Event> event = DecodeEvent(stored.payload, stored.time);
      if (!event.ok()) {
        return Annotate(event.status(), absl::StrFormat("event %d of the log", stored.seq));
      }
      RETURN_IF_ERROR(visit(stored, *event));
      seq = stored.seq + 1;
    }
  }
}

std::string EncodeEvent(const Event& event) {
  Json json = std::visit([](const auto& body) { return Encode(body); }, event.body);
  json["kind"] = kKinds[event.body.index()];
  return core::Canonical(json);
}

absl::StatusOr<Event> DecodeEvent(const std::string& payload, absl::Time time) {
  core::Faults faults;
  std::optional<Json> json = core::ParseJson(payload, &faults, static_cast<size_t>(kMaxEventBytes));
  std::string kind;
  if (json && json->is_object() && json->contains("kind") && (*json)["kind"].is_string()) {
    kind = (*json)["kind"].get<std::string>();
    json->erase("kind");
  }
  for (size_t i = 0; i < std::size(kKinds); ++i) {
    if (kind != kKinds[i]) continue;
    Event event{time, DecodeBody(i, *json, &faults)};
    if (!faults.empty()) break;
    return event;
  }
  if (faults.empty()) {
    faults.push_back({"kind", "unknown event \"" + kind +
                                  "\"; a newer program wrote it, and is needed to read it"});
  }
  return absl::DataLossError("event: " + std::string(core::ToStatus(faults).message()));
}

}  // namespace jenner::store
