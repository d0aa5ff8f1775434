#include "server/store/postgres.h"

#include <libpq-fe.h>
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdlib>
#include <ctime>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

// Object ids of types, as in PostgreSQL's catalog/pg_type.dat; they never change.
constexpr uint32_t kBytea = 17;
constexpr uint32_t kBigint = 20;
constexpr uint32_t kText = 25;
constexpr uint32_t kByteaArray = 1001;
constexpr uint32_t kBigintArray = 1016;

template <typename Value>
void AppendBigEndian(Value value, std::string* bytes) {
  for (int shift = 8 * (static_cast<int>(sizeof value) - 1); shift >= 0; shift -= 8) {
    bytes->push_back(static_cast<char>(static_cast<uint64_t>(value) >> shift & 0xff));
  }
}

// The head of a binary array of one dimension without NULLs (src/backend/utils/adt/arrayfuncs.c).
std::string ArrayHead(uint32_t element_type, size_t size) {
  std::string bytes;
  AppendBigEndian<int32_t>(1, &bytes);  // dimensions
  AppendBigEndian<int32_t>(0, &bytes);  // no NULLs
  AppendBigEndian<uint32_t>(element_type, &bytes);
  AppendBigEndian<int32_t>(static_cast<int32_t>(size), &bytes);
  AppendBigEndian<int32_t>(1, &bytes);  // the first index
  return bytes;
}

std::string OneLine(const char* message) {
  std::string text(absl::StripAsciiWhitespace(message == nullptr ? "" : message));
  std::replace(text.begin(), text.end(), '\n', ' ');
  return text;
}

// By SQLSTATE (appendix A of PostgreSQL's manual).
absl::Status ErrorOf(const PGresult* result) {
  const char* field = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const std::string state = field == nullptr ? "" : field;
  const std::string message =
      absl::StrFormat("PostgreSQL %s: %s", state, OneLine(PQresultErrorMessage(result)));
  const std::string kind = state.substr(0, 2);
  if (state == "42501" || state == "25006") return absl::FailedPreconditionError(message);
  if (kind == "53") return absl::ResourceExhaustedError(message);
  if (kind == "57" || kind == "08" || kind == "25") return absl::UnavailableError(message);
  if (kind == "XX" && state != "XX000") return absl::DataLossError(message);
  return absl::InternalError(message);
}

struct FreeOptions {
  void operator()(PQconninfoOption* options) const { PQconninfoFree(options); }
};

}  // namespace

absl::Duration SinceBoot() {
  timespec now{};
  clock_gettime(CLOCK_BOOTTIME, &now);
  return absl::DurationFromTimespec(now);
}

absl::StatusOr<bool> HasPassword(const std::string& connection) {
  char* message = nullptr;
  const std::unique_ptr<PQconninfoOption, FreeOptions> options(
      PQconninfoParse(connection.c_str(), &message));
  if (options == nullptr) {
    // libpq's own words may hold a piece of the text, and so of a password.
    PQfreemem(message);
    return absl::InvalidArgumentError(
        "no connection string of PostgreSQL: expected postgresql://USER@HOST/DATABASE?NAME=VALUE "
        "or keywords as in host=HOST dbname=DATABASE");
  }
  bool has_password = false;
  for (const PQconninfoOption* option = options.get(); option->keyword != nullptr; ++option) {
    const std::string keyword = option->keyword;
    has_password = has_password ||
                   ((keyword == "password" || keyword == "sslpassword") && option->val != nullptr);
  }
  return has_password;
}

PostgresParameters& PostgresParameters::Add(uint32_t type, std::string bytes) {
  types_.push_back(type);
  bytes_.push_back(std::move(bytes));
  return *this;
}

PostgresParameters& PostgresParameters::Int(int64_t value) {
  std::string bytes;
  AppendBigEndian(value, &bytes);
  return Add(kBigint, std::move(bytes));
}

PostgresParameters& PostgresParameters::Text(std::string_view value) {
  return Add(kText, std::string(value));
}

PostgresParameters& PostgresParameters::Ints(const std::vector<int64_t>& values) {
  std::string bytes = ArrayHead(kBigint, values.size());
  for (const int64_t value : values) {
    AppendBigEndian<int32_t>(sizeof value, &bytes);
    AppendBigEndian(value, &bytes);
  }
  return Add(kBigintArray, std::move(bytes));
}

PostgresParameters& PostgresParameters::Bytes(const std::vector<std::string_view>& values) {
  std::string bytes = ArrayHead(kBytea, values.size());
  for (const std::string_view value : values) {
    AppendBigEndian(static_cast<int32_t>(value.size()), &bytes);
    bytes.append(value);
  }
  return Add(kByteaArray, std::move(bytes));
}

void PostgresRows::Clear::operator()(pg_result* handle) const { PQclear(handle); }

int PostgresRows::size() const { return PQntuples(handle_.get()); }

int64_t PostgresRows::num_changed() const {
  int64_t count = 0;
  return absl::SimpleAtoi(PQcmdTuples(handle_.get()), &count) ? count : 0;
}

int64_t PostgresRows::Int(int row, int column) const {
  uint64_t value = 0;
  for (const char byte : Bytes(row, column)) value = value << 8 | static_cast<uint8_t>(byte);
  return static_cast<int64_t>(value);
}

bool PostgresRows::Bool(int row, int column) const { return Int(row, column) != 0; }

std::string PostgresRows::Bytes(int row, int column) const {
  return {PQgetvalue(handle_.get(), row, column),
          static_cast<size_t>(PQgetlength(handle_.get(), row, column))};
}

absl::StatusOr<std::unique_ptr<PostgresConnection>> PostgresConnection::Open(
    const std::string& connection, const std::string& name) {
  RETURN_IF_ERROR(HasPassword(connection).status());
  // Later ones win: what stands before `dbname` is our default, what stands after it is our will.
  constexpr int kExpand = 1;
  const std::array<const char*, 8> keywords = {
      "sslmode", "target_session_attrs", "connect_timeout", "keepalives_idle",
      "dbname",  "application_name",     "client_encoding", nullptr};
  const std::array<const char*, 8> values = {"verify-full",      "read-write", "5",    "10",
                                             connection.c_str(), name.c_str(), "UTF8", nullptr};
  PGconn* handle = PQconnectdbParams(keywords.data(), values.data(), kExpand);
  if (handle == nullptr) return absl::ResourceExhaustedError("no memory for a connection");
  std::unique_ptr<PostgresConnection> result(new PostgresConnection(handle));
  if (PQstatus(handle) != CONNECTION_OK) {
    return absl::FailedPreconditionError("the database cannot be reached: " +
                                         OneLine(PQerrorMessage(handle)));
  }
  if (PQsetnonblocking(handle, 1) != 0) return result->Lost("no answer awaited");
  // Notices would go to standard error.
  PQsetNoticeProcessor(
      handle, [](void*, const char*) {}, nullptr);
  return result;
}

PostgresConnection::~PostgresConnection() { PQfinish(handle_); }

absl::Status PostgresConnection::Lost(const std::string& what) const {
  return absl::UnavailableError(
      absl::StrFormat("the database is gone (%s): %s", what, OneLine(PQerrorMessage(handle_))));
}

// Until a result can be had without waiting.
absl::Status PostgresConnection::AwaitResult(absl::Duration limit) {
  const absl::Duration until = SinceBoot() + limit;
  for (;;) {
    const int flushed = PQflush(handle_);
    if (flushed < 0) return Lost("while sending");
    if (flushed == 0 && PQisBusy(handle_) == 0) return absl::OkStatus();
    const absl::Duration left = until - SinceBoot();
    if (left <= absl::ZeroDuration()) {
      return absl::DeadlineExceededError(
          absl::StrFormat("the database did not answer in %s", absl::FormatDuration(limit)));
    }
    pollfd item{PQsocket(handle_), static_cast<int16_t>(flushed > 0 ? POLLIN | POLLOUT : POLLIN),
                0};
    const int64_t wait_ms = std::clamp<int64_t>(absl::ToInt64Milliseconds(left) + 1, 1, 60'000);
    if (poll(&item, 1, static_cast<int>(wait_ms)) < 0 && errno != EINTR) return Lost("poll");
    if ((item.revents & ~POLLOUT) != 0 && PQconsumeInput(handle_) == 0) {
      return Lost("while waiting for an answer");
    }
  }
}

absl::StatusOr<PostgresRows> PostgresConnection::Execute(const char* sql,
                                                         const PostgresParameters& parameters,
                                                         absl::Duration limit) {
  if (!is_usable_) return absl::UnavailableError("the connection to the database was lost before");
  const size_t size = parameters.types_.size();
  std::vector<const char*> values;
  std::vector<int> lengths;
  for (const std::string& bytes : parameters.bytes_) {
    values.push_back(bytes.data());
    lengths.push_back(static_cast<int>(bytes.size()));
  }
  const std::vector<int> formats(size, 1);
  constexpr int kBinary = 1;
  is_usable_ = false;  // until the end
  if (PQsendQueryParams(handle_, sql, static_cast<int>(size), parameters.types_.data(),
                        values.data(), lengths.data(), formats.data(), kBinary) == 0) {
    return Lost("nothing can be sent");
  }
  const absl::Duration until = SinceBoot() + limit;
  PostgresRows rows(nullptr);
  absl::Status failure = absl::UnavailableError("the database gave no answer");
  for (;;) {
    RETURN_IF_ERROR(AwaitResult(until - SinceBoot()));
    PGresult* result = PQgetResult(handle_);
    if (result == nullptr) break;
    const ExecStatusType status = PQresultStatus(result);
    const bool is_done = status == PGRES_TUPLES_OK || status == PGRES_COMMAND_OK;
    failure = is_done ? absl::OkStatus() : ErrorOf(result);
    rows = PostgresRows(result);
  }
  if (PQstatus(handle_) != CONNECTION_OK) return Lost("it ended the connection");
  is_usable_ = true;
  if (!failure.ok()) return failure;
  return rows;
}

}  // namespace jenner::store
