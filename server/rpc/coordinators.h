// The Coordinators service (proto/jenner/v1/coordinator.proto). Thread-safe; no reaction blocks.
#ifndef JENNER_SERVER_RPC_COORDINATORS_H_
#define JENNER_SERVER_RPC_COORDINATORS_H_

#include <cstdint>
#include <string>
#include <utility>

#include "absl/time/time.h"
#include "jenner/v1/coordinator.grpc.pb.h"
#include "server/rpc/backend.h"

namespace jenner::rpc {

// How the server is run; does not change.
struct CoordinatorFacts {
  std::string data_dir;
  int64_t epoch = 0;                                       // 0: no shared event log
  absl::Duration keep_experiments = absl::ZeroDuration();  // 0: for ever
  absl::Duration keep_unreferenced = absl::ZeroDuration();
};

class CoordinatorsService final : public v1::Coordinators::CallbackService {
 public:
  // `backend` must outlive it.
  CoordinatorsService(Backend& backend, CoordinatorFacts facts)
      : backend_(backend), facts_(std::move(facts)) {}

  grpc::ServerUnaryReactor* GetCoordinator(grpc::CallbackServerContext* context,
                                           const v1::GetCoordinatorRequest* request,
                                           v1::GetCoordinatorResponse* response) override;

 private:
  Backend& backend_;
  const CoordinatorFacts facts_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_COORDINATORS_H_
