// BlobStore: immutable bytes named by their SHA-256, one file each under <dir>/<first two digits>/.
// Written under <dir>/tmp, checked, fsynced, renamed, the folder fsynced: a name that exists is
// whole. Reading hashes again, so that rot is DataLoss and never silent. Names are hex digits only,
// so no path can leave the folder.
#ifndef JENNER_SERVER_STORE_BLOB_STORE_H_
#define JENNER_SERVER_STORE_BLOB_STORE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "core/sha256.h"

namespace jenner::store {

// One blob on its way in. Not thread-safe. Destroyed without Commit, it leaves nothing behind.
class BlobWriter {
 public:
  ~BlobWriter();
  BlobWriter(const BlobWriter&) = delete;
  BlobWriter& operator=(const BlobWriter&) = delete;

  // InvalidArgument: more than the size that was announced. ResourceExhausted: the disk is full.
  absl::Status Write(std::string_view chunk);
  // After the last Write. InvalidArgument: fewer bytes, or other bytes, than were announced.
  absl::Status Verify();
  // Verify, unless that was called, and then makes the blob durable and visible.
  absl::Status Commit();

  // The file that holds what was written so far, for those who must look before Commit.
  const std::string& TemporaryPath() const { return temporary_; }

 private:
  friend class BlobStore;
  BlobWriter(std::string folder, std::string sha256, int64_t size_bytes, std::string temporary,
             int fd);

  std::string folder_;  // where the blob will be
  std::string sha256_;
  int64_t size_bytes_;
  int64_t written_bytes_ = 0;
  std::string temporary_;
  int fd_;
  bool is_verified_ = false;
  core::Sha256 hash_;
};

// One blob on its way out. Not thread-safe.
class BlobReader {
 public:
  ~BlobReader();
  BlobReader(const BlobReader&) = delete;
  BlobReader& operator=(const BlobReader&) = delete;

  int64_t size_bytes() const { return size_bytes_; }
  // The next bytes, at most `limit`; empty at the end. DataLoss: the file is not what its name says
  // (found at the last bytes, which are then not given out).
  absl::StatusOr<std::string> Read(int64_t limit);

 private:
  friend class BlobStore;
  BlobReader(std::string sha256, int64_t size_bytes, int fd);

  std::string sha256_;
  int64_t size_bytes_;
  int64_t read_bytes_ = 0;
  int fd_;
  bool is_checked_ = false;
  core::Sha256 hash_;
};

// Thread-safe; holds nothing but its folder. Calls block on the disk.
class BlobStore {
 public:
  // Makes the folders and removes what an earlier process left under tmp/. FailedPrecondition:
  // cannot.
  static absl::StatusOr<std::unique_ptr<BlobStore>> Open(const std::string& dir);

  // InvalidArgument: `sha256` is not 64 lower-case hex digits, or the size is negative or more than
  // `max_bytes`, which is ResourceExhausted.
  absl::StatusOr<std::unique_ptr<BlobWriter>> Create(const std::string& sha256, int64_t size_bytes,
                                                     int64_t max_bytes);
  // InvalidArgument: not a hash. NotFound: no such blob.
  absl::StatusOr<std::unique_ptr<BlobReader>> Read(const std::string& sha256) const;
  absl::StatusOr<int64_t> SizeBytes(const std::string& sha256) const;

  // Takes the file at `path`, elsewhere, as the blob of that name: by a hard link where that can
  // be, else by a copy; its bytes are checked either way. Does nothing but check if the blob is
  // there. InvalidArgument: not a hash. NotFound: no such file. DataLoss: its bytes have another
  // hash.
  absl::Status Import(const std::string& path, const std::string& sha256) const;
  // Below the store's folder, and as a whole: where the blob is, or would be.
  static std::string NameOf(const std::string& sha256) {
    return sha256.substr(0, 2) + "/" + sha256;
  }
  std::string PathOf(const std::string& sha256) const;

  // A blob's time is when it was uploaded or touched last. Does nothing if it is not there.
  void Touch(const std::string& sha256) const;

  static constexpr int kNumFolders = 256;  // by the first byte of the hash
  struct Swept {
    int64_t kept_bytes = 0;
    int64_t removed_bytes = 0;
    int num_removed = 0;
  };
  // Removes the blobs of one folder whose time is before `cutoff`, unless `is_wanted`, which is
  // asked for these only, with their times. What cannot be removed stays.
  Swept Sweep(
      int folder_idx, absl::Time cutoff,
      const std::function<bool(const std::string& sha256, absl::Time time)>& is_wanted) const;

 private:
  explicit BlobStore(std::string dir) : dir_(std::move(dir)) {}
  std::string dir_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_BLOB_STORE_H_
