#include "server/rpc/backend.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/version.h"
#include "logging/log.h"
#include "wire/status.h"

namespace jenner::rpc {

absl::Status Busy() {
  return absl::UnavailableError("the server is busy or shutting down; try again");
}

namespace {

using logging::Level;
using logging::Log;

bool IsToldInLog(const Caller& caller, const absl::Status& status) {
  if (!caller.status.ok()) return absl::IsPermissionDenied(caller.status);
  if (status.ok()) return caller.rule->audited;
  return !absl::IsCancelled(status);  // the client went away
}

Level LevelOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInternal:
    case absl::StatusCode::kUnknown:
    case absl::StatusCode::kDataLoss:
      return Level::kError;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kResourceExhausted:
    case absl::StatusCode::kDeadlineExceeded:
      return Level::kWarning;
    default:
      return Level::kInfo;
  }
}

}  // namespace

void CountCall(Backend& backend, const char* method, const absl::Status& status) {
  backend.metrics->CallHandled(method, absl::StatusCodeToString(status.code()));
}

void CallEnded(Backend& backend, const char* method, const Caller& caller, const Resource& resource,
               const absl::Status& status) {
  CountCall(backend, method, status);
  if (!backend.limits.log_calls && !IsToldInLog(caller, status)) return;
  logging::Fields fields = {
      {"method", method},
      {"code", absl::StatusCodeToString(status.code())},
      {"trace", caller.trace_id},
      {"caller", caller.principal.Id()},
      {"peer", caller.peer},
      {"seconds", absl::StrFormat("%.3f", absl::ToDoubleSeconds(backend.clock() - caller.begin))}};
  if (!resource.name.empty()) fields.emplace_back("resource", resource.name);
  if (!caller.request_id.empty()) fields.emplace_back("request", caller.request_id);
  if (!status.ok()) fields.emplace_back("error", std::string(status.message()));
  Log(LevelOf(status), "call", fields);
}

std::shared_ptr<const Caller> Admit(Backend& backend, grpc::CallbackServerContext& context,
                                    const char* method, CallKind kind, const Resource& resource,
                                    const std::string& request_id) {
  std::shared_ptr<Caller> caller = backend.gate->Admit(context, method, kind, backend.clock());
  caller->request_id = request_id;
  if (!backend.version.empty()) context.AddInitialMetadata(core::kVersionMetadata, backend.version);
  if (!caller->status.ok()) {
    CallEnded(backend, method, *caller, resource, caller->status);
    Audit(backend, *caller, resource, caller->status);
  }
  return caller;
}

void Audit(Backend& backend, const Caller& caller, const Resource& resource,
           const absl::Status& outcome) {
  // Of a call by nobody, or refused for being one too many, there may be any number.
  const bool is_kept = absl::IsPermissionDenied(outcome) ||
                       (caller.rule != nullptr && caller.rule->audited && caller.status.ok());
  if (!is_kept) return;
  store::AuditEntry entry{backend.clock(),
                          caller.principal.Id(),
                          caller.peer,
                          caller.rule == nullptr ? "" : std::string(caller.rule->method),
                          resource.name,
                          caller.request_id,
                          absl::StatusCodeToString(outcome.code()),
                          std::string(outcome.message())};
  const std::string method = entry.method;
  const bool is_posted =
      backend.file_tasks->Push([audit = backend.audit, entry = std::move(entry)] {
        const absl::Status written = audit->Append(entry);
        if (!written.ok()) {
          Log(Level::kError, "an audit entry is lost",
              {{"entry", store::AuditLine(entry)}, {"status", written.ToString()}});
        }
      });
  if (!is_posted) {
    Log(Level::kError, "an audit entry is lost: the server is busy or ends",
        {{"method", method}, {"principal", caller.principal.Id()}, {"resource", resource.name}});
  }
}

Call::Call(Backend& given, grpc::CallbackServerContext* context, const char* method_name,
           Resource about, const std::string& request_id)
    : backend(&given),
      method(method_name),
      reactor(context->DefaultReactor()),
      resource(std::move(about)),
      caller(Admit(given, *context, method_name, CallKind::kUnary, resource, request_id)) {
  if (IsRefused()) reactor->Finish(wire::ToGrpcStatus(caller->status));
}

absl::Status Call::Permit(const coordinator::State& state) const {
  if (!caller->rule->owned) return absl::OkStatus();
  const std::optional<std::string> id = core::IdIn("experiments", resource.name);
  if (!id.has_value()) return absl::PermissionDeniedError("the call names no experiment");
  const auto found = state.experiments.find(*id);
  if (found == state.experiments.end()) return absl::OkStatus();  // it is told so
  if (auth::Owns(caller->principal, found->second.creator, found->second.project)) {
    return absl::OkStatus();
  }
  return wire::WithReason(
      absl::PermissionDeniedError(absl::StrFormat(
          "experiment \"%s\" belongs to another: \"%s\" may change its own and its project's", *id,
          caller->principal.name)),
      "NOT_OWNER");
}

void Call::Finish(const absl::Status& status) const {
  if (IsRefused()) return;
  if (is_preview) {
    CountCall(*backend, method, status);
  } else {
    CallEnded(*backend, method, *caller, resource, status);
    Audit(*backend, *caller, resource, status);
  }
  const bool is_about = !status.ok() && !resource.type.empty();
  reactor->Finish(wire::ToGrpcStatus(
      is_about ? wire::WithResource(status, resource.type, resource.name) : status));
}

void Call::Ask(std::function<void(const View&)> answer) const {
  if (IsRefused()) return;
  Request request;
  request.answer = [call = *this, answer = std::move(answer)](const absl::Status&,
                                                              const View& view) {
    const absl::Status permitted = call.Permit(view.state);
    if (!permitted.ok()) return call.Finish(permitted);
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
  if (IsRefused()) return;
  Request request;
  request.command = std::move(command);
  if (caller->rule->owned) {
    request.permit = [call = *this](const coordinator::State& state) { return call.Permit(state); };
  }
  request.answer = std::move(answer);
  if (!backend->coordinator->Push(std::move(request))) Finish(Busy());
}

void Call::OnStoreThread(feed::Task task) const {
  if (IsRefused()) return;
  if (!backend->store_tasks->Push(std::move(task))) Finish(Busy());
}

void Call::OnFileThread(feed::Task task) const {
  if (IsRefused()) return;
  if (!backend->file_tasks->Push(std::move(task))) Finish(Busy());
}

void ShowCell(const telemetry::SeriesOwner& owner, const store::Cell& cell,
              telemetry::Metrics* metrics) {
  std::vector<telemetry::TraitFigures> traits;
  for (const store::TraitCount& count : cell.traits) {
    traits.push_back(
        {count.trait, count.num_present, count.num_measured, count.num_not_measurable, count.sum});
  }
  metrics->Cell(owner, cell.step, cell.prompt_set, cell.context, traits);
}

}  // namespace jenner::rpc
