// Status helpers: early return with RETURN_IF_ERROR and ASSIGN_OR_RETURN, and Annotate, which adds
// one piece of context in front of a message. The canonical codes are chosen for the caller's next
// act (ARCHITECTURE.md, "Errors").
#ifndef JENNER_CORE_STATUS_H_
#define JENNER_CORE_STATUS_H_

#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

namespace jenner {

// The same code, payloads dropped, with "<context>: " in front of the message. OK stays OK.
inline absl::Status Annotate(const absl::Status& status, const std::string& context) {
  if (status.ok()) return status;
  return absl::Status(status.code(), context + ": " + std::string(status.message()));
}

}  // namespace jenner

#define JENNER_CONCAT_INNER(a, b) a##b
#define JENNER_CONCAT(a, b) JENNER_CONCAT_INNER(a, b)

// Returns the status of `expr` from the enclosing function unless it is OK.
#define RETURN_IF_ERROR(expr)                                         \
  do {                                                                \
    if (absl::Status status_ = (expr); !status_.ok()) return status_; \
  } while (false)

// NOLINTBEGIN(bugprone-macro-parentheses): a declaration cannot stand in parentheses.
// `lhs` = value of the StatusOr `expr`, or returns its status from the enclosing function.
#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL(JENNER_CONCAT(status_or_, __LINE__), lhs, expr)
#define ASSIGN_OR_RETURN_IMPL(name, lhs, expr) \
  auto name = (expr);                          \
  if (!name.ok()) return name.status();        \
  lhs = std::move(name).value()
// NOLINTEND(bugprone-macro-parentheses)

#endif  // JENNER_CORE_STATUS_H_
