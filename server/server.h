// Server: wires store, coordinator, feed, telemetry and rpc together, and is the only place of this
// process that starts threads: the coordinator's, one for the metric store, one for files, a
// ticker, one that keeps the lead if servers share an event log (and gRPC's and the metrics
// listener's own).
#ifndef JENNER_SERVER_SERVER_H_
#define JENNER_SERVER_SERVER_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/retention.h"
#include "server/rpc/backend.h"
#include "wire/tls.h"

namespace jenner::server {

struct ServerOptions {
  // Behaviour.
  std::string data_dir;  // made if it is not there
  // The event log: a connection string of PostgreSQL (store/postgres.h), of a database that several
  // servers may share; "": events.db in data_dir. What is not an event is in data_dir either way.
  std::string event_log;
  std::string listen = "127.0.0.1:7070";          // port 0: any free one
  std::string metrics_listen = "127.0.0.1:9464";  // "": no metrics listener
  bool allow_plaintext = false;                   // to listen beyond this machine
  // All three or none: who signs the certificates of workers (and clients), and the server's own.
  wire::TlsFiles tls;
  bool require_client_certificate = false;  // of clients, too; needs `tls`
  bool require_tokens = false;              // of clients, even while there are none
  bool reflection = true;                   // ... where everyone may do everything; else it is off
  // A job is asked to stop for one of higher priority after this at the earliest.
  absl::Duration min_run_time = coordinator::kMinRunTime;
  // Limits.
  // With `event_log`: a leader that is silent for so long is replaced, and ends itself before.
  absl::Duration leader_lease = absl::Seconds(8);
  rpc::Limits limits;
  int max_watch_streams = 1000;
  // Its require_tokens is not looked at: that above, tokens in the file, and a listener that is
  // encrypted and off this machine each make tokens required.
  rpc::GateOptions gate;
  std::string quotas_path;  // store/quota_file.h; "": no quotas
  size_t mailbox_capacity =
      8192;  // requests that wait for a thread before callers are told to retry
  absl::Duration shutdown_grace = absl::Seconds(5);  // calls under way are cut after it
  // What is thrown away, and when.
  RetentionOptions retention;
  // How Start waits for its turn to lead; false: it gives up. null: sleeps.
  std::function<bool(absl::Duration)> pause;
  // Told the port of the metrics listener once it is open, which may be long before Start returns:
  // a standby has one, too.
  std::function<void(int port)> on_metrics_listen;
  // For tests.
  absl::Duration tick = absl::Milliseconds(500);      // zero: no ticker, Server::Tick() instead
  std::function<absl::Time()> clock;                  // null: the system's
  std::function<void(const absl::Status&)> on_fatal;  // null: one line and exit code 1
};

class Server {
 public:
  // With `event_log` first waits until this server leads (standby.h), for as long as that takes.
  // The metrics listener is open meanwhile, if its port is free.
  // Then replays the log and listens. FailedPrecondition, one line: the data directory or a port is
  // not usable, or plaintext would leave this machine. Unavailable: another process has the data
  // directory. DataLoss: a file is corrupt. InvalidArgument: the file of quotas says what it may
  // not. Cancelled: `pause` said so.
  static absl::StatusOr<std::unique_ptr<Server>> Start(ServerOptions options);
  ~Server();

  int port() const;
  int metrics_port() const;  // 0: none

  // Lets the time of the clock take effect now, and returns once it has.
  void Tick();

  // NOT_SERVING; watch streams end with UNAVAILABLE; calls under way finish or are cut after the
  // grace; what is queued is done and durable; threads end; the lead is given back. Returns then.
  // Idempotent.
  void Shutdown();

 private:
  struct Impl;
  explicit Server(std::unique_ptr<Impl> impl);
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::server

#endif  // JENNER_SERVER_SERVER_H_
