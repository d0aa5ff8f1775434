// What a certificate says, for people. Pure.
#ifndef JENNER_WIRE_CERTIFICATE_H_
#define JENNER_WIRE_CERTIFICATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jenner::wire {

// When the first certificate of `pem` ceases to be valid. InvalidArgument: there is none.
absl::StatusOr<absl::Time> NotAfter(const std::string& pem);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_CERTIFICATE_H_
