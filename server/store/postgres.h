// A thin owner of one PostgreSQL connection (libpq): parameters and results in binary, a time limit
// for each statement, errors as absl::Status. Not thread-safe. Blocks on the network, never for
// longer than the limit that it is given.
//
// Codes: InvalidArgument (no connection string), FailedPrecondition (cannot connect, not permitted,
// read-only), Unavailable (the connection or the database is gone), DeadlineExceeded (no answer in
// time), ResourceExhausted (disk full, too many connections), DataLoss (corrupt), Internal
// (anything else, wrong SQL included).
#ifndef JENNER_SERVER_STORE_POSTGRES_H_
#define JENNER_SERVER_STORE_POSTGRES_H_

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

struct pg_conn;
struct pg_result;

namespace jenner::store {

// Values of a statement's $1, $2, ..., each with its type. Texts are copied.
class PostgresParameters {
 public:
  PostgresParameters& Int(int64_t value);                                  // bigint
  PostgresParameters& Text(std::string_view value);                        // text
  PostgresParameters& Ints(const std::vector<int64_t>& values);            // bigint[]
  PostgresParameters& Bytes(const std::vector<std::string_view>& values);  // bytea[]

 private:
  friend class PostgresConnection;
  PostgresParameters& Add(uint32_t type, std::string bytes);
  std::vector<uint32_t> types_;
  std::vector<std::string> bytes_;
};

// What a statement gave. Rows and columns count from 0; a column must have the type that is asked
// for.
class PostgresRows {
 public:
  explicit PostgresRows(pg_result* handle) : handle_(handle) {}
  int size() const;
  // Rows that an INSERT, UPDATE or DELETE changed.
  int64_t num_changed() const;
  int64_t Int(int row, int column) const;  // bigint
  bool Bool(int row, int column) const;
  std::string Bytes(int row, int column) const;  // text or bytea

 private:
  struct Clear {
    void operator()(pg_result* handle) const;
  };
  std::unique_ptr<pg_result, Clear> handle_;
};

class PostgresConnection {
 public:
  // `connection`: what libpq takes, a URI (postgresql://...) or keywords (host=... dbname=...).
  // What it leaves open is: a server that takes writes (target_session_attrs), TLS with a proved
  // certificate off a Unix socket (sslmode=verify-full), 5 s to connect.
  static absl::StatusOr<std::unique_ptr<PostgresConnection>> Open(const std::string& connection,
                                                                  const std::string& name);
  ~PostgresConnection();
  PostgresConnection(const PostgresConnection&) = delete;
  PostgresConnection& operator=(const PostgresConnection&) = delete;

  // One statement; outside of BEGIN and COMMIT a transaction of its own. OK: it has been done, and
  // if it was a COMMIT (or alone) it is durable as the database is set. DeadlineExceeded and
  // Unavailable: whether it was done is unknown, and the connection is of no more use.
  absl::StatusOr<PostgresRows> Execute(const char* sql, const PostgresParameters& parameters,
                                       absl::Duration limit);

 private:
  explicit PostgresConnection(pg_conn* handle) : handle_(handle) {}
  absl::Status AwaitResult(absl::Duration limit);
  absl::Status Lost(const std::string& what) const;

  pg_conn* handle_;
  bool is_usable_ = true;
};

// Whether libpq takes `connection` (InvalidArgument: not), and whether there is a password in it.
absl::StatusOr<bool> HasPassword(const std::string& connection);

// Since the machine started, suspended or not: what leases are measured by on this side.
absl::Duration SinceBoot();

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_POSTGRES_H_
