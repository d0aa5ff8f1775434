#include "server/rpc/watch.h"

#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "server/feed/mutex.h"
#include "server/rpc/encode.h"
#include "wire/convert.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr char kMethod[] = "Experiments/WatchExperiment";
constexpr absl::Duration kRetry = absl::Seconds(5);  // once all streams are taken
using Reactor = grpc::ServerWriteReactor<v1::WatchExperimentResponse>;

// The call's context while the call lives: it may be cut from a thread that races with its end.
struct Cutter {
  feed::Mutex mutex;
  grpc::CallbackServerContext* context ABSL_GUARDED_BY(mutex) = nullptr;

  void Cut() {
    const feed::MutexLock lock(&mutex);
    if (context != nullptr) context->TryCancel();
  }
};

struct Asked {
  feed::Cursor cursor;  // with the experiment
  absl::Duration heartbeat = absl::Seconds(10);
};

absl::StatusOr<Asked> Parse(const v1::WatchExperimentRequest& request) {
  core::Faults faults;
  Asked asked;
  const std::optional<std::string> id = core::IdIn("experiments", request.name());
  if (!id.has_value()) {
    faults.push_back({"name", absl::StrFormat("expected experiments/{experiment}; found \"%s\"",
                                              request.name().substr(0, 80))});
  }
  const absl::StatusOr<feed::Cursor> cursor = feed::ParseCursor(request.cursor());
  if (!cursor.ok()) {
    faults.push_back({"cursor", std::string(cursor.status().message())});
  } else if (id.has_value() && !request.cursor().empty() && cursor->experiment != *id) {
    faults.push_back(
        {"cursor", absl::StrFormat("of experiment \"%s\"", cursor->experiment.substr(0, 80))});
  } else {
    asked.cursor = *cursor;
  }
  asked.cursor.experiment = id.value_or("");
  if (request.has_heartbeat_interval()) {
    asked.heartbeat = wire::ToCore(request.heartbeat_interval());
    if (asked.heartbeat < absl::Seconds(1) || asked.heartbeat > absl::Seconds(30)) {
      faults.push_back({"heartbeat_interval", "expected 1 s to 30 s"});
    }
  }
  if (!faults.empty()) return wire::FaultsStatus(faults);
  return asked;
}

// Such numbers have never been: a database was lost or put back. To go on from there would skip
// what comes until they are reached.
absl::Status Ahead(const feed::Cursor& cursor) {
  const std::string oldest = feed::ToString({cursor.experiment, 0, 0});
  absl::Status status = absl::OutOfRangeError(
      absl::StrFormat("cursor: \"%s\" is ahead of all that is stored; the oldest is \"%s\"",
                      feed::ToString(cursor), oldest));
  status = wire::WithMetadata(wire::WithReason(status, "CURSOR_AHEAD"), "cursor",
                              feed::ToString(cursor));
  return wire::WithMetadata(status, "oldest_cursor", oldest);
}

// Where to resume is told to people and to programs.
absl::Status WithCursor(const absl::Status& end, const feed::Cursor& last) {
  if (!absl::IsUnavailable(end) && !absl::IsResourceExhausted(end)) return end;
  const std::string cursor = feed::ToString(last);
  return wire::WithMetadata(
      absl::Status(end.code(), absl::StrFormat("%s; resume from cursor %s",
                                               std::string(end.message()), cursor)),
      "cursor", cursor);
}

class WatchReactor final : public Reactor {
 public:
  WatchReactor(Backend& backend, SnapshotCache& snapshots, grpc::CallbackServerContext* context)
      : backend_(backend),
        snapshots_(snapshots),
        cutter_(std::make_shared<Cutter>()),
        caller_(Admit(backend, *context, kMethod, CallKind::kStream, {})) {
    const feed::MutexLock lock(&cutter_->mutex);
    cutter_->context = context;
  }

  void Begin(const v1::WatchExperimentRequest& request) {
    if (!caller_->status.ok()) return Finish(wire::ToGrpcStatus(caller_->status));
    const absl::StatusOr<Asked> asked = Parse(request);
    if (!asked.ok()) return Refuse(asked.status());
    experiment_ = asked->cursor.experiment;
    auto watcher = std::make_shared<feed::Watcher>(asked->cursor, asked->heartbeat,
                                                   backend_.clock(), Hooks(asked->cursor));
    watcher_ = watcher;
    const absl::Status added = backend_.hub->Add(watcher);
    if (!added.ok()) {
      watcher_ = nullptr;
      return Refuse(absl::IsResourceExhausted(added) ? wire::WithRetryDelay(added, kRetry) : added);
    }
    ShowCount();
    watcher->Start();
  }

  void OnWriteDone(bool ok) override { watcher_->WriteDone(ok, backend_.clock()); }
  void OnCancel() override {
    if (watcher_ != nullptr) watcher_->End(absl::CancelledError("the reader went away"));
  }
  void OnDone() override {
    {
      const feed::MutexLock lock(&cutter_->mutex);
      cutter_->context = nullptr;
    }
    if (watcher_ != nullptr) {
      backend_.hub->Remove(watcher_.get());
      ShowCount();
    }
    delete this;
  }

 private:
  // Those of reads hold copies only: their answers may come after the stream is gone.
  feed::Watcher::Hooks Hooks(const feed::Cursor& from) {
    feed::Watcher::Hooks hooks;
    hooks.snapshot = [&backend = backend_, &snapshots = snapshots_,
                      from](feed::Watcher::SnapshotCallback done) {
      Request request;
      request.answer = [&backend, &snapshots, from, done](const absl::Status&, const View& view) {
        auto snapshot = snapshots.Of(from.experiment, view);
        if (!snapshot.ok()) return done(snapshot.status());
        const bool is_ahead =
            from.event > view.last_event || from.metric > backend.metric_store->NewestSeq();
        if (is_ahead) return done(Ahead(from));
        done(std::shared_ptr<const feed::Snapshot>(*std::move(snapshot)));
      };
      if (!backend.coordinator->Push(std::move(request))) done(Busy());
    };
    hooks.rows = [&backend = backend_, experiment = from.experiment](
                     int64_t after, int limit, feed::Watcher::RowsCallback done) {
      const bool is_posted = backend.store_tasks->Push([&backend, experiment, after, limit, done] {
        done(backend.metric_store->ReadFeed(experiment, after, limit));
      });
      if (!is_posted) done(Busy());
    };
    hooks.write = [this](const feed::Update& update) { Write(update); };
    hooks.finish = [this](const absl::Status& status, const feed::Cursor& last) {
      if (absl::IsResourceExhausted(status)) backend_.metrics->WatchCut();  // a slow reader
      Refuse(WithCursor(status, last));
    };
    hooks.abort = [cutter = cutter_] { cutter->Cut(); };
    return hooks;
  }

  void Refuse(const absl::Status& status) {
    Resource about;
    if (!experiment_.empty()) about = {"experiment", core::ExperimentName(experiment_)};
    CallEnded(backend_, kMethod, *caller_, about, status);
    const bool is_about = !status.ok() && !experiment_.empty();
    Finish(
        wire::ToGrpcStatus(is_about ? wire::WithResource(status, about.type, about.name) : status));
  }

  void Write(const feed::Update& update) {
    {
      const feed::MutexLock lock(&mutex_);
      Fill(update);
    }
    // Without the lock: gRPC may run OnWriteDone before this returns.
    StartWrite(&response_);
  }

  void Fill(const feed::Update& update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    response_.Clear();
    response_.set_cursor(feed::ToString(update.cursor));
    if (const auto* snapshot = std::get_if<std::shared_ptr<const feed::Snapshot>>(&update.body)) {
      snapshot_ = std::static_pointer_cast<const ExperimentSnapshot>(*snapshot);
      *response_.mutable_experiment() = snapshot_->message;
    } else if (const auto* row = std::get_if<store::FeedRow>(&update.body)) {
      FillRow(*row);
    } else if (const auto* terminal = std::get_if<feed::TerminalUpdate>(&update.body)) {
      const auto last = std::static_pointer_cast<const ExperimentSnapshot>(terminal->snapshot);
      response_.mutable_terminal()->set_state(last->message.state());
      if (last->message.has_state_reason()) {
        *response_.mutable_terminal()->mutable_state_reason() = last->message.state_reason();
      }
    } else {
      *response_.mutable_heartbeat()->mutable_time() = wire::ToProto(backend_.clock());
    }
  }

  void FillRow(const store::FeedRow& row) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    if (const auto* point = std::get_if<store::TrainPoint>(&row.value)) {
      *response_.mutable_train_point() = Encode(experiment_, *point);
      return;
    }
    if (const auto* rewind = std::get_if<store::Rewind>(&row.value)) {
      *response_.mutable_rewind() = Encode(experiment_, *rewind);
      return;
    }
    const auto& cell = std::get<store::Cell>(row.value);
    *response_.mutable_cell() = Encode(experiment_, cell, snapshot_->cell_format);
    const auto arms = snapshot_->arms.find(cell.job);
    if (arms == snapshot_->arms.end()) return;
    for (const std::string& arm : arms->second) response_.mutable_cell()->add_arms(arm);
  }

  void ShowCount() { backend_.metrics->SetWatchStreams(backend_.hub->NumWatchers()); }

  Backend& backend_;
  SnapshotCache& snapshots_;
  const std::shared_ptr<Cutter> cutter_;
  const std::shared_ptr<const Caller> caller_;
  std::string experiment_;
  std::shared_ptr<feed::Watcher> watcher_;
  // Writes follow one another, each perhaps on another thread.
  feed::Mutex mutex_;
  std::shared_ptr<const ExperimentSnapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  v1::WatchExperimentResponse response_;  // filled under the lock; gRPC reads it until OnWriteDone
};

}  // namespace

absl::StatusOr<std::shared_ptr<const ExperimentSnapshot>> SnapshotCache::Of(
    const std::string& experiment, const View& view) {
  const auto found = view.state.experiments.find(experiment);
  if (found == view.state.experiments.end()) {
    known_.erase(experiment);
    return absl::NotFoundError("no experiment \"" + experiment + "\"");
  }
  const auto version = view.versions.find(experiment);
  auto made = std::make_shared<ExperimentSnapshot>();
  made->version = version == view.versions.end() ? 0 : version->second;
  made->is_terminal = coordinator::IsTerminal(found->second.state);
  for (const coordinator::Job& job : found->second.jobs) {
    if (job.state != coordinator::RunState::kQueued) continue;
    made->is_waiting = true;
    made->reasons.push_back(ReasonOf(found->second, job, view));
  }
  std::shared_ptr<const ExperimentSnapshot> shared = known_[experiment].lock();
  if (shared != nullptr && shared->version == made->version && shared->reasons == made->reasons) {
    return shared;
  }
  made->message = Encode(found->second, view, Detail::kWithoutSpec);
  made->cell_format = core::CellFormat(found->second.spec.evaluation);
  for (const coordinator::Job& job : found->second.jobs) made->arms[job.plan.id] = ArmNames(job);
  known_[experiment] = made;
  return std::shared_ptr<const ExperimentSnapshot>(std::move(made));
}

Reactor* MakeWatch(Backend& backend, SnapshotCache& snapshots, grpc::CallbackServerContext* context,
                   const v1::WatchExperimentRequest& request) {
  auto* reactor = new WatchReactor(backend, snapshots, context);
  reactor->Begin(request);
  return reactor;
}

}  // namespace jenner::rpc
