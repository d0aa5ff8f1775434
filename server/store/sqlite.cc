#include "server/store/sqlite.h"

#include <sqlite3.h>

#include "absl/strings/str_format.h"

namespace jenner::store {
namespace {

absl::Status Error(int code, const std::string& what) {
  const std::string message = absl::StrFormat("%s (SQLite %d)", what, code);
  switch (code & 0xff) {
    case SQLITE_CORRUPT:
    case SQLITE_NOTADB:
      return absl::DataLossError(message);
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
    case SQLITE_READONLY:
    case SQLITE_CANTOPEN:
    case SQLITE_PERM:
      return absl::FailedPreconditionError(message);
    case SQLITE_FULL:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

absl::Status Error(sqlite3* handle, const std::string& doing) {
  return Error(sqlite3_extended_errcode(handle), doing + ": " + sqlite3_errmsg(handle));
}

absl::Status WrongVersion(int64_t found, int64_t known) {
  const char* advice = found > known ? "; a newer program wrote it, and is needed to read it" : "";
  return absl::FailedPreconditionError(absl::StrFormat(
      "database of version %d; this server reads and writes version %d%s", found, known, advice));
}

}  // namespace

Statement::~Statement() { sqlite3_finalize(handle_); }

void Statement::Reset() {
  sqlite3_reset(handle_);
  sqlite3_clear_bindings(handle_);
}

void Statement::Bind(int index, int64_t value) { sqlite3_bind_int64(handle_, index, value); }

void Statement::Bind(int index, double value) { sqlite3_bind_double(handle_, index, value); }

void Statement::Bind(int index, std::string_view value) {
  if (value.data() == nullptr) {
    sqlite3_bind_null(handle_, index);
    return;
  }
  sqlite3_bind_text64(handle_, index, value.data(), value.size(), SQLITE_TRANSIENT, SQLITE_UTF8);
}

absl::StatusOr<bool> Statement::Step() {
  const int code = sqlite3_step(handle_);
  if (code == SQLITE_ROW) return true;
  if (code == SQLITE_DONE) {
    sqlite3_reset(handle_);
    return false;
  }
  absl::Status error = Error(sqlite3_db_handle(handle_), sqlite3_sql(handle_));
  sqlite3_reset(handle_);
  return error;
}

int64_t Statement::Int(int column) const { return sqlite3_column_int64(handle_, column); }

double Statement::Real(int column) const { return sqlite3_column_double(handle_, column); }

std::string Statement::Text(int column) const {
  const void* bytes = sqlite3_column_blob(handle_, column);
  const int size = sqlite3_column_bytes(handle_, column);
  if (bytes == nullptr) return "";
  return std::string(static_cast<const char*>(bytes), static_cast<size_t>(size));
}

bool Statement::IsNull(int column) const {
  return sqlite3_column_type(handle_, column) == SQLITE_NULL;
}

absl::StatusOr<std::unique_ptr<Database>> Database::Open(const std::string& path,
                                                         const std::string& schema, int version,
                                                         const std::vector<std::string>& upgrades) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  if (code != SQLITE_OK) {
    absl::Status error = Error(code, path + ": " + sqlite3_errstr(code));
    sqlite3_close(handle);
    return error;
  }
  std::unique_ptr<Database> database(new Database(handle));
  absl::Status set = database->Script(
      "PRAGMA busy_timeout=5000; PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
      "PRAGMA foreign_keys=ON; PRAGMA trusted_schema=OFF; PRAGMA cell_size_check=ON;");
  if (!set.ok()) return Annotate(set, path);
  RETURN_IF_ERROR(Annotate(database->Migrate(schema, version, upgrades), path));
  return database;
}

absl::StatusOr<std::unique_ptr<Database>> Database::OpenToRead(const std::string& path,
                                                               int version) {
  sqlite3* handle = nullptr;
  const int flags = SQLITE_OPEN_READONLY | SQLITE_OPEN_NOMUTEX;
  const int code = sqlite3_open_v2(path.c_str(), &handle, flags, nullptr);
  std::unique_ptr<Database> database(new Database(handle));
  if (code != SQLITE_OK) return Error(code, path + ": " + sqlite3_errstr(code));
  RETURN_IF_ERROR(
      Annotate(database->Script("PRAGMA busy_timeout=5000; PRAGMA trusted_schema=OFF;"), path));
  const absl::StatusOr<int64_t> found = database->Version();
  if (!found.ok()) return Annotate(found.status(), path);
  if (*found < 1 || *found > version) return Annotate(WrongVersion(*found, version), path);
  return database;
}

Database::~Database() {
  statements_.clear();
  sqlite3_close(handle_);
}

absl::StatusOr<int64_t> Database::Version() {
  ASSIGN_OR_RETURN(Statement * statement, Query("PRAGMA user_version"));
  ASSIGN_OR_RETURN(const bool row, statement->Step());
  const int64_t version = row ? statement->Int(0) : 0;
  statement->Reset();
  return version;
}

absl::Status Database::Migrate(const std::string& schema, int version,
                               const std::vector<std::string>& upgrades) {
  ASSIGN_OR_RETURN(const int64_t found, Version());
  if (found == version) return absl::OkStatus();
  const bool is_known = found >= 0 && found < version &&
                        (found == 0 || found <= static_cast<int64_t>(upgrades.size()));
  if (!is_known) return WrongVersion(found, version);
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*this));
  if (found == 0) RETURN_IF_ERROR(Script(schema));
  for (int64_t from = found; from > 0 && from < version; ++from) {
    RETURN_IF_ERROR(Script(upgrades[static_cast<size_t>(from - 1)]));
  }
  RETURN_IF_ERROR(Script(absl::StrFormat("PRAGMA user_version=%d", version)));
  return transaction.Commit();
}

absl::StatusOr<Statement*> Database::Prepare(const char* sql) {
  const auto found = statements_.find(std::string_view(sql));
  if (found != statements_.end()) {
    found->second->Reset();
    return found->second.get();
  }
  sqlite3_stmt* prepared = nullptr;
  if (sqlite3_prepare_v3(handle_, sql, -1, SQLITE_PREPARE_PERSISTENT, &prepared, nullptr) !=
      SQLITE_OK) {
    return Error(handle_, sql);
  }
  return statements_.emplace(sql, std::make_unique<Statement>(prepared)).first->second.get();
}

int64_t Database::NumChanged() const { return sqlite3_changes64(handle_); }

int64_t Database::LastRowId() const { return sqlite3_last_insert_rowid(handle_); }

absl::Status Database::Script(const std::string& sql) {
  if (sqlite3_exec(handle_, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK) {
    return Error(handle_, "setting up");
  }
  return absl::OkStatus();
}

void Database::Checkpoint() {
  sqlite3_wal_checkpoint_v2(handle_, nullptr, SQLITE_CHECKPOINT_TRUNCATE, nullptr, nullptr);
}

absl::StatusOr<Transaction> Transaction::Begin(Database& database) {
  RETURN_IF_ERROR(database.Execute("BEGIN IMMEDIATE"));
  return Transaction(database);
}

Transaction::~Transaction() {
  if (database_ != nullptr) database_->Execute("ROLLBACK").IgnoreError();
}

absl::Status Transaction::Commit() {
  RETURN_IF_ERROR(database_->Execute("COMMIT"));
  database_ = nullptr;
  return absl::OkStatus();
}

}  // namespace jenner::store
