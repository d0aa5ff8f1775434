#include "server/store/sqlite_event_log.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace jenner::store {
namespace {

constexpr int kVersion = 1;
constexpr char kSchema[] = R"sql(
  CREATE TABLE events (
    seq INTEGER PRIMARY KEY,
    time_us INTEGER NOT NULL,
    payload TEXT NOT NULL
  ) STRICT;
)sql";

}  // namespace

absl::StatusOr<std::unique_ptr<SqliteEventLog>> SqliteEventLog::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::Open(path, kSchema, kVersion));
  return Over(std::move(database));
}

absl::StatusOr<std::unique_ptr<SqliteEventLog>> SqliteEventLog::OpenToRead(
    const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database, Database::OpenToRead(path, kVersion));
  return Over(std::move(database));
}

absl::StatusOr<std::unique_ptr<SqliteEventLog>> SqliteEventLog::Over(
    std::unique_ptr<Database> database) {
  int64_t last = 0;
  {
    ASSIGN_OR_RETURN(Statement * newest, database->Query("SELECT ifnull(max(seq), 0) FROM events"));
    ASSIGN_OR_RETURN(const bool row, newest->Step());
    if (row) last = newest->Int(0);
    newest->Reset();
  }
  return std::unique_ptr<SqliteEventLog>(new SqliteEventLog(std::move(database), last));
}

absl::Status SqliteEventLog::Append(const std::vector<NewEvent>& batch) {
  if (batch.empty()) return absl::OkStatus();
  for (const NewEvent& event : batch) {
    if (static_cast<int64_t>(event.payload.size()) > kMaxEventBytes) {
      return absl::InvalidArgumentError(
          absl::StrFormat("event of %d bytes; at most %d", event.payload.size(), kMaxEventBytes));
    }
  }
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  int64_t seq = last_seq_;
  for (const NewEvent& event : batch) {
    RETURN_IF_ERROR(database_->Execute("INSERT INTO events VALUES (?, ?, ?)", ++seq,
                                       absl::ToUnixMicros(event.time), event.payload));
  }
  RETURN_IF_ERROR(transaction.Commit());
  last_seq_ = seq;
  return absl::OkStatus();
}

absl::StatusOr<std::vector<StoredEvent>> SqliteEventLog::ReadFrom(int64_t seq, int limit) {
  std::vector<StoredEvent> result;
  int64_t expected = seq < 1 ? 1 : seq;
  ASSIGN_OR_RETURN(
      Statement * rows,
      database_->Query(
          "SELECT seq, time_us, payload FROM events WHERE seq >= ? ORDER BY seq LIMIT ?", expected,
          limit));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return result;
    const int64_t found = rows->Int(0);
    if (found != expected) {
      rows->Reset();
      return absl::DataLossError(
          absl::StrFormat("event log: event %d expected, %d found", expected, found));
    }
    result.push_back({found, absl::FromUnixMicros(rows->Int(1)), rows->Text(2)});
    ++expected;
  }
}

}  // namespace jenner::store
