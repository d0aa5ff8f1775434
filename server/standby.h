// What a server does before it leads, if its event log is one that several servers share
// (store/postgres_event_log.h): it waits, without a port but that for metrics, without a look into
// the data directory.
#ifndef JENNER_SERVER_STANDBY_H_
#define JENNER_SERVER_STANDBY_H_

#include <functional>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/data_dir.h"
#include "server/store/postgres_event_log.h"
#include "server/telemetry/metrics.h"

namespace jenner::server {

// How long a leader waits for the data directory of the one before it.
inline constexpr absl::Duration kDataDirLimit = absl::Minutes(5);

struct StandbyOptions {
  std::string event_log;  // connection string
  store::LeaderOptions leader;
  telemetry::Metrics* metrics = nullptr;  // told the epoch that is waited for; null: nobody is
  // Waits so long; false: give up. Never null.
  std::function<bool(absl::Duration)> pause;
};

// The connection string in the file at `path`: a password belongs there and not on a command line,
// which all users of a machine can read. FailedPrecondition: cannot be read, or everyone may read
// it. InvalidArgument: not one connection string of at most 16 KiB.
absl::StatusOr<std::string> ReadConnectionFile(const std::string& path);

// How long workers are without a coordinator, at most, if it is gone without a word: the lease runs
// out, the standby looks, and they connect again.
absl::Duration TakeoverTime(absl::Duration leader_lease);

// InvalidArgument: no connection string, or one with a password in it.
absl::Status CheckConnectionFlag(const std::string& connection);

// Returns once this process leads. A database that is away meanwhile is waited for; one that cannot
// be reached at first is an error (codes: store/postgres_event_log.h). Cancelled: `pause` said so.
absl::StatusOr<std::unique_ptr<store::PostgresEventLog>> WaitToLead(const StandbyOptions& options);

// The data directory for who leads, bound to its log. The one before may still have it open (until
// it notices that it leads no more): waits for it, at most kDataDirLimit, and keeps the lead.
// Codes: store/data_dir.h, PostgresEventLog::Renew; Cancelled: `pause` said so.
absl::StatusOr<store::DataDir> TakeDataDir(const std::string& path, store::PostgresEventLog& log,
                                           const StandbyOptions& options);

}  // namespace jenner::server

#endif  // JENNER_SERVER_STANDBY_H_
