// The file of jenner-server --quotas (docs/quotas.md).
#ifndef JENNER_SERVER_STORE_QUOTA_FILE_H_
#define JENNER_SERVER_STORE_QUOTA_FILE_H_

#include <string>

#include "absl/status/statusor.h"
#include "server/coordinator/quota.h"

namespace jenner::store {

// What `text` says; a field that an owner leaves out is that of "default". InvalidArgument: not
// JSON, an unknown key, a wrong type or a number below 0, each with its path, or an owner's name
// that is none.
absl::StatusOr<coordinator::Quotas> ParseQuotas(const std::string& text);

// FailedPrecondition: the file cannot be read. InvalidArgument: as above, with the file's name in
// front.
absl::StatusOr<coordinator::Quotas> ReadQuotas(const std::string& path);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_QUOTA_FILE_H_
