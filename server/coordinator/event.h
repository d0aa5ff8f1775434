// Events: facts, durable before they are applied. Each kind has a codec in
// server/store/event_codec.cc; fields are only ever added, so that old logs replay.
#ifndef JENNER_SERVER_COORDINATOR_EVENT_H_
#define JENNER_SERVER_COORDINATOR_EVENT_H_

#include <string>
#include <variant>
#include <vector>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

struct ExperimentCreated {
  std::string id;
  std::string request_id;
  std::string fingerprint;
  core::ExperimentSpec spec;
  // The ids of Expand(spec)'s jobs when it was created: a later version that prints jobs otherwise
  // must not rename what the log and the stored results speak of.
  std::vector<std::string> job_ids = {};
  std::string creator = {};
  std::string project = {};
  std::string owner = kDefaultOwner;
  bool operator==(const ExperimentCreated&) const = default;
};
// A gang was placed: rank i is on placements[i].
struct AttemptStarted {
  struct Placement {
    std::string worker;
    std::string boot_id;
    bool operator==(const Placement&) const = default;
  };
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  std::vector<Placement> placements;
  bool operator==(const AttemptStarted&) const = default;
};
// Rank 0 of a gang listens.
struct StoreAnnounced {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  std::string address;
  bool operator==(const StoreAnnounced&) const = default;
};
// A trainer knows how many optimizer steps its job has. Told once an attempt, if at all.
struct JobPlanned {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  int32_t total_steps = 0;
  bool operator==(const JobPlanned&) const = default;
};
// All files of a checkpoint of the current attempt are durable blobs: it takes the place of the one
// before it.
struct CheckpointCommitted {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  int32_t step = 0;
  std::vector<Artifact> files;
  bool operator==(const CheckpointCommitted&) const = default;
};
// The trainer of the current attempt went on from the checkpoint of a step.
struct AttemptResumed {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  int32_t step = 0;
  bool operator==(const AttemptResumed&) const = default;
};
struct RankEnded {
  RankKey key;
  int32_t exit_code = 0;
  Reason error;
  std::vector<Artifact> artifacts;
  int32_t step = 0;  // at its end
  int32_t total_steps = 0;
  bool operator==(const RankEnded&) const = default;
};
// A running job is to stop with a checkpoint, and waits again once it has.
struct StopRequested {
  std::string experiment;
  std::string job;
  int32_t attempt = 0;
  StopCause cause = StopCause::kPreempted;
  Reason reason;
  bool operator==(const StopRequested&) const = default;
};
// The attempt ended and is worth another: the job waits again.
struct JobRequeued {
  std::string experiment;
  std::string job;
  Reason reason;
  Charge charge = Charge::kAttempt;
  bool operator==(const JobRequeued&) const = default;
};
struct JobEnded {
  std::string experiment;
  std::string job;
  RunState state = RunState::kSucceeded;
  Reason reason;
  Charge charge = Charge::kNone;
  bool operator==(const JobEnded&) const = default;
};
struct CancelRequested {
  std::string experiment;
  bool kill = false;
  bool operator==(const CancelRequested&) const = default;
};
struct PauseRequested {
  std::string experiment;
  bool operator==(const PauseRequested&) const = default;
};
// The last gang of a paused experiment has stopped.
struct ExperimentPaused {
  std::string experiment;
  bool operator==(const ExperimentPaused&) const = default;
};
struct ExperimentResumed {
  std::string experiment;
  bool operator==(const ExperimentResumed&) const = default;
};
struct WorkerCordoned {
  std::string worker;
  Cordon cordon = Cordon::kCordoned;
  bool operator==(const WorkerCordoned&) const = default;
};
struct WorkerUncordoned {
  std::string worker;
  bool operator==(const WorkerUncordoned&) const = default;
};
struct ExperimentEnded {
  std::string experiment;
  RunState state = RunState::kSucceeded;
  Reason reason;
  bool operator==(const ExperimentEnded&) const = default;
};
struct ExperimentDeleted {
  std::string experiment;
  bool operator==(const ExperimentDeleted&) const = default;
};

// The log comes from a backup, and what happened after it is unknown: attempts from now on have at
// least this number, which no attempt of the coordinator that was backed up can have.
struct CoordinatorRestored {
  int32_t first_attempt = 0;
  bool operator==(const CoordinatorRestored&) const = default;
};

using EventBody =
    std::variant<ExperimentCreated, AttemptStarted, StoreAnnounced, RankEnded, JobRequeued,
                 JobEnded, CancelRequested, ExperimentEnded, ExperimentDeleted, JobPlanned,
                 StopRequested, PauseRequested, ExperimentPaused, ExperimentResumed, WorkerCordoned,
                 WorkerUncordoned, CheckpointCommitted, AttemptResumed, CoordinatorRestored>;

struct Event {
  absl::Time time = absl::InfinitePast();
  EventBody body;
  bool operator==(const Event&) const = default;
};

// The experiment that an event is about; "" for one about a worker or the coordinator.
const std::string& ExperimentOf(const Event& event);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_EVENT_H_
