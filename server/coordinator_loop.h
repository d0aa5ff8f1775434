// The coordinator's loop body: groups of requests in; one durable commit a group; answers out.
// Holds the State. No thread of its own: server.cc runs it on one.
//
// Within a group each command sees what the ones before it decided, so events are applied before
// they are durable; but nothing leaves this object before the commit, and if that fails the process
// ends.
#ifndef JENNER_SERVER_COORDINATOR_LOOP_H_
#define JENNER_SERVER_COORDINATOR_LOOP_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/coordinator/event.h"
#include "server/coordinator/state.h"
#include "server/feed/hub.h"
#include "server/rpc/backend.h"
#include "server/store/event_log.h"
#include "server/store/metric_store.h"
#include "server/telemetry/metrics.h"

namespace jenner::server {

// Not thread-safe. What it is given must outlive it.
class CoordinatorLoop {
 public:
  static constexpr size_t kMaxGroup = 256;

  // `lease`: the agents' and the grace; `min_run_time`: before a job is asked to stop for another
  // (both coordinator/state.h).
  CoordinatorLoop(store::EventLog& log, feed::Hub& hub, telemetry::Metrics& metrics,
                  absl::Duration lease, const coordinator::Quotas& quotas = {},
                  absl::Duration min_run_time = coordinator::kMinRunTime)
      : log_(log), hub_(hub), metrics_(metrics), lease_(lease) {
    state_.quotas = quotas;
    state_.min_run_time = min_run_time;
  }

  // Folds the whole log into the State; before the first Handle. Returns the number of events.
  // DataLoss: an event that cannot be read.
  absl::StatusOr<int64_t> Replay();

  // Decides, makes durable, answers, wakes watchers. Not OK: the log failed, nobody was answered,
  // and the process must end.
  absl::Status Handle(const std::vector<rpc::Request>& group, absl::Time now);

  const coordinator::State& state() const { return state_; }

 private:
  absl::Status Decide(const coordinator::Command& command, absl::Time now);
  void Schedule(absl::Time now);
  void Record(std::vector<coordinator::Event> events);
  absl::Status Commit();

  store::EventLog& log_;
  feed::Hub& hub_;
  telemetry::Metrics& metrics_;
  const absl::Duration lease_;
  coordinator::State state_;
  std::map<std::string, int64_t> versions_;  // experiment -> number of its last event
  std::vector<store::NewEvent> batch_;       // of this group
  std::set<std::string> changed_;            // experiments, in this group
};

}  // namespace jenner::server

#endif  // JENNER_SERVER_COORDINATOR_LOOP_H_
