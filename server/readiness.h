// Readiness: whether a server that leads can do what it is there for, now. What /readyz asks.
#ifndef JENNER_SERVER_READINESS_H_
#define JENNER_SERVER_READINESS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/rpc/backend.h"

namespace jenner::server {

// Thread-safe.
class Readiness {
 public:
  static constexpr absl::Duration kLimit = absl::Seconds(2);

  // `probe` is a file that is written on each check; its folder is there. `backend` must outlive
  // this, and the threads that run its tasks.
  Readiness(rpc::Backend& backend, std::string probe)
      : backend_(backend), probe_(std::move(probe)) {}

  // Waits, kLimit at most, until the coordinator's, the store's and the file's thread have done
  // something, and the last of them has written the probe durably. Unavailable: one of them has
  // not, or cannot; the message says which.
  absl::Status Check() const;

 private:
  rpc::Backend& backend_;
  const std::string probe_;
};

}  // namespace jenner::server

#endif  // JENNER_SERVER_READINESS_H_
