#include "server/rpc/workers.h"

#include <algorithm>
#include <memory>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/names.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/status.h"
#include "core/version.h"
#include "server/coordinator/decide.h"
#include "server/rpc/paging.h"
#include "server/rpc/transfer.h"
#include "wire/channel.h"
#include "wire/convert.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr int kMaxSlots = 1024;
constexpr int kMaxModels = 1000;
constexpr int kMaxReports = 4096;
constexpr int kMaxKeptJobs = 1000;
// Of ranks that an answer tells of for the first time: with one more, whose spec has at most about
// 1.5 MiB and whose files at most 1 MiB, still well below wire::kMaxMessageBytes.
constexpr int64_t kMaxNewsBytes = int64_t{3} << 20;
constexpr int kMaxArtifacts = 1000;
constexpr size_t kMaxText = 255;
constexpr size_t kMaxLogBytes = size_t{64} << 10;

// A host's name is a fine worker's name: letters, digits, '.', '_' and '-'.
bool IsWorkerId(const std::string& id) {
  return !id.empty() && id.size() <= 63 &&
         id.find_first_not_of(
             "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") ==
             std::string::npos;
}

coordinator::RankKey ToKey(const v1::RankKey& key) {
  return {key.experiment(), key.job(), key.attempt(), key.rank()};
}

v1::RankKey ToProto(const coordinator::RankKey& key) {
  v1::RankKey message;
  message.set_experiment(key.experiment);
  message.set_job(key.job);
  message.set_attempt(key.attempt);
  message.set_rank(key.rank);
  return message;
}

// What is stale must be dropped, and so must what belongs to an experiment that is gone.
// And a worker speaks for the ranks that were given to it only.
absl::Status CheckCurrent(const View& view, const coordinator::RankKey& key,
                          const auth::Principal& principal) {
  const absl::Status checked = coordinator::CheckAttempt(view.state, key);
  if (checked.ok()) {
    const coordinator::Job& job = *view.state.experiments.at(key.experiment).Find(key.job);
    return auth::CheckWorker(principal, job.ranks[static_cast<size_t>(key.rank)].worker);
  }
  const absl::Status stale = wire::WithReason(checked, "STALE_ATTEMPT");
  if (!core::IsId(key.experiment) || !core::IsId(key.job)) return stale;
  return wire::WithResource(stale, "job", core::JobName(key.experiment, key.job));
}

using Files = google::protobuf::RepeatedPtrField<v1::ArtifactReport>;

void CheckFiles(const Files& files, const std::string& path, core::Faults* faults) {
  for (const v1::ArtifactReport& file : files) {
    if (core::IsPathBelow(file.path()) && core::IsSha256Hex(file.sha256()) &&
        file.size_bytes() >= 0) {
      continue;
    }
    faults->push_back({path, "expected a relative path, a SHA-256 and a size each"});
    return;
  }
}

std::vector<coordinator::Artifact> ToCore(const Files& files) {
  std::vector<coordinator::Artifact> artifacts;
  for (const v1::ArtifactReport& file : files) {
    artifacts.push_back({file.path(), file.sha256(), file.size_bytes()});
  }
  return artifacts;
}

void CheckReport(const v1::RankReport& report, int index, core::Faults* faults) {
  const std::string path = absl::StrFormat("ranks[%d]", index);
  const bool is_phase = report.phase() >= v1::RankReport::PHASE_PREPARING &&
                        report.phase() <= v1::RankReport::PHASE_ENDED;
  if (!is_phase) faults->push_back({path + ".phase", "expected PREPARING to ENDED"});
  if (report.store_address().size() > kMaxText) {
    faults->push_back({path + ".store_address", "too long"});
  }
  if (report.artifacts_size() > kMaxArtifacts) {
    faults->push_back({path + ".artifacts", absl::StrFormat("at most %d", kMaxArtifacts)});
  }
  CheckFiles(report.artifacts(), path + ".artifacts", faults);
  const v1::Checkpoint& checkpoint = report.checkpoint();
  CheckFiles(checkpoint.files(), path + ".checkpoint.files", faults);
  if (report.has_checkpoint() &&
      (checkpoint.step() < 1 || checkpoint.files_size() == 0 ||
       checkpoint.files_size() > static_cast<int>(coordinator::kMaxCheckpointFiles))) {
    faults->push_back({path + ".checkpoint", absl::StrFormat("expected a step and 1 to %d files",
                                                             coordinator::kMaxCheckpointFiles)});
  }
  if (report.resumed_step() < 0) faults->push_back({path + ".resumed_step", "expected >= 0"});
}

core::Faults Check(const v1::SynchronizeRequest& request) {
  core::Faults faults;
  if (!IsWorkerId(request.worker())) {
    faults.push_back({"worker", "expected 1 to 63 letters, digits, '.', '_' or '-'"});
  }
  if (request.boot_id().empty() || request.boot_id().size() > kMaxText) {
    faults.push_back({"boot_id", "expected 1 to 255 bytes"});
  }
  if (request.slots() < 0 || request.slots() > kMaxSlots) {
    faults.push_back({"slots", absl::StrFormat("expected 0 to %d", kMaxSlots)});
  }
  if (request.gpus() < 0 || request.gpus() > coordinator::kMaxGpus) {
    faults.push_back({"gpus", absl::StrFormat("expected 0 to %d", coordinator::kMaxGpus)});
  }
  if (request.models_size() > kMaxModels) {
    faults.push_back({"models", absl::StrFormat("at most %d", kMaxModels)});
  }
  if (request.host().size() > kMaxText) faults.push_back({"host", "too long"});
  if (request.version().size() > kMaxText) faults.push_back({"version", "too long"});
  if (request.kept_jobs_size() > kMaxKeptJobs) {
    faults.push_back({"kept_jobs", absl::StrFormat("at most %d", kMaxKeptJobs)});
  }
  if (!request.only_job().empty() && !core::IsJobPath(request.only_job())) {
    faults.push_back({"only_job", "expected EXPERIMENT/JOB"});
  }
  if (request.ranks_size() > kMaxReports) {
    faults.push_back({"ranks", absl::StrFormat("at most %d", kMaxReports)});
  }
  for (int i = 0; i < std::min(request.ranks_size(), kMaxReports); ++i) {
    CheckReport(request.ranks(i), i, &faults);
  }
  return faults;
}

absl::Status VersionsDiffer(const v1::SynchronizeRequest& request, const std::string& own) {
  return wire::WithReason(
      absl::FailedPreconditionError(absl::StrFormat(
          "worker \"%s\" has version %s, this coordinator %s: they work together only if their "
          "minor "
          "versions differ by at most one (docs/operations.md); upgrade the older one",
          request.worker(), request.version(), own)),
      "VERSION_SKEW");
}

coordinator::RankReport ToReport(const v1::RankReport& message) {
  coordinator::RankReport report;
  report.key = ToKey(message.key());
  report.phase = static_cast<coordinator::Phase>(message.phase() - v1::RankReport::PHASE_PREPARING);
  report.store_address = message.store_address();
  report.step = message.step();
  report.total_steps = message.total_steps();
  report.exit_code = message.exit_code();
  report.error.code = message.error_code();
  report.error.message = message.error_message();
  report.artifacts = ToCore(message.artifacts());
  report.resumed_step = message.resumed_step();
  report.checkpoint_step = message.checkpoint().step();
  report.checkpoint_files = ToCore(message.checkpoint().files());
  return report;
}

coordinator::WorkerSync ToCommand(const v1::SynchronizeRequest& request) {
  coordinator::WorkerSync sync;
  sync.worker = request.worker();
  sync.boot_id = request.boot_id();
  sync.slots = request.slots();
  sync.models.assign(request.models().begin(), request.models().end());
  sync.host = request.host();
  sync.version = request.version();
  sync.gpus = request.gpus();
  sync.only_job = request.only_job();
  for (const v1::RankReport& report : request.ranks()) sync.ranks.push_back(ToReport(report));
  return sync;
}

void Encode(const std::vector<coordinator::Artifact>& files, Files* message) {
  for (const coordinator::Artifact& file : files) {
    v1::ArtifactReport* written = message->Add();
    written->set_path(file.path);
    written->set_sha256(file.sha256);
    written->set_size_bytes(file.size_bytes);
  }
}

void ShowFigures(Backend& backend, const telemetry::SeriesOwner& owner,
                 const std::vector<store::FeedRow>& rows) {
  for (const store::FeedRow& row : rows) {
    if (const auto* point = std::get_if<store::TrainPoint>(&row.value)) {
      const store::TrainStep& step = point->step;
      backend.metrics->Train(owner, {step.step, step.loss, step.tokens, step.tokens_per_second,
                                     step.gradient_norm, step.learning_rate, backend.clock()});
    } else if (const auto* cell = std::get_if<store::Cell>(&row.value)) {
      ShowCell(owner, *cell, backend.metrics);
    }
  }
}

// On the store thread.
void StoreBatch(const Call& call, const store::TelemetryBatch& batch,
                const telemetry::SeriesOwner& owner) {
  Backend& backend = *call.backend;
  const absl::Time begin = absl::Now();
  const absl::StatusOr<std::vector<store::FeedRow>> rows = backend.metric_store->Add(batch);
  backend.metrics->StoreCommitted("metrics", absl::Now() - begin);
  call.Finish(rows.status());
  if (!rows.ok() || rows->empty()) return;
  ShowFigures(backend, owner, *rows);
  backend.hub->NotifyRows(batch.rank.experiment);
}

v1::Worker::Cordon CordonOf(const std::string& id, const coordinator::State& state) {
  const auto found = state.cordons.find(id);
  if (found == state.cordons.end()) return v1::Worker::CORDON_UNSPECIFIED;
  if (found->second == coordinator::Cordon::kCordoned) return v1::Worker::CORDON_CORDONED;
  return coordinator::HeldOn(state, id) == coordinator::Held() ? v1::Worker::CORDON_DRAINED
                                                               : v1::Worker::CORDON_DRAINING;
}

void EncodeWorker(const std::string& id, const coordinator::WorkerInfo& info, const View& view,
                  v1::Worker* worker) {
  worker->set_name(core::WorkerName(id));
  worker->set_liveness(coordinator::IsAlive(view.state, id, view.now) ? v1::Worker::LIVENESS_ALIVE
                                                                      : v1::Worker::LIVENESS_LOST);
  worker->set_cordon(CordonOf(id, view.state));
  worker->set_slots(info.slots);
  const coordinator::Held held = coordinator::HeldOn(view.state, id);
  worker->set_slots_used(held.slots);
  for (const std::string& model : info.models) worker->add_models(model);
  worker->set_version(info.version);
  worker->set_gpus(info.gpus);
  worker->set_gpus_used(held.gpus);
  worker->set_only_job(info.only_job);
  if (info.last_seen != absl::InfinitePast()) {
    *worker->mutable_since_last_seen() = wire::ToProto(view.now - info.last_seen);
  }
}

// Decides `verb` about the worker named and answers what it then is.
template <typename Verb>
void DoVerb(Call call, const std::string& name, Verb verb, v1::Worker* answer) {
  static constexpr std::string_view kPrefix = "workers/";
  verb.worker = name.substr(std::min(kPrefix.size(), name.size()));
  if (name.rfind(kPrefix, 0) != 0 || !IsWorkerId(verb.worker)) {
    return call.Finish(wire::FaultStatus(
        "name", absl::StrFormat("expected workers/{worker}; found \"%s\"", name.substr(0, 80))));
  }
  call.resource = {"worker", name};
  call.Do(verb, [call, answer, id = verb.worker](const View& view) {
    const auto found = view.state.liveness.workers.find(id);
    const bool is_known = found != view.state.liveness.workers.end();
    EncodeWorker(id, is_known ? found->second : coordinator::WorkerInfo(), view, answer);
    call.Finish(absl::OkStatus());
  });
}

}  // namespace

grpc::ServerUnaryReactor* WorkersService::CordonWorker(grpc::CallbackServerContext* context,
                                                       const v1::CordonWorkerRequest* request,
                                                       v1::CordonWorkerResponse* response) {
  const Call call(backend_, context, "Workers/CordonWorker", {"worker", request->name()});
  const auto cordon =
      request->drain() ? coordinator::Cordon::kDraining : coordinator::Cordon::kCordoned;
  DoVerb(call, request->name(), coordinator::CordonWorker{"", cordon}, response->mutable_worker());
  return call.reactor;
}

grpc::ServerUnaryReactor* WorkersService::UncordonWorker(grpc::CallbackServerContext* context,
                                                         const v1::UncordonWorkerRequest* request,
                                                         v1::UncordonWorkerResponse* response) {
  const Call call(backend_, context, "Workers/UncordonWorker", {"worker", request->name()});
  DoVerb(call, request->name(), coordinator::UncordonWorker{}, response->mutable_worker());
  return call.reactor;
}

grpc::ServerUnaryReactor* WorkersService::Synchronize(grpc::CallbackServerContext* context,
                                                      const v1::SynchronizeRequest* request,
                                                      v1::SynchronizeResponse* response) {
  Call call(backend_, context, "Workers/Synchronize");
  const absl::Status own = auth::CheckWorker(call.caller->principal, request->worker());
  if (!own.ok()) {
    call.Finish(own);
    return call.reactor;
  }
  const core::Faults faults = Check(*request);
  if (faults.empty()) {
    call.resource = {"worker", core::WorkerName(request->worker())};
    if (core::SkewOf(request->version(), backend_.version) == core::VersionSkew::kFar) {
      call.Finish(VersionsDiffer(*request, backend_.version));
      return call.reactor;
    }
  } else {
    call.Finish(wire::FaultsStatus(faults));
    return call.reactor;
  }
  coordinator::WorkerSync sync = ToCommand(*request);
  const std::string worker = sync.worker;
  call.Do(std::move(sync), [call, request, response, worker](const View& view) {
    std::set<coordinator::RankKey> reported;
    for (const v1::RankReport& report : request->ranks()) reported.insert(ToKey(report.key()));
    int64_t news_bytes = 0;
    for (const coordinator::Assignment& one : coordinator::Desired(view.state, worker)) {
      const bool is_new = reported.count(one.key) == 0;
      // What does not fit comes with the next answer.
      if (is_new && news_bytes > kMaxNewsBytes) continue;
      v1::Assignment* assignment = response->add_assignments();
      *assignment->mutable_key() = ToProto(one.key);
      assignment->set_world_size(one.world_size);
      assignment->set_store_address(one.store_address);
      assignment->set_stop(one.stop);
      assignment->set_kill(one.stop && one.kill);
      assignment->set_is_final(one.is_final);
      if (!is_new) continue;
      assignment->set_job_spec_json(core::ToJson(*one.spec));
      if (one.checkpoint != nullptr) {
        assignment->mutable_checkpoint()->set_step(one.checkpoint->step);
        Encode(one.checkpoint->files, assignment->mutable_checkpoint()->mutable_files());
      }
      if (one.initial != nullptr) Encode(*one.initial, assignment->mutable_initial());
      news_bytes += static_cast<int64_t>(assignment->ByteSizeLong());
    }
    for (const std::string& job : request->kept_jobs()) {
      if (coordinator::HasEnded(view.state, job)) response->add_ended_jobs(job);
    }
    if (coordinator::HasEnded(view.state, request->only_job())) {
      response->add_ended_jobs(request->only_job());
    }
    const Limits& limits = call.backend->limits;
    *response->mutable_lease_duration() = wire::ToProto(limits.lease);
    *response->mutable_next_synchronize() =
        wire::ToProto(std::min(limits.next_synchronize, limits.lease / 3));
    call.Finish(absl::OkStatus());
  });
  return call.reactor;
}

grpc::ServerUnaryReactor* WorkersService::UploadTelemetry(grpc::CallbackServerContext* context,
                                                          const v1::UploadTelemetryRequest* request,
                                                          v1::UploadTelemetryResponse*) {
  const Call call(backend_, context, "Workers/UploadTelemetry");
  const auto size = static_cast<int64_t>(request->ByteSizeLong());
  if (size > wire::kMaxTelemetryBytes) {
    call.Finish(absl::ResourceExhaustedError(
        absl::StrFormat("a batch of %d bytes; at most %d", size, wire::kMaxTelemetryBytes)));
    return call.reactor;
  }
  if (request->log().size() > kMaxLogBytes || request->log_offset() < 0) {
    call.Finish(wire::FaultStatus(
        "log", absl::StrFormat("expected at most %d bytes at an offset >= 0", kMaxLogBytes)));
    return call.reactor;
  }
  call.Ask([call, request](const View& view) {
    const coordinator::RankKey key = ToKey(request->key());
    const absl::Status current = CheckCurrent(view, key, call.caller->principal);
    if (!current.ok()) return call.Finish(current);
    const coordinator::Experiment& experiment = view.state.experiments.at(key.experiment);
    const coordinator::Job& job = *experiment.Find(key.job);
    store::TelemetryBatch batch;
    batch.rank = {key.experiment, key.job, key.attempt, key.rank};
    batch.num_ranks = job.plan.spec.ranks;
    batch.event_json.assign(request->event_json().begin(), request->event_json().end());
    batch.log = request->log();
    batch.log_offset = request->log_offset();
    batch.time = view.now;
    call.OnStoreThread(
        [call, batch = std::move(batch), owner = telemetry::OwnerOf(experiment, job)] {
          StoreBatch(call, batch, owner);
        });
  });
  return call.reactor;
}

grpc::ServerReadReactor<v1::UploadBlobRequest>* WorkersService::UploadBlob(
    grpc::CallbackServerContext* context, v1::UploadBlobResponse*) {
  using Reactor = UploadReactor<v1::UploadBlobRequest>;
  Reactor::Hooks hooks;
  hooks.about = [](const v1::UploadBlobRequest& first) {
    return Resource{"blob", "blobs/" + first.header().sha256()};
  };
  // Of checkpoints the event log tells.
  hooks.is_recorded = [](const v1::UploadBlobRequest& first) {
    return first.header().checkpoint();
  };
  const auto uploaded = std::make_shared<v1::UploadBlobHeader>();
  hooks.open = [&backend = backend_, uploaded](const v1::UploadBlobRequest& first,
                                               const auth::Principal& principal,
                                               Reactor::Opened opened) {
    *uploaded = first.header();
    Request question;
    question.answer = [&backend, header = first.header(), principal, opened](const absl::Status&,
                                                                             const View& view) {
      const absl::Status current = CheckCurrent(view, ToKey(header.key()), principal);
      if (!current.ok()) return opened(current);
      const bool is_posted = backend.file_tasks->Push([&backend, header, opened] {
        opened(backend.blobs->Create(header.sha256(), header.size_bytes(),
                                     backend.limits.max_blob_bytes));
      });
      if (!is_posted) opened(Busy());
    };
    if (!backend.coordinator->Push(std::move(question))) opened(Busy());
  };
  hooks.commit = [&backend = backend_, uploaded](std::unique_ptr<store::BlobWriter> writer) {
    RETURN_IF_ERROR(writer->Commit());
    if (uploaded->checkpoint()) {
      backend.checkpoint_files->insert(uploaded->sha256());
    } else {
      backend.checkpoint_files->erase(uploaded->sha256());
    }
    return absl::OkStatus();
  };
  return new Reactor(backend_, "Workers/UploadBlob", context, std::move(hooks));
}

grpc::ServerWriteReactor<v1::DownloadBlobResponse>* WorkersService::DownloadBlob(
    grpc::CallbackServerContext* context, const v1::DownloadBlobRequest* request) {
  return new DownloadReactor<v1::DownloadBlobResponse>(backend_, "Workers/DownloadBlob", *context,
                                                       request->sha256(),
                                                       {"blob", "blobs/" + request->sha256()});
}

grpc::ServerUnaryReactor* WorkersService::ListWorkers(grpc::CallbackServerContext* context,
                                                      const v1::ListWorkersRequest* request,
                                                      v1::ListWorkersResponse* response) {
  const Call call(backend_, context, "Workers/ListWorkers");
  static constexpr char kBinding[] = "ListWorkers";
  const absl::StatusOr<int32_t> size = PageSize(request->page_size());
  const absl::StatusOr<std::vector<std::string>> position =
      PagePosition(kBinding, request->page_token(), 1);
  if (!size.ok() || !position.ok()) {
    call.Finish(size.ok() ? position.status() : size.status());
    return call.reactor;
  }
  const std::string after = position->empty() ? "" : position->front();
  call.Ask([call, response, after, limit = *size](const View& view) {
    const auto& workers = view.state.liveness.workers;
    for (auto at = workers.upper_bound(after); at != workers.end(); ++at) {
      if (response->workers_size() == limit) {
        response->set_next_page_token(PageToken(kBinding, {std::prev(at)->first}));
        break;
      }
      EncodeWorker(at->first, at->second, view, response->add_workers());
    }
    call.Finish(absl::OkStatus());
  });
  return call.reactor;
}

}  // namespace jenner::rpc
