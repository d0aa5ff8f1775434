// Checkpoints of trainers (docs/formats/job.md) as folders that an agent shares with others: which
// are there, what they consist of, and how one that came from elsewhere takes its place.
// Thread-safe: no state.
#ifndef JENNER_WORKER_AGENT_CHECKPOINT_H_
#define JENNER_WORKER_AGENT_CHECKPOINT_H_

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "jenner/v1/worker.pb.h"

namespace jenner::agent {

using FileReports = google::protobuf::RepeatedPtrField<v1::ArtifactReport>;

inline constexpr int kMaxCheckpointFiles = 256;  // as the coordinator takes them

// OK if these are files of a folder: their paths stay below it, each has a hash and a size.
// DataLoss: not so; `what` is what has the file, for the message.
absl::Status CheckFiles(const FileReports& files, const char* what);

// True if the file at `path` has the bytes that are meant.
bool HasBytesOf(const v1::ArtifactReport& file, const std::string& path);

// The step of the newest checkpoint below the output folder of a job; 0: there is none. Whether it
// is whole its trainer finds out.
int64_t NewestCheckpoint(const std::string& out);

// The files of the checkpoint in `folder`: those that its manifest names, and the manifest.
// DataLoss: it has no manifest that can be read, or too many files.
absl::StatusOr<v1::Checkpoint> ReadCheckpoint(const std::string& folder, int32_t step);

// OK if a checkpoint that the coordinator names can be one: paths stay below its folder, the
// manifest is among them. DataLoss.
absl::Status CheckCheckpoint(const v1::Checkpoint& checkpoint);

int64_t SizeBytes(const v1::Checkpoint& checkpoint);

// Makes `copy`, a new folder on the same file system, of hard links to the checkpoint's files: they
// stay when the trainer removes its own.
absl::Status LinkCheckpoint(const v1::Checkpoint& checkpoint, const std::string& folder,
                            const std::string& copy);

// Where a checkpoint that is on its way lies, below the output folder.
std::string IncomingFolder(const std::string& out);

// Makes what is there, complete and each file durable, the checkpoint of `step`, durably.
absl::Status PlaceIncoming(const std::string& out, int32_t step);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_CHECKPOINT_H_
