// Exposer: a server's side for operators, plain HTTP on threads of its own:
//   /metrics   for Prometheus
//   /healthz   200: the process answers
//   /readyz    200: ready; 503: not, with the reason in one line
// Other paths are 404. Thread-safe.
#ifndef JENNER_SERVER_TELEMETRY_EXPOSER_H_
#define JENNER_SERVER_TELEMETRY_EXPOSER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "server/telemetry/metrics.h"

namespace jenner::telemetry {

class Exposer {
 public:
  // Asked by each look at /readyz, on a thread of the listener: it may wait for a few seconds.
  using Ready = std::function<absl::Status()>;

  // `address` "host:port"; port 0 picks one. FailedPrecondition: the port is taken, or the address
  // is none of this machine's. `metrics` must outlive it. Not ready until SetReady.
  static absl::StatusOr<std::unique_ptr<Exposer>> Start(const std::string& address,
                                                        const Metrics& metrics);
  ~Exposer();
  int port() const;

  // What `ready` names must live until the next SetReady has returned, or this is gone.
  void SetReady(Ready ready);

 private:
  struct Impl;
  explicit Exposer(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::telemetry

#endif  // JENNER_SERVER_TELEMETRY_EXPOSER_H_
