// Client: typed calls to jenner-server, one method an RPC. Each call has a deadline; UNAVAILABLE is
// retried with jittered back-off inside that deadline, for every call here is idempotent (Create by
// the request_id, which is made once per call if the caller gave none); so is what the server asks
// to repeat later (RetryInfo). Thread-safe. Errors are absl::Status with the server's code and
// details (wire/status.h); one without an answer (UNAVAILABLE, DEADLINE_EXCEEDED) names the server.
// All calls of a Client are one trace; its id is sent with each, for the server's log, and is with
// each error as the metadata "trace_id".
#ifndef JENNER_CLIENT_CLIENT_H_
#define JENNER_CLIENT_CLIENT_H_

#include <atomic>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jenner/v1/coordinator.grpc.pb.h"
#include "jenner/v1/dataset.grpc.pb.h"
#include "jenner/v1/experiment.grpc.pb.h"
#include "jenner/v1/study.grpc.pb.h"
#include "jenner/v1/worker.grpc.pb.h"
#include "wire/tls.h"

namespace jenner::client {

struct ClientOptions {
  std::string server = "127.0.0.1:7070";
  absl::Duration timeout = absl::Seconds(10);  // of one call, retries included
  std::optional<wire::Tls> tls;                // plaintext without
  std::string token;                           // sent with each call, as "Bearer"; "": none
  // Called when a call or a watch has had no answer for a while and goes on trying; in its thread.
  std::function<void(const absl::Status&)> on_silence;
  // Called once, with the server's version as its first good answer tells it; in that call's
  // thread. Not by a server of before there was this, nor by a watch.
  std::function<void(const std::string& version)> on_version;
};

struct CoordinatorAnswer {
  v1::Coordinator coordinator;
  std::string certificate;  // PEM, that the server showed; "": plaintext
};

// A version 4 UUID.
std::string NewRequestId();

class Watch;

class Client {
 public:
  // FailedPrecondition: `options.token` would leave this machine in the clear.
  static absl::Status Check(const ClientOptions& options);

  // REQUIRES: Check(options) is OK.
  explicit Client(ClientOptions options);

  // A request without request_id is given one.
  absl::StatusOr<v1::Experiment> CreateExperiment(v1::CreateExperimentRequest request);
  // The same without making it: the experiment that would be, and what it would take.
  absl::StatusOr<v1::CreateExperimentResponse> PreviewExperiment(
      v1::CreateExperimentRequest request);
  absl::StatusOr<v1::Experiment> GetExperiment(const std::string& name);
  // Up to `limit` experiments, newest first, over as many pages as it takes. 0: all.
  absl::StatusOr<std::vector<v1::Experiment>> ListExperiments(int limit);
  // `kill`: without the trainers' grace.
  absl::StatusOr<v1::Experiment> CancelExperiment(const std::string& name, bool kill = false);
  absl::StatusOr<v1::Experiment> PauseExperiment(const std::string& name);
  absl::StatusOr<v1::Experiment> ResumeExperiment(const std::string& name);
  absl::Status DeleteExperiment(const std::string& name);
  absl::StatusOr<std::vector<v1::ResultRow>> GetResults(const std::string& name);
  // Up to `limit` samples that match `request`'s filters, over as many pages as it takes. 0: all.
  absl::StatusOr<std::vector<v1::Sample>> ListSamples(v1::ListSamplesRequest request, int limit);
  // One page; `cursor` and `complete` of it say how to go on.
  absl::StatusOr<v1::GetLogsResponse> GetLogs(const v1::GetLogsRequest& request);
  absl::StatusOr<v1::Study> GetStudy(const std::string& name);
  absl::StatusOr<v1::FreezeScreenResponse> FreezeScreen(const std::string& name, int top);
  absl::StatusOr<std::vector<v1::Worker>> ListWorkers();
  absl::StatusOr<CoordinatorAnswer> GetCoordinator();
  absl::StatusOr<v1::Worker> CordonWorker(const std::string& name, bool drain);
  absl::StatusOr<v1::Worker> UncordonWorker(const std::string& name);

  // Uploads `bytes` unless the server has them. Returns the DatasetRef "sha256:<hex>".
  absl::StatusOr<std::string> UploadDataset(const std::string& bytes, v1::DatasetUse use);

  // The bytes of the dataset `ref`, "sha256:<hex>".
  absl::StatusOr<std::string> DownloadDataset(const std::string& ref);

  // Follows an experiment from `cursor` ("": from the beginning). The client must outlive it.
  // `heartbeat`: the silence after which one comes, 1 s to 30 s; 0: the server's default.
  std::unique_ptr<Watch> WatchExperiment(const std::string& name, const std::string& cursor,
                                         absl::Duration heartbeat = absl::ZeroDuration());

 private:
  friend class Watch;
  // The token and the trace.
  void Sign(grpc::ClientContext* context) const;
  absl::Status WithTrace(absl::Status status) const;
  template <typename Call>
  absl::Status Retry(Call call) const;
  void TellVersion(const grpc::ClientContext& context) const;

  ClientOptions options_;
  const std::string trace_id_;  // of all its calls (wire/trace.h)
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Experiments::Stub> experiments_;
  std::unique_ptr<v1::Datasets::Stub> datasets_;
  std::unique_ptr<v1::Studies::Stub> studies_;
  std::unique_ptr<v1::Workers::Stub> workers_;
  std::unique_ptr<v1::Coordinators::Stub> coordinators_;
  mutable std::atomic<bool> is_version_told_ = false;
};

// A stream of updates that survives disconnects: it goes on from the last cursor, for up to
// `kMaxSilence` without an answer (before the first one: the client's timeout). One reader;
// Cancel() may come from another thread.
class Watch {
 public:
  ~Watch();
  // True: *response is the next update (heartbeats included). False: the stream ended; see
  // status().
  bool Next(v1::WatchExperimentResponse* response);
  // Ends the stream soon; Next then returns false with CANCELLED.
  void Cancel();
  // OK after the terminal update.
  const absl::Status& status() const { return status_; }
  // Where to go on.
  const std::string& cursor() const { return cursor_; }

  static constexpr absl::Duration kMaxSilence = absl::Minutes(2);

 private:
  friend class Client;
  Watch(Client* client, std::string name, std::string cursor, absl::Duration heartbeat);
  bool Connect();
  bool IsCancelled() const;

  Client* client_;
  std::string name_;
  std::string cursor_;
  const absl::Duration heartbeat_;
  absl::Status status_;
  struct Stream;
  std::unique_ptr<Stream> stream_;
};

}  // namespace jenner::client

#endif  // JENNER_CLIENT_CLIENT_H_
