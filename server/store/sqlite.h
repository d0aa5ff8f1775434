// A thin owner of one SQLite connection: the pragmas of this project, a cache of prepared
// statements, transactions, errors as absl::Status. Not thread-safe: one thread at a time uses a
// Database and what it gave out. May block on the disk.
//
// Codes: DataLoss (not a database, corrupt), FailedPrecondition (locked, read-only, cannot be
// opened, made by a newer version), ResourceExhausted (disk full), Internal (anything else, wrong
// SQL included).
#ifndef JENNER_SERVER_STORE_SQLITE_H_
#define JENNER_SERVER_STORE_SQLITE_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "core/status.h"

struct sqlite3;
struct sqlite3_stmt;

namespace jenner::store {

// A prepared statement, owned by its Database. Columns count from 0.
class Statement {
 public:
  explicit Statement(sqlite3_stmt* handle) : handle_(handle) {}
  ~Statement();
  Statement(const Statement&) = delete;
  Statement& operator=(const Statement&) = delete;

  void Reset();
  // Parameters count from 1 (SQLite's own way). A string_view without data is NULL.
  void Bind(int index, int64_t value);
  void Bind(int index, int32_t value) { Bind(index, int64_t{value}); }
  void Bind(int index, double value);
  void Bind(int index, std::string_view value);
  void Bind(int index, const std::string& value) { Bind(index, std::string_view(value)); }
  void Bind(int index, const char* value) { Bind(index, std::string_view(value)); }

  // True: a row is there to be read. False: the end; the statement is reset.
  absl::StatusOr<bool> Step();

  int64_t Int(int column) const;
  double Real(int column) const;
  std::string Text(int column) const;
  bool IsNull(int column) const;

 private:
  sqlite3_stmt* handle_;
};

class Database {
 public:
  // Creates the file if it is not there. WAL, synchronous=FULL (a commit survives a power cut),
  // foreign keys, no trusted schema. `schema` runs once, in a transaction, on a new file; then
  // user_version is `version`. `upgrades[i]` makes version i + 2 of version i + 1; a file of any
  // other version is refused.
  static absl::StatusOr<std::unique_ptr<Database>> Open(
      const std::string& path, const std::string& schema, int version,
      const std::vector<std::string>& upgrades = {});
  // An existing file, to read, beside whoever writes it; changes nothing, the version included.
  // FailedPrecondition: not there, or made by a newer version than `version`.
  static absl::StatusOr<std::unique_ptr<Database>> OpenToRead(const std::string& path, int version);
  ~Database();
  Database(const Database&) = delete;
  Database& operator=(const Database&) = delete;

  // Prepares (once), binds in order, hands out; the caller steps. Valid until the next Query with
  // the same text. `sql` must be one of a fixed set of texts: each is kept.
  template <typename... Values>
  absl::StatusOr<Statement*> Query(const char* sql, const Values&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Prepare(sql));
    int index = 0;
    (statement->Bind(++index, values), ...);
    return statement;
  }
  // Query, and steps to the end.
  template <typename... Values>
  absl::Status Execute(const char* sql, const Values&... values) {
    ASSIGN_OR_RETURN(Statement * statement, Query(sql, values...));
    for (;;) {
      ASSIGN_OR_RETURN(const bool row, statement->Step());
      if (!row) return absl::OkStatus();
    }
  }
  // Rows changed by the last INSERT, UPDATE or DELETE.
  int64_t NumChanged() const;
  int64_t LastRowId() const;
  // Runs several statements without parameters.
  absl::Status Script(const std::string& sql);
  // Makes the WAL short when nobody reads; a no-op if it cannot.
  void Checkpoint();

 private:
  explicit Database(sqlite3* handle) : handle_(handle) {}
  absl::StatusOr<Statement*> Prepare(const char* sql);
  absl::StatusOr<int64_t> Version();
  absl::Status Migrate(const std::string& schema, int version,
                       const std::vector<std::string>& upgrades);

  sqlite3* handle_;
  std::map<std::string, std::unique_ptr<Statement>, std::less<>> statements_;
};

// BEGIN IMMEDIATE at Begin, ROLLBACK at destruction unless committed.
class Transaction {
 public:
  static absl::StatusOr<Transaction> Begin(Database& database);
  ~Transaction();
  Transaction(Transaction&& other) noexcept : database_(std::exchange(other.database_, nullptr)) {}
  Transaction& operator=(Transaction&&) = delete;
  absl::Status Commit();

 private:
  explicit Transaction(Database& database) : database_(&database) {}
  Database* database_;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_SQLITE_H_
