// DatasetStore: which blobs are datasets, and what for. A dataset is a blob that core::ParseDataset
// accepted for a use, and a marker file <dir>/<sha256>.<use> that says so.
#ifndef JENNER_SERVER_STORE_DATASET_STORE_H_
#define JENNER_SERVER_STORE_DATASET_STORE_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/dataset.h"
#include "server/store/blob_store.h"

namespace jenner::store {

struct DatasetInfo {
  int64_t size_bytes = 0;
  bool for_training = false;
  bool for_evaluation = false;
};

// Thread-safe; holds nothing but its folder. Calls block on the disk; `blobs` must outlive it.
class DatasetStore {
 public:
  // FailedPrecondition: the folder cannot be made.
  static absl::StatusOr<std::unique_ptr<DatasetStore>> Open(const std::string& dir,
                                                            const BlobStore& blobs);

  // All bytes have been written to `writer`. InvalidArgument: they are not what was announced, or
  // not a dataset for `use` (the message has a line for each faulty line). OK: durable. Reads the
  // whole dataset into memory and may take seconds.
  absl::Status Add(std::unique_ptr<BlobWriter> writer, const std::string& sha256,
                   core::DatasetUse use);

  // InvalidArgument: not a hash. NotFound: no such dataset. Touches the blob: who asks may be about
  // to need it (blob_store.h).
  absl::StatusOr<DatasetInfo> Find(const std::string& sha256) const;

  // It is no dataset any more; the blob is left to the caller.
  void Forget(const std::string& sha256) const;

 private:
  DatasetStore(std::string dir, const BlobStore& blobs) : dir_(std::move(dir)), blobs_(blobs) {}
  std::string Marker(const std::string& sha256, core::DatasetUse use) const;

  std::string dir_;
  const BlobStore& blobs_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_DATASET_STORE_H_
