// The Workers service (proto/jenner/v1/worker.proto). Thread-safe; no reaction blocks.
#ifndef JENNER_SERVER_RPC_WORKERS_H_
#define JENNER_SERVER_RPC_WORKERS_H_

#include "jenner/v1/worker.grpc.pb.h"
#include "server/rpc/backend.h"

namespace jenner::rpc {

class WorkersService final : public v1::Workers::CallbackService {
 public:
  // `backend` must outlive it.
  explicit WorkersService(Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* Synchronize(grpc::CallbackServerContext* context,
                                        const v1::SynchronizeRequest* request,
                                        v1::SynchronizeResponse* response) override;
  grpc::ServerUnaryReactor* UploadTelemetry(grpc::CallbackServerContext* context,
                                            const v1::UploadTelemetryRequest* request,
                                            v1::UploadTelemetryResponse* response) override;
  grpc::ServerReadReactor<v1::UploadBlobRequest>* UploadBlob(
      grpc::CallbackServerContext* context, v1::UploadBlobResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadBlobResponse>* DownloadBlob(
      grpc::CallbackServerContext* context, const v1::DownloadBlobRequest* request) override;
  grpc::ServerUnaryReactor* ListWorkers(grpc::CallbackServerContext* context,
                                        const v1::ListWorkersRequest* request,
                                        v1::ListWorkersResponse* response) override;
  grpc::ServerUnaryReactor* CordonWorker(grpc::CallbackServerContext* context,
                                         const v1::CordonWorkerRequest* request,
                                         v1::CordonWorkerResponse* response) override;
  grpc::ServerUnaryReactor* UncordonWorker(grpc::CallbackServerContext* context,
                                           const v1::UncordonWorkerRequest* request,
                                           v1::UncordonWorkerResponse* response) override;

 private:
  Backend& backend_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_WORKERS_H_
