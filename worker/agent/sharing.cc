// What Agent does about checkpoints: shares those of its trainers, so that a job can go on from
// them wherever it is placed next, and fetches the one that a rank is to go on from, or what its
// job begins with.
#include <filesystem>

#include "absl/strings/str_cat.h"
#include "core/exit_code.h"
#include "core/status.h"
#include "worker/agent/agent.h"
#include "worker/agent/checkpoint.h"
#include "worker/agent/log.h"
#include "worker/agent/rank.h"

namespace jenner::agent {

void Agent::RunCheckpoints() { RunSteps({&Agent::UploadCheckpoint}); }

// The trainer has told of a new checkpoint. Links take no time; what they hold is uploaded by and
// by.
void Agent::TakeCheckpoint(Rank* rank) {
  const CheckpointFact& fact = rank->facts.checkpoint;
  if (rank->key.rank != 0 || fact.step <= rank->newest_step) return;
  rank->newest_step = fact.step;
  if (options_.max_checkpoint_bytes == 0) return;
  const std::string name = absl::StrCat("the checkpoint of step ", fact.step);
  absl::StatusOr<v1::Checkpoint> read = ReadCheckpoint(fact.path, fact.step);
  const std::string folder = absl::StrCat(rank->folder, "/checkpoint-", fact.step);
  absl::Status status = read.status();
  if (status.ok()) {
    const int64_t bytes = SizeBytes(*read);
    if (bytes > options_.max_checkpoint_bytes) {
      // Once a rank: the next ones are as large.
      if (!rank->is_too_large) {
        LogRank(Level::kWarning, rank->key,
                absl::StrCat(name, " has ", bytes, " bytes, more than --max-checkpoint-bytes ",
                             options_.max_checkpoint_bytes,
                             ": it and those after it stay on this worker"));
      }
      rank->is_too_large = true;
      return;
    }
    status = LinkCheckpoint(*read, fact.path, folder);
  }
  if (!status.ok()) {
    (void)RemoveTree(folder);
    LogRank(Level::kWarning, rank->key, absl::StrCat(name, " is not shared: ", status.ToString()));
    return;
  }
  if (rank->waiting) (void)RemoveTree(rank->waiting->folder);
  rank->waiting = SharedCheckpoint{*std::move(read), folder};
}

bool Agent::HasCheckpointToSend(const Rank& rank) const {
  const bool goes_on = !rank.is_final && rank.outcome.exit_code != 0 &&
                       core::ClassOf(rank.outcome.exit_code).retry != core::Retry::kNever;
  return goes_on && (rank.waiting.has_value() || rank.is_sharing);
}

bool Agent::UploadCheckpoint(const std::shared_ptr<Rank>& rank) {
  SharedCheckpoint checkpoint;
  {
    const std::lock_guard<std::mutex> lock(mutex_);
    if (!rank->waiting) return false;
    const bool is_over = rank->phase == Phase::kUploading;
    if (is_over && !HasCheckpointToSend(*rank)) return false;
    if (!is_over && (rank->phase != Phase::kRunning || MonotonicNow() < rank->share_after)) {
      return false;
    }
    checkpoint = *std::move(rank->waiting);
    rank->waiting.reset();
    rank->is_sharing = true;
  }
  const absl::Time began = MonotonicNow();
  absl::Status status;
  for (const v1::ArtifactReport& file : checkpoint.message.files()) {
    v1::UploadBlobHeader header;
    *header.mutable_key() = ToProto(rank->key);
    header.set_sha256(file.sha256());
    header.set_size_bytes(file.size_bytes());
    header.set_checkpoint(true);
    status =
        link_.UploadBlob(header, absl::StrCat(checkpoint.folder, "/", file.path()), &rank->calls);
    if (status.ok() && MonotonicNow() - began > options_.transfer_limit) {
      status = absl::DeadlineExceededError("it takes too long");
    }
    if (!status.ok()) break;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  rank->is_sharing = false;
  if (rank->stale) return false;
  if (absl::IsUnavailable(status) && !rank->waiting) {
    rank->waiting = std::move(checkpoint);  // the coordinator comes again
    return false;
  }
  (void)RemoveTree(checkpoint.folder);
  if (status.ok()) {
    rank->share_after = MonotonicNow() + options_.share_interval;
    rank->shared = std::move(checkpoint.message);
    return true;
  }
  LogRank(Level::kWarning, rank->key,
          absl::StrCat("the checkpoint of step ", checkpoint.message.step(),
                       " is not shared: ", status.ToString()));
  if (absl::IsAborted(status)) GiveUp(rank.get());
  return false;
}

absl::Status Agent::FetchCheckpoint(Rank* rank) {
  const v1::Checkpoint& wanted = rank->to_go_on_from;
  const std::string out = options_.work_dir + "/out/" + JobName(rank->key);
  if (wanted.step() <= NewestCheckpoint(out)) return absl::OkStatus();
  const std::string incoming = IncomingFolder(out);
  RETURN_IF_ERROR(RemoveTree(incoming));
  absl::Status status = CheckCheckpoint(wanted);
  for (int i = 0; status.ok() && i < wanted.files_size(); ++i) {
    const v1::ArtifactReport& file = wanted.files(i);
    const std::filesystem::path path = absl::StrCat(incoming, "/", file.path());
    RETURN_IF_ERROR(MakeFolders(path.parent_path().string()));
    status = link_.DownloadBlob(file.sha256(), path.string(), file.size_bytes(), &rank->calls);
  }
  if (status.ok()) status = PlaceIncoming(out, wanted.step());
  const std::string name = absl::StrCat("the checkpoint of step ", wanted.step());
  if (status.ok()) {
    LogRank(Level::kInfo, rank->key, name + " has come from the coordinator");
    return status;
  }
  (void)RemoveTree(incoming);
  if (!absl::IsNotFound(status) && !absl::IsDataLoss(status)) return status;
  LogRank(Level::kWarning, rank->key,
          absl::StrCat(name, " cannot be had: ", status.ToString(), "; begins with what is here"));
  return absl::OkStatus();
}

// Without it the job cannot begin, so here is nothing that is done without. What an earlier attempt
// fetched is looked at again: the trainer has no way to know that it is whole.
absl::Status Agent::FetchInitial(Rank* rank) {
  // With a checkpoint the trainer does not look at it.
  if (NewestCheckpoint(options_.work_dir + "/out/" + JobName(rank->key)) > 0) {
    return absl::OkStatus();
  }
  RETURN_IF_ERROR(CheckFiles(rank->initial, "what the job begins with"));
  const std::string folder = options_.work_dir + "/" + InitialFolder(rank->key);
  for (const v1::ArtifactReport& file : rank->initial) {
    const std::filesystem::path path = absl::StrCat(folder, "/", file.path());
    if (HasBytesOf(file, path.string())) continue;
    RETURN_IF_ERROR(MakeFolders(path.parent_path().string()));
    RETURN_IF_ERROR(
        link_.DownloadBlob(file.sha256(), path.string(), file.size_bytes(), &rank->calls));
  }
  return absl::OkStatus();
}

}  // namespace jenner::agent
