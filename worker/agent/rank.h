// Rank: all that an agent knows of one rank that it was given. Internal to Agent, whose mutex
// guards it, except `key`, `folder`, `job_json`, `datasets`, `judged_traits`, `to_go_on_from` and
// `initial`, which do not change once it is prepared.
#ifndef JENNER_WORKER_AGENT_RANK_H_
#define JENNER_WORKER_AGENT_RANK_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "worker/agent/agent.h"
#include "worker/agent/checkpoint.h"
#include "worker/agent/child.h"
#include "worker/agent/facts.h"
#include "worker/agent/link.h"
#include "worker/agent/questions.h"

namespace jenner::agent {

// A kind of transfer that does not succeed.
struct Agent::Refusal {
  absl::Time since = absl::InfiniteFuture();  // by MonotonicNow()
  std::string last_fault;                     // so that it is logged once
};

// A checkpoint of the trainer's, held by links in a folder of the agent's.
struct Agent::SharedCheckpoint {
  v1::Checkpoint message;
  std::string folder;
};

struct Agent::Rank {
  RankKey key;
  std::string folder;
  std::string job_json;
  std::vector<std::string> datasets;  // hex hashes
  JudgedTraits judged_traits;         // that judges measure
  v1::Checkpoint to_go_on_from;       // that the coordinator has; step 0: none
  FileReports initial;                // what the job begins with; none: the base model
  bool on_gpu = false;                // its job asks for one
  int world_size = 1;
  std::string store_address;  // of the gang, from the coordinator
  Phase phase = Phase::kPreparing;

  // While there is a process.
  Child child;
  int gpu = -1;  // the number of its GPU; -1: it has none
  bool stopping = false;
  bool killing = false;
  bool is_final = false;  // nobody will go on from where it is
  absl::Time kill_at = absl::InfiniteFuture();
  int64_t facts_offset = 0;  // in events.jsonl: what was learnt
  RankFacts facts;
  int64_t log_dropped = 0;         // bytes of the log that were cut off the file
  int64_t told_bytes = -1;         // events and log together, when last looked at
  absl::Time told_at;              // when they grew, by MonotonicNow()
  std::optional<Outcome> verdict;  // why the agent killed it

  // What judges were asked about, if there are judged_traits.
  int64_t judged_offset = 0;  // in events.jsonl
  int64_t judged_bytes = 0;   // of judged.jsonl that hold
  bool is_judged = false;     // it has ended, and all of it
  Refusal judging;

  // What is sent.
  int64_t events_offset = 0;  // in events.jsonl or judged.jsonl: what the coordinator has
  int64_t log_offset = 0;     // in trainer.log, likewise
  size_t artifacts_sent = 0;
  bool stale = false;                             // the coordinator wants nothing more of it
  int64_t num_refused = 0;                        // event lines that the coordinator called invalid
  int32_t newest_step = 0;                        // of the checkpoints that the trainer told of
  bool is_too_large = false;                      // its checkpoints stay here
  std::optional<SharedCheckpoint> waiting;        // to be uploaded: the newest
  bool is_sharing = false;                        // another is being uploaded
  absl::Time share_after = absl::InfinitePast();  // by MonotonicNow(), while the trainer runs
  v1::Checkpoint shared;                          // the newest that is uploaded; step 0: none
  Refusal telemetry;
  Refusal blobs;
  Cancellation calls;  // of what is sent and fetched for it; locks itself

  Outcome outcome;  // once the process has ended, or none will ever run
};

inline v1::RankKey ToProto(const RankKey& key) {
  v1::RankKey message;
  message.set_experiment(key.experiment);
  message.set_job(key.job);
  message.set_attempt(key.attempt);
  message.set_rank(key.rank);
  return message;
}

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_RANK_H_
