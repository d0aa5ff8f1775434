// Link: the agent's calls to the coordinator, each with a deadline. Thread-safe. Errors are those
// of the server; Unavailable and DeadlineExceeded are worth another try.
#ifndef JENNER_WORKER_AGENT_LINK_H_
#define JENNER_WORKER_AGENT_LINK_H_

#include <memory>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jenner/v1/worker.grpc.pb.h"
#include "wire/tls.h"
#include "worker/agent/cancellation.h"

namespace jenner::agent {

class Link {
 public:
  explicit Link(const std::string& server, const std::optional<wire::Tls>& tls = std::nullopt);

  absl::StatusOr<v1::SynchronizeResponse> Synchronize(const v1::SynchronizeRequest& request,
                                                      absl::Duration timeout);
  // Waits for `duration`, or less: true if a connection that was missing came about meanwhile.
  bool Pause(absl::Duration duration);
  absl::Status UploadTelemetry(const v1::UploadTelemetryRequest& request,
                               Cancellation* cancellation);
  // Streams the file at `path`; its hash and size must be as the header says.
  absl::Status UploadBlob(const v1::UploadBlobHeader& header, const std::string& path,
                          Cancellation* cancellation);
  // Writes the blob to `path` durably once its hash is checked. DataLoss: it differs, or is larger
  // than max_bytes.
  absl::Status DownloadBlob(const std::string& sha256, const std::string& path, int64_t max_bytes,
                            Cancellation* cancellation);

 private:
  const std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Workers::Stub> stub_;
};

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_LINK_H_
