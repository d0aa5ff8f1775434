// Backend: what a handler may reach, and from which thread. No handler blocks: it decodes, checks,
// posts, and whoever has the answer finishes the call.
#ifndef JENNER_SERVER_RPC_BACKEND_H_
#define JENNER_SERVER_RPC_BACKEND_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <atomic>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "server/coordinator/command.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/pending.h"
#include "server/coordinator/state.h"
#include "server/feed/hub.h"
#include "server/feed/mailbox.h"
#include "server/rpc/gate.h"
#include "server/store/audit_log.h"
#include "server/store/blob_store.h"
#include "server/store/dataset_store.h"
#include "server/store/metric_store.h"
#include "server/telemetry/metrics.h"

namespace jenner::rpc {

// The durable state as the coordinator thread sees it between two groups of commands.
struct View {
  const coordinator::State& state;
  const std::map<std::string, int64_t>& versions;  // experiment -> number of its last event
  int64_t last_event = 0;
  absl::Time now;

  mutable std::optional<coordinator::PendingReasons> pending = {};  // see Pending()

  // Why queued jobs wait: one walk through the queue for all who look through this View.
  coordinator::PendingReasons& Pending() const {
    if (!pending.has_value()) pending.emplace(state, now);
    return *pending;
  }
};

// What goes to the coordinator thread. `answer` runs there, once, after what the command (and all
// before it in its group) decided is durable and applied; it must be quick.
struct Request {
  std::optional<coordinator::Command> command;  // none: a question about the View
  // May the command be done, as things stand when it is decided? Null: yes. Not for questions.
  std::function<absl::Status(const coordinator::State& state)> permit;
  std::function<void(const absl::Status& decided, const View& view)> answer;
};

struct Limits {
  int64_t max_blob_bytes = int64_t{16} << 30;
  int64_t max_dataset_bytes = int64_t{1} << 30;
  absl::Duration lease = coordinator::kLease;  // as agents are told it
  absl::Duration next_synchronize = absl::Milliseconds(500);
  bool log_calls = false;  // all of them
};

// All pointers are set and outlive the services.
struct Backend {
  feed::Mailbox<Request>* coordinator = nullptr;
  feed::TaskQueue* store_tasks = nullptr;      // run on the store thread
  feed::TaskQueue* file_tasks = nullptr;       // run on the file thread
  std::atomic<int>* num_studies = nullptr;     // whose scores are in memory
  feed::TaskQueue* study_tasks = nullptr;      // run on the study thread: they compute for seconds
  store::MetricStore* metric_store = nullptr;  // touched on the store thread only
  store::BlobStore* blobs = nullptr;           // on the file thread
  store::DatasetStore* datasets = nullptr;     // on the file thread
  // Hashes of what was uploaded as a file of a checkpoint, and not as anything else since; on the
  // file thread. Not known after a restart.
  std::set<std::string>* checkpoint_files = nullptr;
  feed::Hub* hub = nullptr;
  telemetry::Metrics* metrics = nullptr;
  Gate* gate = nullptr;
  store::AuditLog* audit = nullptr;  // on the file thread
  std::function<absl::Time()> clock;
  std::string version;  // of the server
  Limits limits;
};

// The answer when a mailbox is full or closed.
absl::Status Busy();

// What a call is about; the name as in "experiments/e1". Nothing: no type.
struct Resource {
  std::string type;
  std::string name;
};

// May a call go on: asks the gate, as every handler does first. A refusal is counted and audited
// here; the caller ends the call with it. The caller lives as long as the call.
// The answer tells the server's version (core/version.h).
std::shared_ptr<const Caller> Admit(Backend& backend, grpc::CallbackServerContext& context,
                                    const char* method, CallKind kind, const Resource& resource,
                                    const std::string& request_id = "");

// An ended call that changed something, or was not permitted to, goes to the audit log.
void Audit(Backend& backend, const Caller& caller, const Resource& resource,
           const absl::Status& outcome);

// One unary call on its way through the threads; copied into each step. Exactly one of the steps
// calls Finish (those below do so when they cannot go on). A call that is refused is over once it
// is made, and whatever is asked of it then does nothing.
struct Call {
  // `method` is "Experiments/GetExperiment"; `resource` is needed where the rule says `owned`.
  Call(Backend& given, grpc::CallbackServerContext* context, const char* method_name,
       Resource about = {}, const std::string& request_id = "");

  Backend* backend;
  const char* method;
  grpc::ServerUnaryReactor* reactor;
  Resource resource;
  std::shared_ptr<const Caller> caller;
  bool is_preview = false;  // it changes nothing after all

  // An error is told with the resource.
  void Finish(const absl::Status& status) const;
  // `answer` on the coordinator thread.
  void Ask(std::function<void(const View&)> answer) const;
  // The same once `command` is durable; a refused command finishes the call with the reason.
  void Do(coordinator::Command command, std::function<void(const View&)> answer) const;
  // The same, but the refusal is `answer`'s, too.
  void Try(coordinator::Command command,
           std::function<void(const absl::Status& decided, const View&)> answer) const;
  void OnStoreThread(feed::Task task) const;
  void OnFileThread(feed::Task task) const;

 private:
  bool IsRefused() const { return !caller->status.ok(); }
  // May the caller do that to the resource?
  absl::Status Permit(const coordinator::State& state) const;
};

// Counts a finished call.
void CountCall(Backend& backend, const char* method, const absl::Status& status);

// An ended call: counted, and told in the log if it failed or was one that the audit log has, or
// with Limits::log_calls. Refusals of nobody, or for being one too many, are not: there may be any
// number.
void CallEnded(Backend& backend, const char* method, const Caller& caller, const Resource& resource,
               const absl::Status& status);

void ShowCell(const telemetry::SeriesOwner& owner, const store::Cell& cell,
              telemetry::Metrics* metrics);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_BACKEND_H_
