// The Experiments service (proto/jenner/v1/experiment.proto). Thread-safe; no reaction blocks.
#ifndef JENNER_SERVER_RPC_EXPERIMENTS_H_
#define JENNER_SERVER_RPC_EXPERIMENTS_H_

#include "jenner/v1/experiment.grpc.pb.h"
#include "server/rpc/backend.h"
#include "server/rpc/watch.h"

namespace jenner::rpc {

class ExperimentsService final : public v1::Experiments::CallbackService {
 public:
  // `backend` must outlive it.
  explicit ExperimentsService(Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* CreateExperiment(grpc::CallbackServerContext* context,
                                             const v1::CreateExperimentRequest* request,
                                             v1::CreateExperimentResponse* response) override;
  grpc::ServerUnaryReactor* GetExperiment(grpc::CallbackServerContext* context,
                                          const v1::GetExperimentRequest* request,
                                          v1::GetExperimentResponse* response) override;
  grpc::ServerUnaryReactor* ListExperiments(grpc::CallbackServerContext* context,
                                            const v1::ListExperimentsRequest* request,
                                            v1::ListExperimentsResponse* response) override;
  grpc::ServerUnaryReactor* CancelExperiment(grpc::CallbackServerContext* context,
                                             const v1::CancelExperimentRequest* request,
                                             v1::CancelExperimentResponse* response) override;
  grpc::ServerUnaryReactor* PauseExperiment(grpc::CallbackServerContext* context,
                                            const v1::PauseExperimentRequest* request,
                                            v1::PauseExperimentResponse* response) override;
  grpc::ServerUnaryReactor* ResumeExperiment(grpc::CallbackServerContext* context,
                                             const v1::ResumeExperimentRequest* request,
                                             v1::ResumeExperimentResponse* response) override;
  grpc::ServerUnaryReactor* DeleteExperiment(grpc::CallbackServerContext* context,
                                             const v1::DeleteExperimentRequest* request,
                                             v1::DeleteExperimentResponse* response) override;
  grpc::ServerWriteReactor<v1::WatchExperimentResponse>* WatchExperiment(
      grpc::CallbackServerContext* context, const v1::WatchExperimentRequest* request) override;
  grpc::ServerUnaryReactor* GetResults(grpc::CallbackServerContext* context,
                                       const v1::GetResultsRequest* request,
                                       v1::GetResultsResponse* response) override;
  grpc::ServerUnaryReactor* ListSamples(grpc::CallbackServerContext* context,
                                        const v1::ListSamplesRequest* request,
                                        v1::ListSamplesResponse* response) override;
  grpc::ServerUnaryReactor* GetLogs(grpc::CallbackServerContext* context,
                                    const v1::GetLogsRequest* request,
                                    v1::GetLogsResponse* response) override;

 private:
  Backend& backend_;
  SnapshotCache snapshots_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_EXPERIMENTS_H_
