// For tests: a disk that loses power. While a Recorder lives, SQLite's files are written as ever
// and each write, truncation, sync and deletion is noted. ImageAt() then tells what such a disk may
// hold if the power went after the first `num_ops` of them: what was synced, and of the rest
// nothing, all, or a seeded part with torn writes. Not thread-safe; one Recorder at a time.
//
// Assumed as SQLite does: a sector is written whole or not at all, and the first sync of a new file
// syncs its folder, too, which makes names durable: that this one is there, and others gone.
#ifndef JENNER_SERVER_STORE_POWER_LOSS_H_
#define JENNER_SERVER_STORE_POWER_LOSS_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace jenner::store {

struct DiskOp {
  enum class Kind { kWrite, kTruncate, kSync, kDelete } kind = Kind::kWrite;
  std::string path;
  int64_t offset = 0;  // of a write; the size of a truncation
  std::string bytes;
};

class Recorder {
 public:
  // `autocheckpoint_pages`: of every connection opened meanwhile, so that a short test has some.
  explicit Recorder(int autocheckpoint_pages);
  ~Recorder();
  Recorder(const Recorder&) = delete;
  Recorder& operator=(const Recorder&) = delete;

  // From now on nothing is noted, and syncs do nothing: for looking at many images.
  void Stop();
  const std::vector<DiskOp>& ops() const { return ops_; }
  void Note(DiskOp op) {
    if (is_recording_) ops_.push_back(std::move(op));
  }
  bool is_recording() const { return is_recording_; }

 private:
  std::vector<DiskOp> ops_;
  bool is_recording_ = true;
};

// What is kept of what was not synced.
enum class Unsynced { kLost, kKept, kTorn };

// Folds operations one by one.
class Disk {
 public:
  void Apply(const DiskOp& op);
  // Files by path.
  std::map<std::string, std::string> Image(Unsynced unsynced, uint32_t seed) const;

 private:
  struct File {
    std::optional<std::string> durable;  // none: not even its name
    std::vector<DiskOp> pending;
  };
  std::map<std::string, File> files_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_POWER_LOSS_H_
