// Small files, folders and descriptors of the agent. Errors are ErrnoToStatus of what the system
// said (a full disk is ResourceExhausted), with the path in front. Thread-safe: no state.
#ifndef JENNER_WORKER_AGENT_FILES_H_
#define JENNER_WORKER_AGENT_FILES_H_

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jenner::agent {

// Owns a file descriptor and closes it. Movable; -1 is none.
class UniqueFd {
 public:
  UniqueFd() = default;
  explicit UniqueFd(int fd) : fd_(fd) {}
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.Release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept;
  UniqueFd(const UniqueFd&) = delete;
  UniqueFd& operator=(const UniqueFd&) = delete;
  ~UniqueFd();

  int get() const { return fd_; }
  bool is_open() const { return fd_ >= 0; }
  int Release();

 private:
  int fd_ = -1;
};

// The status of errno, "<what> <path>: " in front.
absl::Status ErrnoStatus(std::string_view what, const std::string& path);

// The whole file. NotFound: there is none. OutOfRange: larger than max_bytes.
absl::StatusOr<std::string> ReadSmallFile(const std::string& path, int64_t max_bytes);

// A file on its way: written to path.tmp, which Commit renames. Gone with its object if that was
// not called. Not thread-safe.
class FileWriter {
 public:
  static absl::StatusOr<FileWriter> Create(const std::string& path);
  FileWriter(FileWriter&&) = default;
  ~FileWriter();
  absl::Status Write(std::string_view data);
  // Durable if `sync`: file and folder are fsynced.
  absl::Status Commit(bool sync);

 private:
  FileWriter(std::string path, UniqueFd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  UniqueFd fd_;
};

// Writes path.tmp and renames it to `path`. Durable if `sync`: file and folder are fsynced.
absl::Status WriteFileAtomically(const std::string& path, std::string_view data, bool sync);

// Makes what was made, renamed or removed in a folder durable.
absl::Status SyncFolder(const std::string& path);

// Makes the folder and those above it. OK if it is there.
absl::Status MakeFolders(const std::string& path);

// Removes a folder and what is in it. OK if there is none.
absl::Status RemoveTree(const std::string& path);

// The names in a folder, sorted; none if it is not there.
std::vector<std::string> ListFolder(const std::string& path);

// -1: there is no such file.
int64_t FileSize(const std::string& path);

// An exclusive lock on the file at `path`, made if needed; held until every copy of the descriptor,
// also in other processes, is closed. FailedPrecondition: somebody else has it.
absl::StatusOr<UniqueFd> LockFile(const std::string& path);

// Complete lines of the file from byte `offset`, at most max_bytes together; a line that is longer
// comes in pieces. A last line without its end is left for later.
struct LineChunk {
  std::vector<std::string> lines;  // without the line ends
  int64_t next_offset = 0;
};
absl::StatusOr<LineChunk> ReadLines(const std::string& path, int64_t offset, int64_t max_bytes);

// At most max_bytes from `offset`; shorter at the end of the file.
absl::StatusOr<std::string> ReadPart(const std::string& path, int64_t offset, int64_t max_bytes);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_FILES_H_
