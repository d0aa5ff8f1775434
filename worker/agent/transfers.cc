// The threads of Agent that move bytes: event lines, logs, datasets and artifacts.
#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/dataset.h"
#include "core/exit_code.h"
#include "core/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/housekeeping.h"
#include "worker/agent/log.h"
#include "worker/agent/rank.h"

namespace jenner::agent {
namespace {

constexpr int64_t kBatchBytes = int64_t{1} << 20;  // of UploadTelemetry
constexpr int64_t kLogBatchBytes = 64 << 10;
constexpr absl::Duration kIdle = absl::Milliseconds(200);

// Readers of logs take a batch's end for a line's end: the line that is still being written waits,
// unless no more will come or it alone fills the batch.
void CutToLines(bool is_over, std::string* log) {
  const size_t end = log->rfind('\n');
  const bool is_full = static_cast<int64_t>(log->size()) == kLogBatchBytes;
  if (is_full ? end == std::string::npos : is_over) return;
  log->resize(end == std::string::npos ? 0 : end + 1);
}

}  // namespace

void Agent::RunTelemetry() { RunSteps({&Agent::SendTelemetry}); }

void Agent::RunBlobs() { RunSteps({&Agent::Download, &Agent::UploadArtifact}); }

void Agent::RunSteps(const std::vector<RankStep>& steps) {
  while (!over_) {
    std::vector<std::shared_ptr<Rank>> ranks;
    {
      const std::lock_guard<std::mutex> lock(mutex_);
      for (const auto& [key, rank] : ranks_) {
        if (rank->phase != Phase::kEnded && !rank->stale) ranks.push_back(rank);
      }
    }
    bool is_busy = false;
    for (const auto& rank : ranks) {
      for (const RankStep step : steps) is_busy = (this->*step)(rank) || is_busy;
    }
    if (!is_busy) std::this_thread::sleep_for(absl::ToChronoNanoseconds(kIdle));
  }
}

void Agent::GiveUp(Rank* rank) {
  rank->stale = true;
  rank->calls.Cancel();
  if (rank->phase != Phase::kUploading) return;
  rank->phase = Phase::kEnded;
  if (rank->outcome.exit_code != 0) return;
  rank->outcome = {static_cast<int>(core::ExitCode::kTerminated), "STALE_ATTEMPT",
                   "the coordinator did not take all of what it made"};
}

bool Agent::Settle(Rank* rank, Refusal* refusal, const char* what, const absl::Status& status) {
  if (rank->stale) return false;
  if (status.ok()) {
    *refusal = {};
    return true;
  }
  if (const std::string fault = absl::StrCat(what, ": ", status.ToString());
      fault != refusal->last_fault) {
    LogRank(Level::kWarning, rank->key, fault);
    refusal->last_fault = fault;
  }
  // Only what is sent has an attempt that can be stale.
  if (absl::IsAborted(status) && rank->phase != Phase::kPreparing) {
    GiveUp(rank);
    return false;
  }
  // A coordinator that is away comes again; what it is to be told waits here.
  if (absl::IsUnavailable(status) && !heard_) return false;
  refusal->since = std::min(refusal->since, MonotonicNow());
  if (MonotonicNow() - refusal->since < options_.transfer_limit) return false;
  rank->outcome = {static_cast<int>(core::ExitCode::kStorage), "TRANSFER_FAILED",
                   ToUtf8(refusal->last_fault, kMaxErrorBytes)};
  rank->verdict = rank->outcome;
  GiveUp(rank);
  if (rank->phase == Phase::kRunning) {
    KillGroup(rank->child.identity);
  } else {
    rank->phase = Phase::kEnded;
  }
  return false;
}

bool Agent::Download(const std::shared_ptr<Rank>& rank) {
  std::vector<std::string> datasets;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rank->phase != Phase::kPreparing) return false;
    datasets = rank->datasets;
  }
  absl::Status status;
  for (const std::string& hash : datasets) {
    const std::string path = options_.work_dir + "/data/" + hash;
    TouchFile(path);
    if (FileSize(path) >= 0) continue;
    status.Update(link_.DownloadBlob(hash, path, core::kMaxDatasetBytes, &rank->calls));
  }
  const char* what = "dataset";
  if (status.ok()) {
    what = "checkpoint";
    status = FetchCheckpoint(rank.get());
  }
  if (status.ok()) {
    what = "initial parameters";
    status = FetchInitial(rank.get());
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (rank->phase != Phase::kPreparing || !Settle(rank.get(), &rank->blobs, what, status)) {
    return false;
  }
  rank->phase = Phase::kReady;
  return true;
}

absl::Status Agent::SendOneByOne(const v1::UploadTelemetryRequest& batch, Cancellation* calls,
                                 int64_t* num_refused) {
  if (!batch.log().empty()) {
    v1::UploadTelemetryRequest log = batch;
    log.clear_event_json();
    const absl::Status status = link_.UploadTelemetry(log, calls);
    // No result is lost with a log.
    if (!absl::IsInvalidArgument(status)) RETURN_IF_ERROR(status);
  }
  for (const std::string& line : batch.event_json()) {
    v1::UploadTelemetryRequest one;
    *one.mutable_key() = batch.key();
    one.add_event_json(line);
    const absl::Status status = link_.UploadTelemetry(one, calls);
    if (absl::IsInvalidArgument(status)) {
      ++*num_refused;
    } else {
      RETURN_IF_ERROR(status);
    }
  }
  return absl::OkStatus();
}

bool Agent::SendTelemetry(const std::shared_ptr<Rank>& rank) {
  v1::UploadTelemetryRequest batch;
  int64_t events_offset = 0;
  int64_t log_offset = 0;
  int64_t log_dropped = 0;
  int64_t max_bytes = kBatchBytes;
  bool is_over = false;
  const bool has_judges = !rank->judged_traits.empty();
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rank->phase != Phase::kRunning && rank->phase != Phase::kUploading) return false;
    // Asked for before the files are read: what they hold now is all that there will be.
    is_over = rank->phase == Phase::kUploading && (!has_judges || rank->is_judged);
    events_offset = rank->events_offset;
    if (has_judges) max_bytes = std::min(max_bytes, rank->judged_bytes - events_offset);
    log_offset = rank->log_offset;
    log_dropped = rank->log_dropped;
  }
  *batch.mutable_key() = ToProto(rank->key);
  absl::StatusOr<LineChunk> lines = LineChunk{{}, events_offset};
  if (max_bytes > 0) {
    const char* name = has_judges ? "/judged.jsonl" : "/events.jsonl";
    lines = ReadLines(rank->folder + name, events_offset, max_bytes);
  }
  auto log = ReadPart(rank->folder + "/trainer.log", log_offset, kLogBatchBytes);
  if (log.ok()) CutToLines(is_over, &*log);
  absl::Status status = lines.status();
  status.Update(log.status());
  if (status.ok()) {
    for (const std::string& line : lines->lines) {
      if (IsTelemetry(line)) batch.add_event_json(line);
    }
    batch.set_log(ToUtf8(*log, log->size()));
    batch.set_log_offset(log_dropped + log_offset);
  }
  int64_t num_refused = 0;
  if (batch.event_json_size() > 0 || !batch.log().empty()) {
    status = link_.UploadTelemetry(batch, &rank->calls);
    if (absl::IsInvalidArgument(status)) status = SendOneByOne(batch, &rank->calls, &num_refused);
  }

  const std::lock_guard<std::mutex> lock(mutex_);
  if (!Settle(rank.get(), &rank->telemetry, "telemetry", status)) return false;
  rank->events_offset = lines->next_offset;
  rank->num_refused += num_refused;
  if (rank->log_dropped == log_dropped)
    rank->log_offset = log_offset + static_cast<int64_t>(batch.log().size());
  if (!lines->lines.empty() || !log->empty()) return true;
  const bool has_artifacts_to_send =
      rank->outcome.exit_code == 0 && rank->artifacts_sent < rank->facts.artifacts.size();
  if (!is_over || has_artifacts_to_send || HasCheckpointToSend(*rank)) return false;
  if (rank->num_refused > 0 && rank->outcome.exit_code == 0) {
    rank->outcome = {static_cast<int>(core::ExitCode::kInternal), "INTERNAL",
                     absl::StrCat("the coordinator refused ", rank->num_refused, " event lines")};
  }
  rank->phase = Phase::kEnded;
  return false;
}

bool Agent::UploadArtifact(const std::shared_ptr<Rank>& rank) {
  Artifact artifact;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (rank->phase != Phase::kUploading || rank->outcome.exit_code != 0 ||
        rank->artifacts_sent >= rank->facts.artifacts.size()) {
      return false;
    }
    artifact = rank->facts.artifacts[rank->artifacts_sent];
  }
  v1::UploadBlobHeader header;
  *header.mutable_key() = ToProto(rank->key);
  header.set_sha256(artifact.sha256);
  header.set_size_bytes(artifact.size_bytes);
  const absl::Status status = link_.UploadBlob(header, artifact.path, &rank->calls);
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!Settle(rank.get(), &rank->blobs, "artifact", Annotate(status, artifact.name))) {
    return false;
  }
  ++rank->artifacts_sent;
  return true;
}

}  // namespace jenner::agent
