// WatchExperiment: joins a feed::Watcher to a gRPC stream.
#ifndef JENNER_SERVER_RPC_WATCH_H_
#define JENNER_SERVER_RPC_WATCH_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/cell_format.h"
#include "jenner/v1/experiment.pb.h"
#include "server/feed/watcher.h"
#include "server/rpc/backend.h"

namespace jenner::rpc {

struct ExperimentSnapshot : feed::Snapshot {
  v1::Experiment message;                                // without spec
  std::map<std::string, std::vector<std::string>> arms;  // job id -> "arm/seed"
  core::CellFormat cell_format;
  std::vector<coordinator::Reason> reasons;  // of the queued jobs, in their order
};

// All watchers of an experiment share one snapshot, for as long as no event changes it and its jobs
// wait for the same reasons. Used on the coordinator thread only.
class SnapshotCache {
 public:
  // NotFound: no such experiment.
  absl::StatusOr<std::shared_ptr<const ExperimentSnapshot>> Of(const std::string& experiment,
                                                               const View& view);

 private:
  std::map<std::string, std::weak_ptr<const ExperimentSnapshot>> known_;
};

// The stream's reactor; it owns itself. `backend` and `snapshots` must outlive it.
grpc::ServerWriteReactor<v1::WatchExperimentResponse>* MakeWatch(
    Backend& backend, SnapshotCache& snapshots, grpc::CallbackServerContext* context,
    const v1::WatchExperimentRequest& request);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_WATCH_H_
