#include "server/rpc/coordinators.h"

#include <sys/statvfs.h>

#include "wire/convert.h"

namespace jenner::rpc {
namespace {

bool HasLimit(const coordinator::Quota& quota) {
  return quota.slots.has_value() || quota.jobs.has_value() || quota.experiments.has_value();
}

bool HasLimits(const coordinator::Quotas& quotas) {
  bool has = HasLimit(quotas.otherwise);
  for (const auto& [owner, quota] : quotas.owners) has = has || HasLimit(quota);
  return has;
}

void ShowDisk(const std::string& data_dir, v1::Coordinator* coordinator) {
  struct statvfs disk {};
  if (statvfs(data_dir.c_str(), &disk) != 0) return;
  const auto block = static_cast<int64_t>(disk.f_frsize);
  coordinator->set_data_free_bytes(static_cast<int64_t>(disk.f_bavail) * block);
  coordinator->set_data_total_bytes(static_cast<int64_t>(disk.f_blocks) * block);
}

}  // namespace

grpc::ServerUnaryReactor* CoordinatorsService::GetCoordinator(
    grpc::CallbackServerContext* context, const v1::GetCoordinatorRequest*,
    v1::GetCoordinatorResponse* response) {
  const Call call(backend_, context, "Coordinators/GetCoordinator");
  call.Ask([this, call, response](const View& view) {
    v1::Coordinator* coordinator = response->mutable_coordinator();
    coordinator->set_version(backend_.version);
    *coordinator->mutable_time() = wire::ToProto(view.now);
    coordinator->set_principal(call.caller->principal.Id());
    coordinator->set_role(auth::RoleName(call.caller->principal.role));
    coordinator->set_tokens_required(backend_.gate->TokensRequired());
    coordinator->set_epoch(facts_.epoch);
    if (facts_.keep_experiments > absl::ZeroDuration()) {
      *coordinator->mutable_keep_experiments() = wire::ToProto(facts_.keep_experiments);
    }
    if (facts_.keep_unreferenced > absl::ZeroDuration()) {
      *coordinator->mutable_keep_unreferenced() = wire::ToProto(facts_.keep_unreferenced);
    }
    coordinator->set_has_quotas(HasLimits(view.state.quotas));
    coordinator->set_experiments(static_cast<int32_t>(view.state.experiments.size()));
    call.OnFileThread([this, call, coordinator] {
      ShowDisk(facts_.data_dir, coordinator);
      call.Finish(absl::OkStatus());
    });
  });
  return call.reactor;
}

}  // namespace jenner::rpc
