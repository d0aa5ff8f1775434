// The Studies service (proto/jenner/v1/study.proto). Thread-safe; no reaction blocks.
#ifndef JENNER_SERVER_RPC_STUDY_H_
#define JENNER_SERVER_RPC_STUDY_H_

#include "jenner/v1/study.grpc.pb.h"
#include "server/rpc/backend.h"

namespace jenner::rpc {

class StudiesService final : public v1::Studies::CallbackService {
 public:
  // `backend` must outlive it.
  explicit StudiesService(Backend& backend) : backend_(backend) {}

  grpc::ServerUnaryReactor* GetStudy(grpc::CallbackServerContext* context,
                                     const v1::GetStudyRequest* request,
                                     v1::GetStudyResponse* response) override;
  grpc::ServerUnaryReactor* FreezeScreen(grpc::CallbackServerContext* context,
                                         const v1::FreezeScreenRequest* request,
                                         v1::FreezeScreenResponse* response) override;

 private:
  Backend& backend_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_STUDY_H_
