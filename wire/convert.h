// Core values <-> messages of jenner.v1. What is unset in a message has the default of the core
// struct; ToCore(ToProto(x)) == x. Pure.
#ifndef JENNER_WIRE_CONVERT_H_
#define JENNER_WIRE_CONVERT_H_

#include <string>

#include "absl/time/time.h"
#include "core/dataset.h"
#include "core/fault.h"
#include "core/spec.h"
#include "google/protobuf/duration.pb.h"
#include "google/protobuf/timestamp.pb.h"
#include "jenner/v1/dataset.pb.h"
#include "jenner/v1/experiment.pb.h"

namespace jenner::wire {

// Adds to *faults what has no counterpart (an enumeration value of a newer client), with its path
// in the spec. Ranges are core::Validate's business.
core::ExperimentSpec ToCore(const v1::ExperimentSpec& message, core::Faults* faults);
// Every field is set.
v1::ExperimentSpec ToProto(const core::ExperimentSpec& spec);

// Every field is set.
v1::Context ToProto(const core::Context& context);

// To the microsecond. An infinite time has no message: the caller leaves it unset.
google::protobuf::Timestamp ToProto(absl::Time time);
absl::Time ToCore(const google::protobuf::Timestamp& message);
google::protobuf::Duration ToProto(absl::Duration duration);
absl::Duration ToCore(const google::protobuf::Duration& message);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_CONVERT_H_
