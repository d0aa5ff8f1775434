// The Datasets service (proto/jenner/v1/dataset.proto). Thread-safe; no reaction blocks.
#ifndef JENNER_SERVER_RPC_DATASETS_H_
#define JENNER_SERVER_RPC_DATASETS_H_

#include "jenner/v1/dataset.grpc.pb.h"
#include "server/rpc/backend.h"

namespace jenner::rpc {

class DatasetsService final : public v1::Datasets::CallbackService {
 public:
  // `backend` must outlive it.
  explicit DatasetsService(Backend& backend) : backend_(backend) {}

  grpc::ServerReadReactor<v1::UploadDatasetRequest>* UploadDataset(
      grpc::CallbackServerContext* context, v1::UploadDatasetResponse* response) override;
  grpc::ServerUnaryReactor* GetDataset(grpc::CallbackServerContext* context,
                                       const v1::GetDatasetRequest* request,
                                       v1::GetDatasetResponse* response) override;
  grpc::ServerWriteReactor<v1::DownloadDatasetResponse>* DownloadDataset(
      grpc::CallbackServerContext* context, const v1::DownloadDatasetRequest* request) override;

 private:
  Backend& backend_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_DATASETS_H_
