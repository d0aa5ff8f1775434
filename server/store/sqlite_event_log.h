// EventLog in a SQLite file (WAL, synchronous=FULL). Append is one transaction: one fsync a batch.
#ifndef JENNER_SERVER_STORE_SQLITE_EVENT_LOG_H_
#define JENNER_SERVER_STORE_SQLITE_EVENT_LOG_H_

#include <memory>
#include <string>
#include <vector>

#include "server/store/event_log.h"
#include "server/store/sqlite.h"

namespace jenner::store {

class SqliteEventLog final : public EventLog {
 public:
  // Opens or creates the file. Codes: see sqlite.h.
  static absl::StatusOr<std::unique_ptr<SqliteEventLog>> Open(const std::string& path);

  // An existing file, beside the server that writes it; Append fails. LastSeq() is as of now.
  static absl::StatusOr<std::unique_ptr<SqliteEventLog>> OpenToRead(const std::string& path);

  absl::Status Append(const std::vector<NewEvent>& batch) override;
  absl::StatusOr<std::vector<StoredEvent>> ReadFrom(int64_t seq, int limit) override;
  int64_t LastSeq() const override { return last_seq_; }

 private:
  SqliteEventLog(std::unique_ptr<Database> database, int64_t last_seq)
      : database_(std::move(database)), last_seq_(last_seq) {}
  static absl::StatusOr<std::unique_ptr<SqliteEventLog>> Over(std::unique_ptr<Database> database);

  std::unique_ptr<Database> database_;
  int64_t last_seq_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_SQLITE_EVENT_LOG_H_
