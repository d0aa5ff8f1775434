// Retention: throws away what is no longer wanted, a little at a time, each on the thread that owns
// it. A look starts with one question to the coordinator (which experiments are there, what they
// name), everything else is tasks of the store's and the file's thread.
//
// - Rows and logs of all but the newest attempts of a job that has succeeded.
// - Experiments that ended long ago, as DeleteExperiment does it.
// - Datasets and blobs that no experiment names (mark and sweep). Never one that something under
// way
//   may come to need: a blob's time is when it was uploaded or last asked for by a create; it must
//   be older than `keep_unreferenced` and than every attempt that runs, whose uploads are named
//   only when it has ended.
// - Files of checkpoints that no job's committed one names any more, an hour after their upload: a
//   long training makes many. The hour is for those that are not reported yet.
#ifndef JENNER_SERVER_RETENTION_H_
#define JENNER_SERVER_RETENTION_H_

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/time/time.h"
#include "server/rpc/backend.h"

namespace jenner::server {

struct RetentionOptions {
  absl::Duration interval = absl::Minutes(10);             // between two looks
  int keep_attempts = 2;                                   // of a job that succeeded; 0: all
  absl::Duration keep_experiments = absl::ZeroDuration();  // since their end; 0: for ever
  absl::Duration keep_unreferenced = absl::Hours(24);      // datasets and blobs; 0: for ever
};

class Retention {
 public:
  static constexpr size_t kMaxAttempts = 256;    // jobs whose attempts are dropped in one look
  static constexpr size_t kMaxExperiments = 64;  // deleted in one look
  static constexpr absl::Duration kKeepCheckpointFiles = absl::Hours(1);  // that nothing names

  // `files`: (name for the metric, path) of what else counts as used. `backend` must outlive it,
  // and it the threads that run the tasks.
  Retention(rpc::Backend& backend, RetentionOptions options,
            std::vector<std::pair<std::string, std::string>> files)
      : backend_(backend), options_(options), files_(std::move(files)) {}

  // From one thread. Starts a look if one is due and the last one has ended; the first at once.
  void Tick(absl::Time now);

 private:
  // What a look found out and adds up on its way through the threads.
  struct Look {
    std::map<std::string, std::string> named;  // hashes, and who names them
    absl::Time cutoff = absl::InfinitePast();  // blobs of before this may go
    absl::Time checkpoint_cutoff;              // and files of checkpoints of before this
    int64_t blob_bytes = 0;                    // kept
    int next_folder = 0;
  };

  void Begin(const rpc::View& view);
  void DropAttempts(const rpc::View& view);
  void DeleteExpired(const rpc::View& view);
  void Sweep(const std::shared_ptr<Look>& look);
  void End(const Look& look);

  rpc::Backend& backend_;
  const RetentionOptions options_;
  const std::vector<std::pair<std::string, std::string>> files_;
  absl::Time last_ = absl::InfinitePast();  // of the ticking thread
  std::atomic<bool> is_looking_ = false;
  // Of the coordinator's thread: jobs ("experiment/job") that have no older attempts any more.
  std::set<std::string> dropped_;
};

}  // namespace jenner::server

#endif  // JENNER_SERVER_RETENTION_H_
