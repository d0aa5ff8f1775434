// What an experiment needs of stored datasets before it can be decided: that they are there, the
// training sets that are made of them, and that these do not hold what is asked in the evaluation.
#ifndef JENNER_SERVER_RPC_PREPARE_H_
#define JENNER_SERVER_RPC_PREPARE_H_

#include <cstdint>
#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/spec.h"
#include "server/store/blob_store.h"
#include "server/store/dataset_store.h"

namespace jenner::rpc {

// Every dataset that a valid spec names is there, for its use. NotFound, InvalidArgument, with all
// fields.
absl::Status CheckDatasets(const core::ExperimentSpec& spec, const store::DatasetStore& datasets);

// How much there is of a dataset.
struct DatasetSize {
  int64_t num_rows = 0;
  int64_t num_messages = 0;
  int64_t text_bytes = 0;  // of the messages' content
};
using DatasetSizes = std::map<std::string, DatasetSize>;  // by reference

// Makes the training sets of spec->data, stores them (unless `is_preview`) and fills in their
// results. Adds to *sizes every dataset that is trained on or answered. Reads datasets into memory
// and may take seconds. REQUIRES: CheckDatasets is OK. InvalidArgument lists what
// core::MakeTrainingSet refuses, with its path, and a `dataset` with rows that ask what an
// evaluation prompt asks. What the store says besides.
absl::Status MakeData(store::BlobStore& blobs, store::DatasetStore& datasets, bool is_preview,
                      core::ExperimentSpec* spec, DatasetSizes* sizes);

// Stores the bytes under their hash, unless they are there. Errors of BlobStore::Create and
// BlobWriter.
absl::Status StoreBlob(const std::string& bytes, store::BlobStore& blobs);

// All bytes of a blob. Errors of BlobStore::Read and BlobReader::Read.
absl::StatusOr<std::string> ReadBlob(const store::BlobStore& blobs, const std::string& sha256);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_PREPARE_H_
