#include "worker/agent/agent.h"

#include <signal.h>

#include <cstdio>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <random>
#include <thread>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/exit_code.h"
#include "core/status.h"

namespace jenner::agent {
namespace {

using nlohmann::json;

constexpr int64_t kBatchBytes = 512 << 10;
constexpr int64_t kLogBatchBytes = 64 << 10;
constexpr size_t kMaxMessageBytes = 4096;
constexpr absl::Duration kTick = absl::Milliseconds(100);

void Log(const std::string& message) {
  std::fprintf(stderr, "%s %s\n",
               absl::FormatTime(absl::RFC3339_sec, absl::Now(), absl::UTCTimeZone()).c_str(),
               message.c_str());
}

void Pause(absl::Duration duration) {
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(duration));
}

std::string RandomId() {
  std::random_device device;
  return absl::StrFormat("%08x%08x", device(), device());
}

v1::RankKey ToProto(const RankKey& key) {
  v1::RankKey message;
  message.set_experiment(key.experiment);
  message.set_job(key.job);
  message.set_attempt(key.attempt);
  message.set_rank(key.rank);
  return message;
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

// The hashes of the datasets that a job names.
std::vector<std::string> DatasetsOf(const std::string& job_json) {
  const json job = json::parse(job_json, nullptr, /*allow_exceptions=*/false);
  std::vector<std::string> hashes;
  const auto add = [&](const char* part, const char* field) {
    if (!job.is_object() || !job.contains(part) || !job[part].is_object()) return;
    const json ref = job[part].value(field, json());
    if (ref.is_string() && ref.get<std::string>().rfind("sha256:", 0) == 0)
      hashes.push_back(ref.get<std::string>().substr(7));
  };
  add("training", "dataset");
  add("evaluation", "prompts");
  return hashes;
}

// Kills every process that a former agent recorded under attempts/.
void KillOrphans(const std::string& attempts) {
  std::error_code error;
  for (std::filesystem::recursive_directory_iterator at(attempts, error), end; !error && at != end;
       at.increment(error)) {
    if (at->path().filename() != "process") continue;
    const absl::StatusOr<std::string> text = ReadSmallFile(at->path().string(), 4096);
    if (!text.ok()) continue;
    const std::vector<std::string> words = absl::StrSplit(*text, ' ');
    ProcessIdentity identity;
    if (words.size() != 3 || !absl::SimpleAtoi(words[0], &identity.pid) ||
        !absl::SimpleAtoi(words[1], &identity.start_ticks))
      continue;
    identity.boot_id = words[2];
    KillGroup(identity);
  }
}

}  // namespace

struct Agent::Rank {
  RankKey key;
  std::string job_json;
  int world_size = 1;
  std::string store_address;
  Phase phase = Phase::kPreparing;
  bool stopping = false;
  absl::Time kill_at = absl::InfiniteFuture();
  Child child;
  int exit_code = 0;
  RankFacts facts;
  // Uploading.
  int64_t events_offset = 0;
  int64_t log_offset = 0;   // in the file
  int64_t log_dropped = 0;  // bytes of the log that were cut off the file
  bool process_over = false;
  bool stale = false;  // the coordinator wants nothing more of it
  size_t artifacts_uploaded = 0;
  std::string folder;
};

bool IsTelemetry(const std::string& line) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const json kind = event.is_object() ? event.value("kind", json()) : json();
  return kind == "train_step" || kind == "sample" || kind == "evaluation";
}

void Learn(const std::string& line, RankFacts* facts) {
  const json event = json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!event.is_object()) return;
  const auto text = [&](const char* field) {
    const json value = event.value(field, json());
    return value.is_string() ? value.get<std::string>() : std::string();
  };
  const auto number = [&](const char* field) {
    const json value = event.value(field, json());
    return value.is_number_integer() ? value.get<int64_t>() : 0;
  };
  const std::string kind = text("kind");
  if (kind == "rendezvous") {
    facts->store_address = text("address");
  } else if (kind == "plan") {
    facts->total_steps = static_cast<int32_t>(number("total_steps"));
  } else if (kind == "train_step") {
    facts->step = static_cast<int32_t>(number("step"));
  } else if (kind == "artifact") {
    facts->artifacts.push_back({text("name"), text("path"), text("sha256"), number("bytes")});
  } else if (kind == "finished") {
    facts->finished = true;
  } else if (kind == "failed") {
    facts->error_code = text("code");
    facts->error_message = text("message").substr(0, kMaxMessageBytes);
  }
}

Agent::Agent(AgentOptions options)
    : options_(std::move(options)), boot_id_(RandomId()), link_(options_.server) {}

Agent::~Agent() {
  for (const auto& [key, rank] : ranks_) {
    if (rank->phase == Phase::kRunning) KillGroup(rank->child.identity);
  }
}

absl::StatusOr<std::unique_ptr<Agent>> Agent::Create(AgentOptions options) {
  std::unique_ptr<Agent> agent(new Agent(std::move(options)));
  const std::string& work = agent->options_.work_dir;
  RETURN_IF_ERROR(MakeFolders(work + "/data"));
  RETURN_IF_ERROR(MakeFolders(work + "/attempts"));
  ASSIGN_OR_RETURN(agent->lock_, LockFile(work + "/lock"));
  KillOrphans(work + "/attempts");
  RETURN_IF_ERROR(RemoveTree(work + "/attempts"));
  RETURN_IF_ERROR(MakeFolders(work + "/attempts"));
  if (FileSize(agent->options_.trainer) < 0) {
    return absl::NotFoundError("--trainer: " + agent->options_.trainer + ": no such file");
  }
  return agent;
}

v1::SynchronizeRequest Agent::Report() {
  v1::SynchronizeRequest request;
  request.set_worker(options_.name);
  request.set_boot_id(boot_id_);
  request.set_slots(draining_ ? 0 : options_.slots);
  request.set_host(options_.host);
  request.set_version(JENNER_VERSION);
  for (const std::string& name : ListFolder(options_.models_dir)) {
    if (FileSize(options_.models_dir + "/" + name + "/config.json") >= 0) request.add_models(name);
  }
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) {
    v1::RankReport* report = request.add_ranks();
    *report->mutable_key() = ToProto(key);
    report->set_phase(ToProto(rank->phase));
    report->set_store_address(rank->facts.store_address);
    report->set_step(rank->facts.step);
    report->set_total_steps(rank->facts.total_steps);
    if (rank->phase != Phase::kEnded) continue;
    report->set_exit_code(rank->exit_code);
    report->set_error_code(rank->facts.error_code);
    report->set_error_message(rank->facts.error_message);
    for (const RankFacts::Artifact& artifact : rank->facts.artifacts) {
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

// True: the coordinator answered.
bool Agent::SynchronizeOnce() {
  const auto response =
      link_.Synchronize(Report(), std::min<absl::Duration>(lease_ / 3, absl::Seconds(5)));
  if (response.ok()) {
    last_answer_ = absl::Now();
    TakeAssignments(*response);
    return true;
  }
  Log("synchronize: " + response.status().ToString());
  if (absl::Now() - last_answer_ > lease_) {
    // The ranks may have been given away: self-fencing.
    std::lock_guard<std::mutex> lock(mutex_);
    for (const auto& [key, rank] : ranks_) {
      if (rank->phase == Phase::kRunning) KillGroup(rank->child.identity);
      rank->stale = true;
    }
    wanted_.clear();
  }
  return false;
}

void Agent::Fail(Rank* rank, int exit_code, const std::string& code, const absl::Status& status) {
  Log(absl::StrCat(ToString(rank->key), ": ", code, ": ", status.ToString()));
  rank->exit_code = exit_code;
  rank->facts.error_code = code;
  rank->facts.error_message = std::string(status.message()).substr(0, kMaxMessageBytes);
  rank->process_over = true;
  rank->phase = Phase::kEnded;
}

void Agent::Prepare(Rank* rank) {
  rank->folder = options_.work_dir + "/attempts/" + ToString(rank->key);
  absl::Status status = MakeFolders(rank->folder);
  if (status.ok()) status = WriteFileAtomically(rank->folder + "/job.json", rank->job_json, false);
  for (const std::string& hash : DatasetsOf(rank->job_json)) {
    const std::string path = options_.work_dir + "/data/" + hash;
    if (status.ok() && FileSize(path) < 0) status = link_.DownloadBlob(hash, path);
  }
  if (!status.ok())
    return Fail(rank, static_cast<int>(core::ExitCode::kStorage), "PREPARE_FAILED", status);
  rank->phase = Phase::kReady;
}

void Agent::Start(Rank* rank) {
  ChildOptions child;
  const std::string out = options_.work_dir + "/out/" + rank->key.experiment + "/" + rank->key.job;
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
                   std::to_string(options_.threads_per_rank),
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
  const std::string threads = std::to_string(options_.threads_per_rank);
  // Ranks that share cores must not spin while they wait.
  child.environment = {"OMP_NUM_THREADS=" + threads, "MKL_NUM_THREADS=" + threads,
                       "OMP_WAIT_POLICY=PASSIVE", "GOMP_SPINCOUNT=0"};
  child.events_path = rank->folder + "/events.jsonl";
  child.log_path = rank->folder + "/trainer.log";
  absl::Status status = MakeFolders(out);
  absl::StatusOr<Child> spawned = status.ok() ? Spawn(child) : status;
  if (!spawned.ok())
    return Fail(rank, static_cast<int>(core::ExitCode::kStorage), "START_FAILED", spawned.status());
  rank->child = *std::move(spawned);
  rank->phase = Phase::kRunning;
  const ProcessIdentity& identity = rank->child.identity;
  const absl::Status recorded = WriteFileAtomically(
      rank->folder + "/process",
      absl::StrCat(identity.pid, " ", identity.start_ticks, " ", identity.boot_id), false);
  if (!recorded.ok()) Log(recorded.ToString());
  Log(absl::StrCat(ToString(rank->key), ": started, pid ", identity.pid));
}

void Agent::StopRank(Rank* rank) {
  Log(ToString(rank->key) + ": stopping");
  SignalProcess(rank->child.pidfd, SIGTERM);
  rank->stopping = true;
  rank->kill_at = absl::Now() + options_.stop_grace;
}

void Agent::CheckChildren() {
  std::lock_guard<std::mutex> lock(mutex_);
  for (const auto& [key, rank] : ranks_) {
    if (rank->phase != Phase::kRunning) continue;
    if (absl::Now() > rank->kill_at) KillGroup(rank->child.identity);
    if (!HasEnded(rank->child.pidfd)) continue;
    rank->exit_code = Reap(rank->child);
    rank->process_over = true;
    rank->phase = Phase::kUploading;
    Log(absl::StrCat(ToString(key), ": ended with exit code ", rank->exit_code));
  }
}

void Agent::Act() {
  std::vector<DesiredRank> desired;
  for (const auto& [key, assignment] : wanted_) {
    desired.push_back({key, !assignment.store_address().empty(), assignment.stop()});
  }
  std::lock_guard<std::mutex> lock(mutex_);
  for (int round = 0; round < 8; ++round) {
    std::vector<ActualRank> actual;
    for (const auto& [key, rank] : ranks_) actual.push_back({key, rank->phase, rank->stopping});
    const std::vector<Action> actions = Reconcile(desired, actual, {options_.slots, draining_});
    if (actions.empty()) return;
    for (const Action& action : actions) {
      std::shared_ptr<Rank>& rank = ranks_[action.key];
      if (rank == nullptr) {
        const v1::Assignment& assignment = wanted_.at(action.key);
        rank = std::make_shared<Rank>();
        rank->key = action.key;
        rank->job_json = assignment.job_spec_json();
        rank->world_size = assignment.world_size();
      }
      if (wanted_.contains(action.key))
        rank->store_address = wanted_.at(action.key).store_address();
      switch (action.kind) {
        case ActionKind::kPrepare:
          Prepare(rank.get());
          break;
        case ActionKind::kStart:
          Start(rank.get());
          break;
        case ActionKind::kStop:
          StopRank(rank.get());
          break;
        case ActionKind::kEnd:
          Fail(rank.get(), static_cast<int>(core::ExitCode::kTerminated), "TERMINATED",
               absl::CancelledError("stopped before it started"));
          break;
        case ActionKind::kDrop: {
          const absl::Status removed =
              rank->folder.empty() ? absl::OkStatus() : RemoveTree(rank->folder);
          if (!removed.ok()) Log(removed.ToString());
          ranks_.erase(action.key);
          break;
        }
      }
    }
  }
}

void Agent::Run() {
  std::string told;  // what the coordinator knows
  absl::Time next = absl::InfinitePast();
  while (true) {
    CheckChildren();
    Act();
    const std::string now = Report().SerializeAsString();
    if (now != told || absl::Now() >= next) {
      if (SynchronizeOnce()) told = now;
      next = absl::Now() + std::min(pause_, lease_ / 3);
      Act();
    }
    bool any = false;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [key, rank] : ranks_) any = any || rank->phase != Phase::kEnded;
    }
    if (draining_ && !any) {
      SynchronizeOnce();  // the last word
      break;
    }
    Pause(kTick);
  }
  uploads_over_ = true;
}

// Sends the next event lines and log of a rank. True: something was sent.
bool Agent::UploadSome(const std::shared_ptr<Rank>& rank) {
  v1::UploadTelemetryRequest request;
  std::string folder;
  int64_t events_offset = 0;
  int64_t log_offset = 0;
  bool process_over = false;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    *request.mutable_key() = ToProto(rank->key);
    folder = rank->folder;
    events_offset = rank->events_offset;
    log_offset = rank->log_offset;
    process_over = rank->process_over;
    request.set_log_offset(rank->log_dropped + log_offset);
  }
  const auto lines = ReadLines(folder + "/events.jsonl", events_offset, kBatchBytes);
  const auto log = ReadPart(folder + "/trainer.log", log_offset, kLogBatchBytes);
  if (lines.ok()) {
    for (const std::string& line : lines->lines) {
      if (IsTelemetry(line)) request.add_event_json(line);
    }
    events_offset = lines->next_offset;
  }
  if (log.ok()) request.set_log(*log);
  const bool has_telemetry = request.event_json_size() > 0 || !request.log().empty();
  const bool has_news = has_telemetry || (lines.ok() && !lines->lines.empty());
  const absl::Status sent = has_telemetry ? link_.UploadTelemetry(request) : absl::OkStatus();
  std::lock_guard<std::mutex> lock(mutex_);
  if (absl::IsAborted(sent) || absl::IsNotFound(sent)) rank->stale = true;
  if (!sent.ok() && !rank->stale) {
    Log(ToString(rank->key) + ": telemetry: " + sent.ToString());
    // A batch that is refused for itself would be refused for ever.
    if (!absl::IsInvalidArgument(sent)) return false;
  }
  rank->events_offset = events_offset;
  rank->log_offset = log_offset + static_cast<int64_t>(request.log().size());
  if (rank->log_offset > options_.max_log_bytes) {
    std::error_code error;
    std::filesystem::resize_file(folder + "/trainer.log", 0, error);
    rank->log_dropped += rank->log_offset;
    rank->log_offset = 0;
  }
  for (const std::string& line : lines.ok() ? lines->lines : std::vector<std::string>())
    Learn(line, &rank->facts);
  // Over only if the process had ended before the files were read to their ends.
  if (!has_news && process_over && rank->phase == Phase::kUploading &&
      (rank->stale || rank->artifacts_uploaded == rank->facts.artifacts.size())) {
    if (rank->exit_code != 0 && rank->facts.error_code.empty()) {
      rank->facts.error_code = rank->exit_code > 128 ? "TRAINER_KILLED" : "TRAINER_DIED";
      rank->facts.error_message = absl::StrFormat(
          "jenner-trainer ended with exit code %d and no last word", rank->exit_code);
    }
    rank->phase = Phase::kEnded;
  }
  return has_news;
}

// Sends the next artifact of an ended rank. True: one was sent.
bool Agent::UploadArtifacts(const std::shared_ptr<Rank>& rank) {
  RankFacts::Artifact artifact;
  {
    std::lock_guard<std::mutex> lock(mutex_);
    if (rank->stale || rank->phase != Phase::kUploading ||
        rank->artifacts_uploaded >= rank->facts.artifacts.size())
      return false;
    artifact = rank->facts.artifacts[rank->artifacts_uploaded];
  }
  const absl::Status sent =
      link_.UploadBlob(ToProto(rank->key), artifact.path, artifact.sha256, artifact.size_bytes);
  std::lock_guard<std::mutex> lock(mutex_);
  if (absl::IsAborted(sent)) rank->stale = true;
  if (!sent.ok()) {
    Log(absl::StrCat(ToString(rank->key), ": artifact ", artifact.name, ": ", sent.ToString()));
    return false;
  }
  ++rank->artifacts_uploaded;
  return true;
}

void Agent::RunUploads() {
  while (!uploads_over_) {
    std::vector<std::shared_ptr<Rank>> ranks;
    {
      std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [key, rank] : ranks_) {
        if (rank->phase == Phase::kRunning || rank->phase == Phase::kUploading)
          ranks.push_back(rank);
      }
    }
    bool busy = false;
    for (const auto& rank : ranks) {
      busy = UploadSome(rank) || busy;
      busy = UploadArtifacts(rank) || busy;
    }
    if (!busy) Pause(absl::Milliseconds(300));
  }
}

}  // namespace jenner::agent
