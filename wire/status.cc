#include "wire/status.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/strings/cord.h"
#include "absl/strings/str_format.h"
#include "google/rpc/error_details.pb.h"
#include "google/rpc/status.pb.h"
#include "wire/channel.h"
#include "wire/convert.h"

namespace jenner::wire {
namespace {

constexpr char kBadRequestUrl[] = "type.googleapis.com/google.rpc.BadRequest";
constexpr char kResourceInfoUrl[] = "type.googleapis.com/google.rpc.ResourceInfo";
constexpr char kPreconditionUrl[] = "type.googleapis.com/google.rpc.PreconditionFailure";
constexpr char kErrorInfoUrl[] = "type.googleapis.com/google.rpc.ErrorInfo";
constexpr char kRetryInfoUrl[] = "type.googleapis.com/google.rpc.RetryInfo";
constexpr size_t kMaxFaultLines = 10;
constexpr size_t kMaxMessageText = 4096;
// Base64 makes a third more of it.
constexpr size_t kMaxDetailBytes = kMaxMetadataBytes / 2;

template <typename Message>
std::optional<Message> Payload(const absl::Status& status, const char* url) {
  const auto payload = status.GetPayload(url);
  Message message;
  if (!payload.has_value() || !message.ParseFromString(std::string(*payload))) return std::nullopt;
  return message;
}

template <typename Message>
void SetPayload(absl::Status* status, const char* url, const Message& message) {
  status->SetPayload(url, absl::Cord(message.SerializeAsString()));
}

google::rpc::ErrorInfo InfoOf(const absl::Status& status) {
  google::rpc::ErrorInfo info =
      Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl).value_or(google::rpc::ErrorInfo());
  info.set_domain(kErrorDomain);
  if (info.reason().empty()) info.set_reason(absl::StatusCodeToString(status.code()));
  return info;
}

std::string Shortened(std::string text) {
  if (text.size() > kMaxMessageText) text = text.substr(0, kMaxMessageText) + "...";
  return text;
}

}  // namespace

absl::Status FaultsStatus(const core::Faults& faults, absl::StatusCode code) {
  const size_t shown = std::min(faults.size(), kMaxFaultLines);
  const core::Faults first(faults.begin(), faults.begin() + static_cast<int64_t>(shown));
  std::string text(core::ToStatus(first).message());
  if (shown < faults.size()) text += absl::StrFormat("\nand %d more", faults.size() - shown);
  absl::Status status(code, text);
  google::rpc::BadRequest details;
  for (const core::Fault& fault : faults) {
    google::rpc::BadRequest::FieldViolation* violation = details.add_field_violations();
    violation->set_field(fault.field);
    violation->set_description(fault.message);
  }
  SetPayload(&status, kBadRequestUrl, details);
  return status;
}

absl::Status FaultStatus(const std::string& field, const std::string& message,
                         absl::StatusCode code) {
  return FaultsStatus({{field, message}}, code);
}

core::Faults FaultsOf(const absl::Status& status) {
  core::Faults faults;
  const auto details = Payload<google::rpc::BadRequest>(status, kBadRequestUrl);
  if (!details.has_value()) return faults;
  for (const auto& violation : details->field_violations()) {
    faults.push_back({violation.field(), violation.description()});
  }
  return faults;
}

absl::Status WithReason(absl::Status status, const std::string& reason) {
  google::rpc::ErrorInfo info = InfoOf(status);
  info.set_reason(reason);
  SetPayload(&status, kErrorInfoUrl, info);
  return status;
}

std::string ReasonOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  return info.has_value() ? info->reason() : "";
}

absl::Status WithMetadata(absl::Status status, const std::string& key, const std::string& value) {
  google::rpc::ErrorInfo info = InfoOf(status);
  (*info.mutable_metadata())[key] = value;
  SetPayload(&status, kErrorInfoUrl, info);
  return status;
}

std::map<std::string, std::string> MetadataOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::ErrorInfo>(status, kErrorInfoUrl);
  if (!info.has_value()) return {};
  return {info->metadata().begin(), info->metadata().end()};
}

absl::Status WithResource(absl::Status status, const std::string& type, const std::string& name) {
  if (MetadataOf(status).count("resource") > 0) return status;
  const std::string text(status.message());
  status = WithMetadata(std::move(status), "resource", name);
  if (absl::IsNotFound(status) || absl::IsAlreadyExists(status)) {
    google::rpc::ResourceInfo info;
    info.set_resource_type(type);
    info.set_resource_name(name);
    info.set_description(text);
    SetPayload(&status, kResourceInfoUrl, info);
  } else if (absl::IsFailedPrecondition(status)) {
    google::rpc::PreconditionFailure failure;
    google::rpc::PreconditionFailure::Violation* violation = failure.add_violations();
    violation->set_type("STATE");
    violation->set_subject(name);
    violation->set_description(text);
    SetPayload(&status, kPreconditionUrl, failure);
  }
  return status;
}

absl::Status WithRetryDelay(absl::Status status, absl::Duration delay) {
  google::rpc::RetryInfo info;
  *info.mutable_retry_delay() = ToProto(delay);
  SetPayload(&status, kRetryInfoUrl, info);
  return status;
}

absl::Duration RetryDelayOf(const absl::Status& status) {
  const auto info = Payload<google::rpc::RetryInfo>(status, kRetryInfoUrl);
  return info.has_value() ? ToCore(info->retry_delay()) : absl::ZeroDuration();
}

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  google::rpc::Status details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(Shortened(std::string(status.message())));
  details.add_details()->PackFrom(InfoOf(status));
  auto bad = Payload<google::rpc::BadRequest>(status, kBadRequestUrl);
  if (bad.has_value()) {
    bool is_cut = false;
    while (bad->ByteSizeLong() > kMaxDetailBytes - 2 * kMaxMessageText &&
           bad->field_violations_size() > 1) {
      bad->mutable_field_violations()->RemoveLast();
      is_cut = true;
    }
    if (is_cut) bad->add_field_violations()->set_description("and more faults than fit here");
    details.add_details()->PackFrom(*bad);
  }
  for (const char* url : {kResourceInfoUrl, kPreconditionUrl, kRetryInfoUrl}) {
    const auto payload = status.GetPayload(url);
    if (!payload.has_value()) continue;
    google::protobuf::Any* detail = details.add_details();
    detail->set_type_url(url);
    detail->set_value(std::string(*payload));
  }
  return {static_cast<grpc::StatusCode>(status.code()), details.message(),
          details.SerializeAsString()};
}

absl::Status FromGrpcStatus(const grpc::Status& status) {
  if (status.ok()) return absl::OkStatus();
  absl::Status result(static_cast<absl::StatusCode>(status.error_code()), status.error_message());
  google::rpc::Status details;
  if (!details.ParseFromString(status.error_details())) return result;
  for (const google::protobuf::Any& detail : details.details()) {
    if (detail.Is<google::rpc::ErrorInfo>() || detail.Is<google::rpc::BadRequest>() ||
        detail.Is<google::rpc::ResourceInfo>() || detail.Is<google::rpc::PreconditionFailure>() ||
        detail.Is<google::rpc::RetryInfo>()) {
      result.SetPayload(detail.type_url(), absl::Cord(detail.value()));
    }
  }
  return result;
}

}  // namespace jenner::wire
