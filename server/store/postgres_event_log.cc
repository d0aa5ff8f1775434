#include "server/store/postgres_event_log.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

constexpr int64_t kVersion = 1;
constexpr absl::Duration kSetUpLimit = absl::Seconds(30);
// Of one INSERT, or one event; more is several in one transaction.
constexpr size_t kMaxStatementBytes = size_t{4} << 20;

// All times are clock_timestamp(), never now(): that is when the transaction began, and a statement
// may have waited for the row since.
constexpr const char* kSchema[] = {
    "CREATE SCHEMA IF NOT EXISTS jenner",
    R"sql(CREATE TABLE IF NOT EXISTS jenner.events (
      seq bigint PRIMARY KEY,
      epoch bigint NOT NULL,
      time_us bigint NOT NULL,
      payload bytea NOT NULL
    ))sql",
    R"sql(CREATE TABLE IF NOT EXISTS jenner.leader (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      epoch bigint NOT NULL,
      holder text NOT NULL,
      expires timestamptz NOT NULL
    ))sql",
    R"sql(INSERT INTO jenner.leader (epoch, holder, expires)
      VALUES (0, '', '-infinity') ON CONFLICT DO NOTHING)sql",
    R"sql(CREATE TABLE IF NOT EXISTS jenner.format (
      one boolean PRIMARY KEY DEFAULT true CHECK (one),
      version bigint NOT NULL,
      log_id text NOT NULL
    ))sql",
    R"sql(INSERT INTO jenner.format (version, log_id)
      VALUES (1, gen_random_uuid()::text) ON CONFLICT DO NOTHING)sql",
};

// A commit is on the database's disk before it is answered, whatever the role's default is; what is
// stronger than that stays. A leader that falls silent within a transaction does not keep the row.
constexpr char kSettings[] = R"sql(
  SELECT set_config('synchronous_commit',
                    CASE WHEN current_setting('synchronous_commit') IN ('off', 'local') THEN 'on'
                         ELSE current_setting('synchronous_commit') END, false),
         set_config('idle_in_transaction_session_timeout', $1, false),
         set_config('default_transaction_isolation', 'read committed', false),
         current_setting('fsync') = 'on')sql";

constexpr char kLook[] = R"sql(
  SELECT epoch, holder,
         CASE WHEN isfinite(expires)
              THEN (extract(epoch FROM expires - clock_timestamp()) * 1000000)::bigint
              ELSE 0 END
  FROM jenner.leader)sql";

// The compare-and-set: one that waited for another's commit looks at the row again.
constexpr char kTake[] = R"sql(
  UPDATE jenner.leader
  SET epoch = epoch + 1, holder = $2,
      expires = clock_timestamp() + $3 * interval '1 microsecond'
  WHERE epoch = $1 AND expires <= clock_timestamp()
  RETURNING epoch)sql";

constexpr char kRenew[] = R"sql(
  UPDATE jenner.leader SET expires = clock_timestamp() + $2 * interval '1 microsecond'
  WHERE epoch = $1)sql";

constexpr char kResign[] = R"sql(
  UPDATE jenner.leader SET holder = '', expires = clock_timestamp() WHERE epoch = $1)sql";

// The row first, which this keeps until the commit; without it there is nothing to insert from.
constexpr char kInsert[] = R"sql(
  WITH mine AS (
    UPDATE jenner.leader SET expires = clock_timestamp() + $2 * interval '1 microsecond'
    WHERE epoch = $1
    RETURNING epoch
  )
  INSERT INTO jenner.events (seq, epoch, time_us, payload)
  SELECT $3 + one.position, mine.epoch, one.time_us, one.payload
  FROM mine, unnest($4, $5) WITH ORDINALITY AS one(time_us, payload, position))sql";

constexpr char kRead[] = R"sql(
  SELECT seq, time_us, payload FROM jenner.events WHERE seq >= $1 ORDER BY seq LIMIT $2)sql";

absl::Status NotLeader(const std::string& why) { return absl::AbortedError("NOT_LEADER: " + why); }

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresEventLog>> PostgresEventLog::Open(
    const std::string& connection, const LeaderOptions& options) {
  ASSIGN_OR_RETURN(std::unique_ptr<PostgresConnection> opened,
                   PostgresConnection::Open(connection, "jenner-server"));
  std::unique_ptr<PostgresEventLog> log(new PostgresEventLog(std::move(opened), options));
  RETURN_IF_ERROR(Annotate(log->Prepare(), "the event log's database"));
  return log;
}

absl::Status PostgresEventLog::Prepare() {
  const std::lock_guard<std::mutex> lock(mutex_);
  const auto run = [this](const char* sql, const PostgresParameters& parameters = {}) {
    return connection_->Execute(sql, parameters, kSetUpLimit);
  };
  const std::string idle_ms = absl::StrFormat("%d", absl::ToInt64Milliseconds(options_.lease));
  ASSIGN_OR_RETURN(const PostgresRows settings, run(kSettings, PostgresParameters().Text(idle_ms)));
  syncs_ = settings.Bool(0, 3);
  ASSIGN_OR_RETURN(const PostgresRows found,
                   run("SELECT to_regclass('jenner.format') IS NOT NULL"));
  if (!found.Bool(0, 0)) {
    // One at a time: IF NOT EXISTS alone is no protection from another that does the same.
    RETURN_IF_ERROR(run("BEGIN").status());
    RETURN_IF_ERROR(run("SELECT pg_advisory_xact_lock(hashtext('jenner.event_log'))").status());
    for (const char* sql : kSchema) RETURN_IF_ERROR(run(sql).status());
    RETURN_IF_ERROR(run("COMMIT").status());
  }
  ASSIGN_OR_RETURN(const PostgresRows format, run("SELECT version, log_id FROM jenner.format"));
  if (format.size() != 1) return absl::DataLossError("jenner.format has no row");
  if (format.Int(0, 0) != kVersion) {
    return absl::FailedPreconditionError(
        absl::StrFormat("it has version %d, this program knows %d", format.Int(0, 0), kVersion));
  }
  id_ = format.Bytes(0, 1);
  return absl::OkStatus();
}

absl::StatusOr<bool> PostgresEventLog::TryLead() {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(failure_);
  if (epoch_ > 0) return true;
  ASSIGN_OR_RETURN(const PostgresRows row, connection_->Execute(kLook, {}, options_.lease));
  if (row.size() != 1) return absl::DataLossError("jenner.leader has no row");
  leader_ = {row.Int(0, 0), row.Bytes(0, 1), absl::Microseconds(row.Int(0, 2))};
  if (leader_.remaining > absl::ZeroDuration()) return false;
  const absl::Duration begin = options_.clock();
  ASSIGN_OR_RETURN(const PostgresRows taken,
                   connection_->Execute(kTake,
                                        PostgresParameters()
                                            .Int(leader_.epoch)
                                            .Text(options_.holder)
                                            .Int(absl::ToInt64Microseconds(options_.lease)),
                                        options_.lease));
  if (taken.size() != 1) return false;
  // What an earlier leader had under way is done by now, or finds another epoch.
  ASSIGN_OR_RETURN(const PostgresRows newest,
                   connection_->Execute("SELECT coalesce(max(seq), 0) FROM jenner.events", {},
                                        begin + options_.lease - options_.clock()));
  last_seq_ = newest.Int(0, 0);
  epoch_ = taken.Int(0, 0);
  leads_until_ = begin + options_.lease;
  return true;
}

Leader PostgresEventLog::leader() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return leader_;
}

absl::Duration PostgresEventLog::Left() const { return leads_until_ - options_.clock(); }

absl::Status PostgresEventLog::CheckLeads() const {
  if (!failure_.ok()) return failure_;
  if (epoch_ == 0) return NotLeader("this process has not taken the lead");
  if (Left() > absl::ZeroDuration()) return absl::OkStatus();
  return NotLeader(absl::StrFormat("the lease of epoch %d ran out before it was renewed", epoch_));
}

// Whatever the connection still holds ends with it.
absl::Status PostgresEventLog::Fail(const absl::Status& status) {
  connection_.reset();
  return failure_ = status;
}

// The epoch is another's: says whose.
absl::Status PostgresEventLog::Deposed() {
  const absl::StatusOr<PostgresRows> row = connection_->Execute(kLook, {}, options_.lease);
  if (!row.ok() || row->size() != 1) {
    return NotLeader(absl::StrFormat("epoch %d is over", epoch_));
  }
  return NotLeader(absl::StrFormat("epoch %d is over, %s leads with epoch %d", epoch_,
                                   row->Bytes(0, 1), row->Int(0, 0)));
}

absl::Status PostgresEventLog::Renew() {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(CheckLeads());
  const absl::Duration begin = options_.clock();
  const absl::StatusOr<PostgresRows> renewed = connection_->Execute(
      kRenew, PostgresParameters().Int(epoch_).Int(absl::ToInt64Microseconds(options_.lease)),
      Left());
  if (!renewed.ok()) {
    return Fail(Annotate(renewed.status(), "the lead cannot be kept"));
  }
  if (renewed->num_changed() != 1) return Fail(Deposed());
  leads_until_ = begin + options_.lease;
  return absl::OkStatus();
}

void PostgresEventLog::Resign() {
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!CheckLeads().ok()) return;
  (void)connection_->Execute(kResign, PostgresParameters().Int(epoch_), Left());
  (void)Fail(NotLeader("this process gave the lead back"));
}

absl::Status PostgresEventLog::Append(const std::vector<NewEvent>& batch) {
  if (batch.empty()) return absl::OkStatus();
  for (const NewEvent& event : batch) {
    if (static_cast<int64_t>(event.payload.size()) > kMaxEventBytes) {
      return absl::InvalidArgumentError(
          absl::StrFormat("event of %d bytes; at most %d", event.payload.size(), kMaxEventBytes));
    }
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(CheckLeads());
  const absl::Duration begin = options_.clock();
  if (const absl::Status inserted = Insert(batch); !inserted.ok()) return Fail(inserted);
  leads_until_ = begin + options_.lease;
  last_seq_ += static_cast<int64_t>(batch.size());
  return absl::OkStatus();
}

absl::Status PostgresEventLog::Insert(const std::vector<NewEvent>& batch) {
  std::vector<size_t> ends;
  size_t size_bytes = 0;
  for (size_t i = 0; i < batch.size(); ++i) {
    if (i > 0 && size_bytes + batch[i].payload.size() > kMaxStatementBytes) {
      ends.push_back(i);
      size_bytes = 0;
    }
    size_bytes += batch[i].payload.size();
  }
  if (ends.empty()) return InsertPart(batch, 0, batch.size());
  ends.push_back(batch.size());
  RETURN_IF_ERROR(connection_->Execute("BEGIN", {}, Left()).status());
  size_t begin = 0;
  for (const size_t end : ends) {
    RETURN_IF_ERROR(InsertPart(batch, begin, end));
    begin = end;
  }
  return connection_->Execute("COMMIT", {}, Left()).status();
}

absl::Status PostgresEventLog::InsertPart(const std::vector<NewEvent>& batch, size_t begin,
                                          size_t end) {
  std::vector<int64_t> times_us;
  std::vector<std::string_view> payloads;
  for (size_t i = begin; i < end; ++i) {
    times_us.push_back(absl::ToUnixMicros(batch[i].time));
    payloads.push_back(batch[i].payload);
  }
  PostgresParameters parameters;
  parameters.Int(epoch_)
      .Int(absl::ToInt64Microseconds(options_.lease))
      .Int(last_seq_ + static_cast<int64_t>(begin))
      .Ints(times_us)
      .Bytes(payloads);
  ASSIGN_OR_RETURN(const PostgresRows inserted, connection_->Execute(kInsert, parameters, Left()));
  const auto wanted = static_cast<int64_t>(end - begin);
  if (inserted.num_changed() == wanted) return absl::OkStatus();
  if (inserted.num_changed() == 0) return Deposed();
  return absl::InternalError(
      absl::StrFormat("%d events written instead of %d", inserted.num_changed(), wanted));
}

absl::StatusOr<std::vector<StoredEvent>> PostgresEventLog::ReadFrom(int64_t seq, int limit) {
  const std::lock_guard<std::mutex> lock(mutex_);
  RETURN_IF_ERROR(failure_);
  int64_t expected = seq < 1 ? 1 : seq;
  ASSIGN_OR_RETURN(const PostgresRows rows,
                   connection_->Execute(kRead, PostgresParameters().Int(expected).Int(limit),
                                        epoch_ > 0 ? Left() : options_.lease));
  std::vector<StoredEvent> result;
  result.reserve(static_cast<size_t>(rows.size()));
  for (int row = 0; row < rows.size(); ++row) {
    const int64_t found = rows.Int(row, 0);
    if (found != expected) {
      return absl::DataLossError(
          absl::StrFormat("event log: event %d expected, %d found", expected, found));
    }
    result.push_back({found, absl::FromUnixMicros(rows.Int(row, 1)), rows.Bytes(row, 2)});
    ++expected;
  }
  return result;
}

int64_t PostgresEventLog::LastSeq() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return last_seq_;
}

int64_t PostgresEventLog::epoch() const {
  const std::lock_guard<std::mutex> lock(mutex_);
  return failure_.ok() ? epoch_ : 0;
}

}  // namespace jenner::store
