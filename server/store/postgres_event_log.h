// EventLog in a PostgreSQL database (docs/formats/event-log.md), which several servers may open and
// one at a time *leads*: only it can append. Who leads is one row of the database, (epoch, holder,
// expiry by the database's clock), taken by compare-and-set. Every Append is one transaction that
// first takes that row and proves the epoch to be its own: what was the leader and is no more
// cannot append, whatever it believes, however long it was stopped.
//
// Any failure of Append or Renew is the end of this object: all later calls fail alike.
// Thread-safe. Calls block on the network, at most until the leadership is over.
#ifndef JENNER_SERVER_STORE_POSTGRES_EVENT_LOG_H_
#define JENNER_SERVER_STORE_POSTGRES_EVENT_LOG_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/store/event_log.h"
#include "server/store/postgres.h"

namespace jenner::store {

struct LeaderOptions {
  std::string holder;                       // who this is, for people
  absl::Duration lease = absl::Seconds(8);  // the leader is silent for so long: others may lead
  // What this side measures its own lease by.
  std::function<absl::Duration()> clock = SinceBoot;
};

// The row, as it was found.
struct Leader {
  int64_t epoch = 0;                                // 0: nobody has led yet
  std::string holder;                               // "": it gave the leadership back
  absl::Duration remaining = absl::ZeroDuration();  // of its lease; negative: over
};

class PostgresEventLog final : public EventLog {
 public:
  // Connects, and makes schema and tables if they are not there. Leads nothing. Codes: postgres.h;
  // FailedPrecondition also: made by a newer version.
  static absl::StatusOr<std::unique_ptr<PostgresEventLog>> Open(const std::string& connection,
                                                                const LeaderOptions& options);

  // One look, and one try if nobody leads. True: this process leads now, with an epoch of its own.
  // Of several that try at once one wins. An error: the connection is lost, Open again.
  absl::StatusOr<bool> TryLead();
  // The row as the last TryLead found it.
  Leader leader() const;

  // Extends the lease. Aborted: another has taken the lead (message "NOT_LEADER: ..."). Others: it
  // could not be extended while it ran.
  absl::Status Renew();
  // Ends the lease at once, so that another need not wait. Best effort.
  void Resign();

  // Besides event_log.h's: Aborted, "NOT_LEADER: ...": another has taken the lead, or this one
  // never had it; nothing was written. Extends the lease, too.
  absl::Status Append(const std::vector<NewEvent>& batch) override;
  absl::StatusOr<std::vector<StoredEvent>> ReadFrom(int64_t seq, int limit) override;
  // As of the last TryLead or Append that was OK.
  int64_t LastSeq() const override;

  int64_t epoch() const;  // 0: does not lead
  // Which log this is: made with it, never changed.
  const std::string& id() const { return id_; }
  // False: the database is set to lose what it has answered when the power goes (fsync is off).
  bool syncs() const { return syncs_; }

 private:
  PostgresEventLog(std::unique_ptr<PostgresConnection> connection, LeaderOptions options)
      : options_(std::move(options)), connection_(std::move(connection)) {}

  // With mutex_ held.
  absl::Status Prepare();
  absl::Status CheckLeads() const;
  absl::Duration Left() const;
  absl::Status Deposed();
  absl::Status Fail(const absl::Status& status);
  absl::Status Insert(const std::vector<NewEvent>& batch);
  absl::Status InsertPart(const std::vector<NewEvent>& batch, size_t begin, size_t end);

  const LeaderOptions options_;
  std::string id_;
  bool syncs_ = true;
  mutable std::mutex mutex_;  // guards the rest; held over I/O: one statement at a time
  std::unique_ptr<PostgresConnection> connection_;  // none after a failure
  Leader leader_;
  int64_t epoch_ = 0;
  absl::Duration leads_until_;  // SinceBoot()
  int64_t last_seq_ = 0;
  absl::Status failure_;  // the first of Append or Renew
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_POSTGRES_EVENT_LOG_H_
