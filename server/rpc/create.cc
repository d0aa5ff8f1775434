#include "server/rpc/create.h"

#include <google/protobuf/io/coded_stream.h>
#include <google/protobuf/io/zero_copy_stream_impl_lite.h>

#include <memory>
#include <random>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/resolve.h"
#include "core/selection.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/status.h"
#include "server/coordinator/decide.h"
#include "server/rpc/encode.h"
#include "server/rpc/plan.h"
#include "server/rpc/prepare.h"
#include "wire/convert.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

bool IsUuid(const std::string& text) {
  if (text.size() != 36) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    const bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
    if (is_dash ? text[i] != '-' : !isxdigit(static_cast<unsigned char>(text[i]))) return false;
  }
  return true;
}

std::string NewId() {
  std::random_device device;
  return absl::StrFormat("exp-%08x%04x", device(), device() & 0xffffu);
}

// The hash of what was asked for, the same for equal requests: maps are written by key.
std::string Fingerprint(v1::CreateExperimentRequest request) {
  request.clear_request_id();
  request.clear_validate_only();
  std::string bytes;
  {
    google::protobuf::io::StringOutputStream stream(&bytes);
    google::protobuf::io::CodedOutputStream coded(&stream);
    coded.SetSerializationDeterministic(true);
    request.SerializeToCodedStream(&coded);
  }
  return core::Sha256Hex(bytes);
}

// A refusal for the sake of a quota says which; one for the sake of the request_id is about the
// experiment that the request made before.
absl::Status Refusal(const absl::Status& decided, const coordinator::CreateExperiment& command,
                     const View& view) {
  const std::string quota = coordinator::QuotaOf(decided);
  if (!quota.empty()) {
    return wire::WithReason(absl::Status(decided.code(), decided.message()), quota);
  }
  const auto known = view.state.request_ids.find(command.request_id);
  if (decided.ok() || command.request_id.empty() || known == view.state.request_ids.end()) {
    return decided;
  }
  const bool is_deleted = absl::IsFailedPrecondition(decided);
  absl::Status status =
      wire::FaultStatus("request_id", std::string(decided.message()), decided.code());
  status = wire::WithReason(status, is_deleted ? "REQUEST_ID_OF_DELETED" : "REQUEST_ID_REUSED");
  status = wire::WithMetadata(status, "request_id", command.request_id);
  return wire::WithResource(status, "experiment", core::ExperimentName(known->second));
}

// The experiment that `command` made now or when it was sent before; null if it is not there.
const coordinator::Experiment* MadeBy(const coordinator::CreateExperiment& command,
                                      const View& view) {
  if (!command.request_id.empty()) return view.state.MadeBy(command.request_id);
  const auto made = view.state.experiments.find(command.id);
  return made == view.state.experiments.end() ? nullptr : &made->second;
}

// `command` was decided and, unless it was made before, did nothing: its resolved spec and the jobs
// it would have.
v1::Experiment Preview(const coordinator::CreateExperiment& command, const View& view) {
  if (const coordinator::Experiment* made = MadeBy(command, view)) {
    return Encode(*made, view, Detail::kFull);
  }
  coordinator::Experiment experiment;
  experiment.id = command.id;
  experiment.owner = command.owner;
  experiment.spec = command.spec;
  for (core::PlannedJob& plan : core::Expand(command.spec)) {
    experiment.jobs.emplace_back();
    experiment.jobs.back().plan = std::move(plan);
  }
  const View with_it{view.state, view.versions, view.last_event, view.now};
  with_it.pending.emplace(view.state, view.now, &experiment);
  return Encode(experiment, with_it, Detail::kFull);
}

// On the file thread: everything that is asked of the disk is answered.
void Submit(const Call& call, coordinator::CreateExperiment command, DatasetSizes sizes,
            v1::CreateExperimentResponse* response) {
  if (call.is_preview) {
    return call.Ask(
        [call, command = std::move(command), sizes = std::move(sizes), response](const View& view) {
          const absl::Status decided = coordinator::Decide(view.state, command, view.now).status();
          if (decided.ok()) {
            *response->mutable_experiment() = Preview(command, view);
            *response->mutable_plan() =
                PlanOf(command.spec, core::ExpandUnnamed(command.spec), sizes, view.state);
          }
          call.Finish(Refusal(decided, command, view));
        });
  }
  call.Try(command, [call, command, response](const absl::Status& decided, const View& view) {
    if (!decided.ok()) return call.Finish(Refusal(decided, command, view));
    const coordinator::Experiment* made = MadeBy(command, view);
    if (made == nullptr) {
      return call.Finish(absl::AbortedError("the experiment was deleted at the same time"));
    }
    *response->mutable_experiment() = Encode(*made, view, Detail::kFull);
    call.Finish(absl::OkStatus());
  });
}

// The contexts of the selection that `spec` names, if any, are added to it.
absl::Status ReadSelection(const store::BlobStore& blobs, core::ExperimentSpec* spec,
                           core::Faults* faults) {
  const std::optional<std::string> sha256 = core::HexOfRef(spec->selection);
  if (!sha256) return absl::OkStatus();
  const absl::StatusOr<int64_t> size = blobs.SizeBytes(*sha256);
  if (size.ok() && *size > static_cast<int64_t>(core::kMaxSelectionBytes)) {
    faults->push_back({"selection", spec->selection + " is not a selection: it is too large"});
    return absl::OkStatus();
  }
  const absl::StatusOr<std::string> json = ReadBlob(blobs, *sha256);
  if (absl::IsNotFound(json.status())) {
    return wire::WithReason(wire::FaultStatus("selection", spec->selection + " was not frozen here",
                                              absl::StatusCode::kNotFound),
                            "SELECTION_NOT_FOUND");
  }
  RETURN_IF_ERROR(json.status());
  core::Faults own;
  const core::Selection selection = core::ParseSelection(*json, &own);
  if (!own.empty()) {
    faults->push_back({"selection", spec->selection + " is not a selection"});
  } else {
    core::AddSelection(selection, spec, faults);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<coordinator::CreateExperiment> ToCommand(const v1::CreateExperimentRequest& request,
                                                        const store::BlobStore& blobs) {
  core::Faults faults;
  coordinator::CreateExperiment command;
  command.id = request.experiment_id().empty() ? NewId() : request.experiment_id();
  if (!core::IsId(command.id)) {
    faults.push_back({"experiment_id", absl::StrFormat("expected [a-z]([a-z0-9-]{0,61}[a-z0-9])?; "
                                                       "found \"%s\"",
                                                       command.id.substr(0, 80))});
  }
  if (!request.request_id().empty() && !IsUuid(request.request_id())) {
    faults.push_back({"request_id", "expected a UUID"});
  }
  command.request_id = request.request_id();
  if (!request.owner().empty()) command.owner = request.owner();
  if (!core::IsOwner(command.owner)) {
    faults.push_back({"owner", absl::StrFormat("expected 1 to 63 letters, digits, '.', '_', '-' or "
                                               "'@'; found \"%s\"",
                                               command.owner.substr(0, 80))});
  }
  command.fingerprint = Fingerprint(request);
  core::ExperimentSpec spec = wire::ToCore(request.spec(), &faults);
  RETURN_IF_ERROR(ReadSelection(blobs, &spec, &faults));
  command.spec = core::Resolve(std::move(spec));
  for (core::Fault& fault : core::Validate(command.spec)) faults.push_back(std::move(fault));
  const auto size = static_cast<int64_t>(core::ToJson(command.spec).size());
  if (size > kMaxSpecBytes) {
    faults.push_back(
        {"", absl::StrFormat("the spec has %d bytes as JSON; at most %d", size, kMaxSpecBytes)});
  }
  if (!faults.empty()) return wire::WithReason(wire::FaultsStatus(faults), "INVALID_SPEC");
  return command;
}

void Create(const Call& given, const v1::CreateExperimentRequest* request,
            v1::CreateExperimentResponse* response) {
  Call call = given;
  call.is_preview = request->validate_only();
  call.OnFileThread([call, request, response]() mutable {
    absl::StatusOr<coordinator::CreateExperiment> command =
        ToCommand(*request, *call.backend->blobs);
    if (!command.ok()) return call.Finish(command.status());
    command->creator = call.caller->principal.name;
    // With a token nobody chooses whose share it uses.
    if (!command->creator.empty()) command->owner = command->creator;
    command->project = call.caller->principal.project;
    call.resource = {"experiment", core::ExperimentName(command->id)};
    DatasetSizes sizes;
    absl::Status status = CheckDatasets(command->spec, *call.backend->datasets);
    if (status.ok()) {
      status = MakeData(*call.backend->blobs, *call.backend->datasets, call.is_preview,
                        &command->spec, &sizes);
    }
    if (status.ok()) status = CheckSteps(command->spec, sizes);
    if (!status.ok()) return call.Finish(status);
    Submit(call, *std::move(command), std::move(sizes), response);
  });
}

}  // namespace jenner::rpc
