// CreateExperiment, step by step: check the request, look for its datasets, make
// its training sets, ask the coordinator.
#ifndef JENNER_SERVER_RPC_CREATE_H_
#define JENNER_SERVER_RPC_CREATE_H_

#include "absl/status/statusor.h"
#include "jenner/v1/experiment.pb.h"
#include "server/coordinator/command.h"
#include "server/rpc/backend.h"
#include "server/store/blob_store.h"

namespace jenner::rpc {

// A spec may be this large as JSON, so that the event that records it fits the log.
inline constexpr int64_t kMaxSpecBytes = int64_t{2} << 20;

// The command that `request` asks for, its spec resolved; the id is made here if none was given.
// `blobs` has the selection that the spec may name. InvalidArgument: everything that is wrong with
// it, at once. NotFound: the selection. Blocks on the disk if there is a selection.
absl::StatusOr<coordinator::CreateExperiment> ToCommand(const v1::CreateExperimentRequest& request,
                                                        const store::BlobStore& blobs);

// Takes the call to its end.
void Create(const Call& given, const v1::CreateExperimentRequest* request,
            v1::CreateExperimentResponse* response);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_CREATE_H_
