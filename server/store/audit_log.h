// <data-dir>/audit.jsonl: who changed what, a line each (docs/formats/audit.md). Only ever appended
// to; a file of kMaxAuditBytes becomes audit.jsonl.1, that one .2 and so on up to kMaxAuditFiles,
// beyond which the oldest goes. Not fsynced. Used on one thread.
#ifndef JENNER_SERVER_STORE_AUDIT_LOG_H_
#define JENNER_SERVER_STORE_AUDIT_LOG_H_

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"

namespace jenner::store {

inline constexpr int64_t kMaxAuditBytes = int64_t{64} << 20;
inline constexpr int kMaxAuditFiles = 8;      // the current one not counted
inline constexpr size_t kMaxAuditText = 512;  // bytes of a field; longer ones are cut

struct AuditEntry {
  absl::Time time;
  std::string principal;   // "token/alice", "worker/w1", "anonymous"
  std::string peer;        // "ipv4:10.0.0.7:40112"
  std::string method;      // "Experiments/CancelExperiment"
  std::string resource;    // "experiments/e1"; "": none was named
  std::string request_id;  // of the request; "": none
  std::string outcome;     // "OK", "PERMISSION_DENIED", ...
  std::string message;     // of an error
};

// One line, without its end.
std::string AuditLine(const AuditEntry& entry);

class AuditLog {
 public:
  // FailedPrecondition: it cannot be opened.
  static absl::StatusOr<std::unique_ptr<AuditLog>> Open(const std::string& path,
                                                        int64_t max_bytes = kMaxAuditBytes);
  ~AuditLog();

  // FailedPrecondition: the line is lost.
  absl::Status Append(const AuditEntry& entry);

 private:
  AuditLog(std::string path, int64_t max_bytes) : path_(std::move(path)), max_bytes_(max_bytes) {}
  absl::Status Reopen();
  void Rotate();

  const std::string path_;
  const int64_t max_bytes_;
  int fd_ = -1;
  int64_t size_bytes_ = 0;
};

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_AUDIT_LOG_H_
