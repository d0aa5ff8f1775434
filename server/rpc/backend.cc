#include "server/rpc/backend.h"

#include <utility>
#include <vector>

#include "wire/status.h"

namespace jenner::rpc {

absl::Status Busy() {
  return absl::UnavailableError("the server is busy or shutting down; try again");
}

void CountCall(Backend& backend, const char* method, const absl::Status& status) {
  backend.metrics->CallHandled(method, absl::StatusCodeToString(status.code()));
}

void Call::Finish(const absl::Status& status) const {
  CountCall(*backend, method, status);
  const bool is_about = !status.ok() && !resource.type.empty();
  reactor->Finish(wire::ToGrpcStatus(
      is_about ? wire::WithResource(status, resource.type, resource.name) : status));
}

void Call::Ask(std::function<void(const View&)> answer) const {
  Request request;
  request.answer = [answer = std::move(answer)](const absl::Status&, const View& view) {
    answer(view);
  };
  if (!backend->coordinator->Push(std::move(request))) Finish(Busy());
}

void Call::Do(coordinator::Command command, std::function<void(const View&)> answer) const {
  Try(std::move(command),
      [call = *this, answer = std::move(answer)](const absl::Status& decided, const View& view) {
        if (!decided.ok()) return call.Finish(decided);
        answer(view);
      });
}

void Call::Try(coordinator::Command command,
               std::function<void(const absl::Status&, const View&)> answer) const {
  Request request;
  request.command = std::move(command);
  request.answer = std::move(answer);
  if (!backend->coordinator->Push(std::move(request))) Finish(Busy());
}

void Call::OnStoreThread(feed::Task task) const {
  if (!backend->store_tasks->Push(std::move(task))) Finish(Busy());
}

void Call::OnFileThread(feed::Task task) const {
  if (!backend->file_tasks->Push(std::move(task))) Finish(Busy());
}

telemetry::SeriesOwner OwnerOf(const std::string& experiment, const coordinator::Job& job) {
  telemetry::SeriesOwner owner{experiment, job.plan.id, {}};
  if (job.plan.spec.evaluation) owner.answers_per_prompt = job.plan.spec.evaluation->samples;
  for (const core::ArmSeed& arm : job.plan.arms) owner.arms.emplace_back(arm.arm, arm.seed);
  return owner;
}

void ShowCell(const telemetry::SeriesOwner& owner, const store::Cell& cell,
              telemetry::Metrics* metrics) {
  std::vector<telemetry::TraitFigures> traits;
  for (const store::TraitCount& count : cell.traits) {
    traits.push_back(
        {count.trait, count.num_present, count.num_measured, count.num_not_measurable});
  }
  metrics->Cell(owner, cell.step, cell.context, traits);
}

}  // namespace jenner::rpc
