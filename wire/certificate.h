// What a certificate says, and of which key it is. Pure.
#ifndef JENNER_WIRE_CERTIFICATE_H_
#define JENNER_WIRE_CERTIFICATE_H_

#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jenner::wire {

// When the first certificate of `pem` ceases to be valid. InvalidArgument: there is none.
absl::StatusOr<absl::Time> NotAfter(const std::string& pem);

// InvalidArgument: one of the two is not what it should be (PEM, without a passphrase), or `key` is
// not the key of the first certificate of `certificate`.
absl::Status CheckPair(const std::string& certificate, const std::string& key);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_CERTIFICATE_H_
