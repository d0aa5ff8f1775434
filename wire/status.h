// absl::Status on the wire: the same code and message, and google.rpc.Status details - one
// ErrorInfo (domain "jenner", a reason in UPPER_SNAKE) and, when an input is at fault, one
// BadRequest with every fault and its field path; when a resource is, a ResourceInfo or a
// PreconditionFailure. Inside a process the details are payloads of the absl::Status. Pure.
#ifndef JENNER_WIRE_STATUS_H_
#define JENNER_WIRE_STATUS_H_

#include <grpcpp/support/status.h>

#include <map>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "core/fault.h"

namespace jenner::wire {

inline constexpr char kErrorDomain[] = "jenner";

// A status that carries `faults` (not empty); its message has one line for each of the first ten.
// A fault's field is a path in the request or, below ExperimentSpec, in the spec:
// "arms[1].train_context".
absl::Status FaultsStatus(const core::Faults& faults,
                          absl::StatusCode code = absl::StatusCode::kInvalidArgument);
absl::Status FaultStatus(const std::string& field, const std::string& message,
                         absl::StatusCode code = absl::StatusCode::kInvalidArgument);
// Every fault that `status` carries; empty if none.
core::Faults FaultsOf(const absl::Status& status);

// Sets the reason, e.g. "STALE_ATTEMPT". Without one the wire says the name of the code.
absl::Status WithReason(absl::Status status, const std::string& reason);
// "" if it has none.
std::string ReasonOf(const absl::Status& status);

// Adds to ErrorInfo.metadata: whatever in the message is not the same each time, for programs.
absl::Status WithMetadata(absl::Status status, const std::string& key, const std::string& value);
std::map<std::string, std::string> MetadataOf(const absl::Status& status);

// Says which resource `status` is about ("experiment", "experiments/e1"): in the metadata, as
// "resource", and by the code, as a ResourceInfo (NotFound, AlreadyExists) or a PreconditionFailure
// (FailedPrecondition). What already has such a detail keeps it.
absl::Status WithResource(absl::Status status, const std::string& type, const std::string& name);

// Says when a repetition may go well (google.rpc.RetryInfo).
absl::Status WithRetryDelay(absl::Status status, absl::Duration delay);
// Zero: it does not say.
absl::Duration RetryDelayOf(const absl::Status& status);

// Details over half of kMaxMetadataBytes lose their last faults and say so.
grpc::Status ToGrpcStatus(const absl::Status& status);
absl::Status FromGrpcStatus(const grpc::Status& status);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_STATUS_H_
