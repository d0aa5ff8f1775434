#include "worker/agent/agent.h"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <optional>
#include <random>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/exit_code.h"
#include "core/status.h"
#include "wire/status.h"
#include "worker/agent/gpus.h"
#include "worker/agent/housekeeping.h"
#include "worker/agent/log.h"
#include "worker/agent/rank.h"

namespace jenner::agent {
namespace {

constexpr absl::Duration kTick = absl::Milliseconds(100);
constexpr absl::Duration kOrphanPatience = absl::Seconds(10);
constexpr absl::Duration kHousekeeping = absl::Minutes(1);
constexpr absl::Duration kSynchronizeTimeout = absl::Seconds(5);
constexpr int64_t kFactsBytes = int64_t{1} << 20;  // the longest event line
constexpr int64_t kLastWordsBytes = 2000;
constexpr int kMaxRounds = 8;  // of Reconcile: stop, end, drop, prepare and start follow each other

std::string RandomId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x", device(), device());
}

Outcome Failure(core::ExitCode exit_code, std::string code, std::string message) {
  return {static_cast<int>(exit_code), std::move(code), ToUtf8(std::move(message), kMaxErrorBytes)};
}

v1::RankReport::Phase ToProto(Phase phase) {
  switch (phase) {
    case Phase::kPreparing:
    case Phase::kReady:
      return v1::RankReport::PHASE_PREPARING;
    case Phase::kRunning:
      return v1::RankReport::PHASE_RUNNING;
    case Phase::kUploading:
      return v1::RankReport::PHASE_UPLOADING;
    case Phase::kEnded:
      return v1::RankReport::PHASE_ENDED;
  }
  return v1::RankReport::PHASE_UNSPECIFIED;
}

}  // namespace

Agent::Agent(AgentOptions options)
    : options_(std::move(options)),
      boot_id_(RandomId()),
      link_(options_.server, options_.tls),
      judges_(options_.judges, options_.tls, options_.judge_timeout) {}

Agent::~Agent() {
  for (const auto& [key, rank] : ranks_) {
    if (rank->phase == Phase::kRunning) KillGroup(rank->child.identity);
  }
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentOptions options) {
  if (FileSize(options.trainer) < 0) {
    return absl::NotFoundError("--trainer: " + options.trainer + ": no such file");
  }
  const std::string& work = options.work_dir;
  RETURN_IF_ERROR(MakeFolders(work + "/data"));
  RETURN_IF_ERROR(MakeFolders(work + "/attempts"));
  ASSIGN_OR_RETURN(UniqueFd lock, LockFile(work + "/lock"));
  KillOrphans(work + "/attempts", kOrphanPatience);
  RETURN_IF_ERROR(RemoveTree(work + "/attempts"));
  RETURN_IF_ERROR(MakeFolders(work + "/attempts"));
  std::unique_ptr<Agent> agent(new Agent(std::move(options)));
  agent->lock_ = std::move(lock);
  return agent;
}

v1::SynchronizeRequest Agent::Report(bool with_progress) {
  v1::SynchronizeRequest request;
  request.set_worker(options_.name);
  request.set_boot_id(boot_id_);
  request.set_slots(draining_ ? 0 : options_.slots);
  request.set_gpus(draining_ ? 0 : options_.gpus);
  request.set_host(options_.host);
  request.set_version(JENNER_VERSION);
  request.set_only_job(options_.only_job);
  for (const std::string& name : models_) request.add_models(name);
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) {
    v1::RankReport* report = request.add_ranks();
    *report->mutable_key() = ToProto(key);
    report->set_phase(ToProto(rank->phase));
    report->set_store_address(rank->facts.store_address);
    report->set_total_steps(rank->facts.total_steps);
    if (with_progress) report->set_step(rank->facts.step);
    const bool has_succeeded = rank->phase == Phase::kEnded && rank->outcome.exit_code == 0;
    report->set_resumed_step(rank->facts.resumed_step);
    if (rank->shared.step() > 0 && !has_succeeded) *report->mutable_checkpoint() = rank->shared;
    if (rank->phase != Phase::kEnded) continue;
    report->set_exit_code(rank->outcome.exit_code);
    report->set_error_code(rank->outcome.error_code);
    report->set_error_message(rank->outcome.error_message);
    if (!has_succeeded) continue;
    for (const Artifact& artifact : rank->facts.artifacts) {
      v1::ArtifactReport* out = report->add_artifacts();
      out->set_path(artifact.name);
      out->set_sha256(artifact.sha256);
      out->set_size_bytes(artifact.size_bytes);
    }
  }
  return request;
}

void Agent::TakeAssignments(const v1::SynchronizeResponse& response) {
  wanted_.clear();
  for (const v1::Assignment& assignment : response.assignments()) {
    const v1::RankKey& key = assignment.key();
    wanted_[{key.experiment(), key.job(), key.attempt(), key.rank()}] = assignment;
  }
  if (response.has_lease_duration()) lease_ = absl::Seconds(response.lease_duration().seconds());
  if (response.has_next_synchronize()) {
    pause_ = absl::Seconds(response.next_synchronize().seconds()) +
             absl::Nanoseconds(response.next_synchronize().nanos());
  }
}

// Of which there are checkpoints here, but no rank; the coordinator takes so many at once.
std::set<std::string> Agent::KeptJobs() {
  constexpr size_t kMaxKeptJobs = 1000;
  std::set<std::string> own;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, rank] : ranks_) own.insert(JobName(key));
  }
  std::set<std::string> kept;
  const std::string out = options_.work_dir + "/out/";
  for (const std::string& experiment : ListFolder(out)) {
    for (const std::string& job : ListFolder(out + experiment)) {
      const std::string name = absl::StrCat(experiment, "/", job);
      if (own.count(name) == 0 && kept.size() < kMaxKeptJobs) kept.insert(name);
    }
  }
  return kept;
}

void Agent::Forget(const std::string& job) {
  const std::filesystem::path folder = options_.work_dir + "/out/" + job;
  const absl::Status removed = RemoveTree(folder.string());
  if (!removed.ok()) Log(Level::kWarning, removed.ToString());
  std::error_code not_empty;
  std::filesystem::remove(folder.parent_path(), not_empty);
}

void Agent::Synchronize() {
  models_.clear();
  for (const std::string& name : ListFolder(options_.models_dir)) {
    if (FileSize(options_.models_dir + "/" + name + "/config.json") >= 0) models_.push_back(name);
  }
  const absl::Time asked_at = MonotonicNow();
  // Here, too: an answer must not hide that the lease was over when it was asked for.
  if (asked_at >= lease_until_) FenceOff();
  const std::string telling = Report(false).SerializeAsString();
  absl::Duration timeout = std::min<absl::Duration>(lease_ / 3, kSynchronizeTimeout);
  // Not beyond the end of the lease.
  if (asked_at < lease_until_) timeout = std::min(timeout, lease_until_ - asked_at);
  v1::SynchronizeRequest report = Report(true);
  const std::set<std::string> kept = KeptJobs();
  for (const std::string& job : kept) report.add_kept_jobs(job);
  const auto response = link_.Synchronize(report, timeout);
  next_synchronize_ = MonotonicNow() + std::min(pause_, lease_ / 3);
  is_refused_ = wire::ReasonOf(response.status()) == "VERSION_SKEW";
  if (response.ok()) {
    if (!heard_) Log(Level::kInfo, "synchronize: the coordinator answers again");
    heard_ = is_known_ = true;
    fault_ = absl::StatusCode::kOk;
    told_ = telling;
    TakeAssignments(*response);
    for (const std::string& job : response->ended_jobs()) {
      if (kept.count(job) > 0) Forget(job);
      if (job == options_.only_job && !has_done_its_job_) {
        Log(Level::kInfo, job + " has ended, and so does this worker");
        has_done_its_job_ = true;
        Stop();
      }
    }
    // Counted from the question: the coordinator's own lease began at or after it.
    lease_until_ = asked_at + lease_;
    return;
  }
  const absl::Status& status = response.status();
  heard_ = false;
  const bool is_away =
      absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) || absl::IsCancelled(status);
  const absl::StatusCode fault = is_away ? absl::StatusCode::kUnavailable : status.code();
  const bool is_of_certificate =
      absl::IsPermissionDenied(status) || absl::IsUnauthenticated(status);
  if (is_of_certificate && !is_known_) {
    refusal_ = status;
    Stop();
  } else if (fault != fault_) {  // one that was away may refuse once it is back
    const char* hint = options_.tls && !is_known_ && absl::IsUnavailable(status)
                           ? "; with TLS also if one side does not trust the other's certificate"
                           : "";
    Log(Level::kWarning, absl::StrCat("synchronize: ", status.ToString(), hint));
  }
  fault_ = fault;
}

// The lease is over: the ranks may have been given away.
void Agent::FenceOff() {
  heard_ = false;
  wanted_.clear();
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) {
    if (rank->phase == Phase::kUploading || rank->phase == Phase::kEnded || rank->verdict) continue;
    LogRank(Level::kWarning, key, "the lease is over");
    GiveUp(rank.get());
    const Outcome lost = Failure(core::ExitCode::kPeerLost, "LEASE_LOST",
                                 "the worker did not hear from the coordinator in time");
    rank->verdict = lost;
    if (rank->phase == Phase::kRunning) {
      KillGroup(rank->child.identity);
    } else {
      rank->outcome = lost;
      rank->phase = Phase::kEnded;
    }
  }
}

absl::Status Agent::Prepare(Rank* rank) {
  rank->folder = options_.work_dir + "/attempts/" + ToString(rank->key);
  rank->datasets = DatasetsOf(rank->job_json);
  rank->on_gpu = WantsGpu(rank->job_json);
  rank->judged_traits = JudgedTraitsOf(rank->job_json);
  RETURN_IF_ERROR(MakeFolders(rank->folder));
  RETURN_IF_ERROR(WriteFileAtomically(rank->folder + "/job.json", rank->job_json, /*sync=*/false));
  rank->phase = Phase::kPreparing;
  return absl::OkStatus();
}

// One that no other process here has, if the job asks for it; false: there is none, and the rank
// has ended.
bool Agent::TakeGpu(Rank* rank) {
  if (!rank->on_gpu) return true;
  std::set<int> taken;
  for (const auto& [key, other] : ranks_) {
    if (other->phase == Phase::kRunning && other->gpu >= 0) taken.insert(other->gpu);
  }
  const std::optional<int> gpu = FreeGpu(options_.gpus, taken);
  if (gpu) {
    rank->gpu = *gpu;
    return true;
  }
  rank->outcome =
      Failure(core::ExitCode::kNoDevice, "NO_GPU",
              absl::StrFormat("the job asks for a GPU; this worker has %d (--gpus), %d in use",
                              options_.gpus, taken.size()));
  rank->phase = Phase::kEnded;
  LogRank(Level::kWarning, rank->key, rank->outcome.error_message);
  return false;
}

absl::Status Agent::Start(Rank* rank) {
  ChildOptions child;
  const std::string out = options_.work_dir + "/out/" + JobName(rank->key);
  const std::string threads = std::to_string(options_.threads_per_rank);
  child.command = {options_.trainer,
                   "--spec",
                   rank->folder + "/job.json",
                   "--models-dir",
                   options_.models_dir,
                   "--data-dir",
                   options_.work_dir + "/data",
                   "--out",
                   out,
                   "--threads",
                   threads,
                   "--rank",
                   std::to_string(rank->key.rank),
                   "--world-size",
                   std::to_string(rank->world_size),
                   "--events-fd",
                   "3"};
  if (rank->key.rank > 0) {
    child.command.insert(child.command.end(), {"--store", rank->store_address});
  } else {
    child.command.insert(child.command.end(), {"--store-host", options_.host});
  }
  if (!rank->initial.empty()) {
    child.command.insert(child.command.end(),
                         {"--initial", options_.work_dir + "/" + InitialFolder(rank->key)});
  }
  if (!options_.interface.empty()) {
    child.command.insert(child.command.end(), {"--interface", options_.interface});
  }
  if (rank->gpu >= 0) {
    child.command.insert(child.command.end(), {"--device", absl::StrCat("cuda:", rank->gpu)});
  }
  // Ranks that share cores must not spin while they wait.
  child.environment = {"OMP_NUM_THREADS=" + threads, "MKL_NUM_THREADS=" + threads,
                       "OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT=0"};
  child.events_path = rank->folder + "/events.jsonl";
  child.log_path = rank->folder + "/trainer.log";
  RETURN_IF_ERROR(MakeFolders(out));
  ASSIGN_OR_RETURN(rank->child, Spawn(child));
  rank->phase = Phase::kRunning;
  LogRank(Level::kInfo, rank->key, "started", {{"pid", absl::StrCat(rank->child.identity.pid)}});
  const absl::Status recorded = WriteFileAtomically(
      rank->folder + "/process", ProcessRecord(rank->child.identity), /*sync=*/false);
  if (!recorded.ok()) LogRank(Level::kWarning, rank->key, recorded.ToString());
  return absl::OkStatus();
}

void Agent::StopRank(Rank* rank) {
  LogRank(Level::kInfo, rank->key, "stopping");
  SignalProcess(rank->child.pidfd, SIGTERM);
  rank->stopping = true;
  rank->kill_at = MonotonicNow() + options_.stop_grace;
}

void Agent::Drop(const RankKey& key) {
  const std::shared_ptr<Rank> rank = ranks_.at(key);
  GiveUp(rank.get());
  ranks_.erase(key);
  const absl::Status removed = rank->folder.empty() ? absl::OkStatus() : RemoveTree(rank->folder);
  if (!removed.ok()) LogRank(Level::kWarning, key, removed.ToString());
  // Nobody resumes what has succeeded; but of a gang others may still fail, and all begin again
  // then.
  const bool has_succeeded = rank->phase == Phase::kEnded && rank->outcome.exit_code == 0;
  if (has_succeeded && rank->world_size == 1) Forget(JobName(key));
  for (const std::string& folder :
       {"/attempts/" + JobName(key), "/attempts/" + key.experiment, "/out/" + key.experiment}) {
    std::error_code not_empty;
    std::filesystem::remove(options_.work_dir + folder, not_empty);
  }
}

void Agent::Perform(const Action& action) {
  if (action.kind == ActionKind::kDrop) return Drop(action.key);
  std::shared_ptr<Rank>& rank = ranks_[action.key];
  const auto wanted = wanted_.find(action.key);
  if (rank == nullptr) {
    rank = std::make_shared<Rank>();
    rank->key = action.key;
    rank->job_json = wanted->second.job_spec_json();
    rank->world_size = wanted->second.world_size();
    rank->to_go_on_from = wanted->second.checkpoint();
    rank->initial = wanted->second.initial();
  }
  if (wanted != wanted_.end()) rank->store_address = wanted->second.store_address();
  absl::Status status;
  switch (action.kind) {
    case ActionKind::kPrepare:
      status = Prepare(rank.get());
      break;
    case ActionKind::kStart:
      if (!TakeGpu(rank.get())) return;
      status = Start(rank.get());
      break;
    case ActionKind::kStop:
      return StopRank(rank.get());
    case ActionKind::kKill:
      LogRank(Level::kInfo, action.key, "killing");
      rank->stopping = true;
      rank->killing = true;
      rank->kill_at = absl::InfinitePast();
      return;
    case ActionKind::kEnd:
      rank->outcome =
          Failure(core::ExitCode::kTerminated, "TERMINATED", "stopped before it started");
      rank->phase = Phase::kEnded;
      rank->calls.Cancel();
      return;
    case ActionKind::kDrop:
      return;
  }
  if (status.ok()) return;
  LogRank(Level::kWarning, action.key, status.ToString());
  rank->outcome = Failure(core::ExitCode::kStorage, "START_FAILED", std::string(status.message()));
  rank->phase = Phase::kEnded;
}

void Agent::Act() {
  std::vector<DesiredRank> desired;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, assignment] : wanted_) {
    desired.push_back(
        {key, !assignment.store_address().empty(), assignment.stop(), assignment.kill()});
    const auto rank = ranks_.find(key);
    if (rank != ranks_.end()) rank->second->is_final = assignment.is_final();
  }
  for (int round = 0; round < kMaxRounds; ++round) {
    std::vector<ActualRank> actual;
    for (const auto& [key, rank] : ranks_)
      actual.push_back({key, rank->phase, rank->stopping, rank->killing, rank->on_gpu});
    // Without the coordinator nothing is known to be unwanted; a lost lease has been dealt with.
    std::vector<Action> actions =
        Reconcile(desired, actual, {options_.slots, draining_, options_.gpus});
    if (!heard_) {
      std::erase_if(actions, [](const Action& action) { return action.kind == ActionKind::kDrop; });
    }
    if (actions.empty()) return;
    for (const Action& action : actions) Perform(action);
  }
}

void Agent::ReadFacts(Rank* rank) {
  while (true) {
    const auto lines = ReadLines(rank->folder + "/events.jsonl", rank->facts_offset, kFactsBytes);
    if (!lines.ok()) return LoseEvents(rank, lines.status());
    if (lines->lines.empty()) return;
    for (const std::string& line : lines->lines) Learn(line, &rank->facts);
    rank->facts_offset = lines->next_offset;
    TakeCheckpoint(rank);
  }
}

// What the trainer tells cannot be known any more, and its results with it.
void Agent::LoseEvents(Rank* rank, const absl::Status& status) {
  if (rank->verdict) return;
  LogRank(Level::kWarning, rank->key, status.ToString());
  rank->verdict = Failure(core::ExitCode::kStorage, "STORAGE",
                          "its events cannot be read: " + std::string(status.message()));
  GiveUp(rank);
  KillGroup(rank->child.identity);
}

void Agent::BoundFiles(Rank* rank) {
  const std::string log = rank->folder + "/trainer.log";
  if (const int64_t size = FileSize(log); size > options_.max_log_bytes) {
    std::error_code error;
    std::filesystem::resize_file(log, 0, error);
    if (!error) {
      rank->log_dropped += size;
      rank->log_offset = 0;
    }
  }
  if (!rank->verdict && FileSize(rank->folder + "/events.jsonl") > options_.max_events_bytes) {
    rank->verdict = Failure(core::ExitCode::kInternal, "INTERNAL",
                            absl::StrCat("jenner-trainer wrote more than ",
                                         options_.max_events_bytes, " bytes of events"));
    KillGroup(rank->child.identity);
  }
}

void Agent::CheckProgress(Rank* rank) {
  const int64_t bytes =
      rank->facts_offset + rank->log_dropped + FileSize(rank->folder + "/trainer.log");
  if (bytes != rank->told_bytes) {
    rank->told_bytes = bytes;
    rank->told_at = MonotonicNow();
    return;
  }
  // The other ranks have nothing to tell for long.
  if (rank->key.rank > 0 || rank->verdict || rank->stopping ||
      MonotonicNow() - rank->told_at < options_.progress_limit) {
    return;
  }
  rank->verdict =
      Failure(core::ExitCode::kInternal, "NO_PROGRESS",
              absl::StrCat("told nothing for ", absl::FormatDuration(options_.progress_limit)));
  LogRank(Level::kWarning, rank->key, rank->verdict->error_message);
  KillGroup(rank->child.identity);
}

void Agent::CheckChild(Rank* rank) {
  if (MonotonicNow() > rank->kill_at) KillGroup(rank->child.identity);
  const bool has_ended = HasEnded(rank->child.pidfd);
  const int exit_code = has_ended ? Reap(rank->child) : 0;
  ReadFacts(rank);
  BoundFiles(rank);
  if (!has_ended) return CheckProgress(rank);
  if (FileSize(rank->folder + "/events.jsonl") > rank->facts_offset) ++rank->facts.num_broken;
  const std::string log = rank->folder + "/trainer.log";
  const int64_t log_bytes = FileSize(log);
  const auto last_words =
      ReadPart(log, std::max<int64_t>(0, log_bytes - kLastWordsBytes), kLastWordsBytes);
  rank->outcome = rank->verdict ? *rank->verdict
                                : OutcomeOf(exit_code, rank->stopping, rank->facts,
                                            last_words.ok() ? *last_words : "");
  rank->phase = Phase::kUploading;
  if (exit_code == static_cast<int>(core::ExitCode::kCorruptCheckpoint)) SetAside(rank->key);
  if (rank->stale) GiveUp(rank);
  // The message has the last words of the trainer, if it ended without an event.
  LogRank(rank->outcome.exit_code == 0 ? Level::kInfo : Level::kWarning, rank->key, "ended",
          {{"exit_code", absl::StrCat(exit_code)},
           {"code", rank->outcome.error_code},
           {"error", rank->outcome.error_message}});
}

// Checkpoints of which none is whole: the next attempt is not to stumble over them again.
void Agent::SetAside(const RankKey& key) {
  const std::string out = options_.work_dir + "/out/" + JobName(key);
  const std::string aside = out + "/broken-checkpoints";
  absl::Status status = RemoveTree(aside);
  std::error_code error;
  std::filesystem::rename(out + "/checkpoints", aside, error);
  if (error) status.Update(absl::ErrnoToStatus(error.value(), "rename to " + aside));
  LogRank(Level::kWarning, key,
          "its checkpoints here are broken; " +
              (status.ok() ? "set aside in " + aside : status.ToString()));
}

void Agent::CheckChildren() {
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) {
    if (rank->phase == Phase::kRunning) CheckChild(rank.get());
  }
}

void Agent::KeepHouse() {
  if (MonotonicNow() < next_housekeeping_) return;
  next_housekeeping_ = MonotonicNow() + kHousekeeping;
  std::set<std::string> datasets;
  std::set<std::string> jobs;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, rank] : ranks_) {
      jobs.insert(JobName(key));
      for (const std::string& hash : rank->datasets) datasets.insert({hash, hash + ".tmp"});
    }
  }
  TrimCache(options_.work_dir + "/data", options_.max_cache_bytes, datasets);
  RemoveOld(options_.work_dir + "/attempts", absl::ZeroDuration(), absl::Now(), jobs);
  RemoveOld(options_.work_dir + "/out", options_.keep_checkpoints, absl::Now(), jobs);
}

// The coordinator knows everything but the progress.
bool Agent::IsTold() { return heard_ && Report(false).SerializeAsString() == told_; }

bool Agent::IsDrained() {
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    // Nobody waits for an agent without ranks.
    if (ranks_.empty() && !heard_) return true;
    const bool is_quiet = std::all_of(ranks_.begin(), ranks_.end(), [this](const auto& rank) {
      return rank.second->phase == Phase::kEnded ||
             (is_refused_ && rank.second->phase == Phase::kUploading);
    });
    if (!is_quiet) return false;
  }
  return is_refused_ || IsTold();
}

void Agent::Run() {
  absl::Time drain_until = absl::InfiniteFuture();
  while (MonotonicNow() < drain_until) {
    // First of all: who slept through the lease must not take the silence for its trainers'.
    if (MonotonicNow() >= lease_until_) FenceOff();
    CheckChildren();
    KeepHouse();
    Act();
    if (heard_ && !IsTold()) next_synchronize_ = MonotonicNow();
    if (MonotonicNow() >= next_synchronize_) {
      Synchronize();
      Act();
    }
    if (draining_) {
      drain_until = std::min(drain_until, MonotonicNow() + options_.drain_limit);
      if (IsDrained()) break;
    }
    if (link_.Pause(kTick) && !heard_) next_synchronize_ = MonotonicNow();
  }
  over_ = true;
  const std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) rank->calls.Cancel();
}

}  // namespace jenner::agent
