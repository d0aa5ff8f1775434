#include "server/coordinator/pending.h"

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/coordinator/serve.h"

namespace jenner::coordinator {
namespace {

bool IsOnGpus(const Job& job) { return job.plan.spec.device == core::Device::kCuda; }

// "2 slots", "1 GPU"
std::string Needs(const Job& job) {
  const int32_t ranks = job.plan.spec.ranks;
  return absl::StrFormat("needs %d %s%s", ranks, IsOnGpus(job) ? "GPU" : "slot",
                         ranks == 1 ? "" : "s");
}

// Of a job whose turn it is, given what those before it left.
Reason NoCapacity(const Job& job, const PoolKey& pool, const Room& room) {
  const int32_t ranks = job.plan.spec.ranks;
  if (room.places < ranks) {
    return {IsOnGpus(job) ? "NO_GPU" : "NO_CAPACITY",
            absl::StrFormat("%s; the live workers with the model%s have %d", Needs(job),
                            pool.only_job.empty() ? "" : " that are reserved for it", room.places),
            "capacity"};
  }
  std::string message = absl::StrFormat("%s, %d free", Needs(job), room.idle);
  if (room.idle >= ranks) {
    message += job.avoided_workers.empty()
                   ? ", kept for a gang before it"
                   : ", kept for a gang before it or on workers where it failed";
  }
  return {"NO_CAPACITY", message, "capacity"};
}

}  // namespace

PendingReasons::PendingReasons(const State& state, absl::Time now, const Experiment* newcomer)
    : state_(state), now_(now), rooms_(state, now) {
  Queue queue(state, now, newcomer);
  size_t num_waiting = newcomer == nullptr ? 0 : newcomer->jobs.size();
  for (const auto& [owner, has] : state.index.owners)
    num_waiting += static_cast<size_t>(has.waiting);
  turns_.reserve(num_waiting);
  int32_t position = 0;
  for (Waiting next = queue.Next(); next.job != nullptr; next = queue.Next()) {
    ++num_steps_;
    Turn& turn = turns_[next.job];
    turn.pool = rooms_.KeyOf(*next.experiment, *next.job);
    turn.room = rooms_.Together(turn.pool);
    if (Serve(next, &queue, &rooms_).is_over_quota) {
      turn.over_quota_of = next.experiment;
      continue;
    }
    const Own own = OwnOf(turn.pool, *next.job);
    const bool waits_for_workers = own == Own::kCordoned || own == Own::kNoWorkers;
    const bool can_run = turn.room.places >= next.job->plan.spec.ranks;
    if (can_run || waits_for_workers) turn.position = ++position;
  }
  for (const Waiting& held_back : queue.HeldBack()) {
    ++num_steps_;
    turns_[held_back.job].over_quota_of = held_back.experiment;
  }
}

// Why the job waits whatever the queue is.
PendingReasons::Own PendingReasons::OwnOf(const PoolKey& pool, const Job& job) {
  const bool has_places = rooms_.Together(pool).places > 0;
  if (!has_places && rooms_.IsCordoned(pool)) return Own::kCordoned;
  if (rooms_.empty(pool)) return Own::kNoWorkers;
  const bool has_model =
      has_places || rooms_.Together({IsOnGpus(job) ? core::Device::kCpu : core::Device::kCuda,
                                     pool.model, pool.only_job})
                            .places > 0;
  if (!has_model) return Own::kNoModel;
  return now_ >= job.not_before ? Own::kNothing : Own::kBackOff;
}

Reason PendingReasons::InWords(Own own, const PoolKey& pool, const Job& job) const {
  switch (own) {
    case Own::kNothing:
      return {};
    case Own::kCordoned:
      return {"WORKERS_CORDONED",
              absl::StrFormat("every live worker with the model%s is cordoned",
                              IsOnGpus(job) ? " and GPUs" : ""),
              "capacity"};
    case Own::kNoWorkers:
      return {"NO_WORKERS",
              rooms_.HasReserved() ? "no worker is alive that is not reserved for another job"
                                   : "no worker is alive",
              "capacity"};
    case Own::kNoModel: {
      const std::vector<std::string> models = rooms_.Models(pool);
      return {"MODEL_NOT_FOUND",
              "no live worker has base_model \"" + job.plan.spec.base_model +
                  "\"; they have: " + (models.empty() ? "none" : absl::StrJoin(models, ", ")),
              "user"};
    }
    case Own::kBackOff:
      return {
          "BACK_OFF",
          absl::StrFormat("attempt %d failed (%s); tried again soon", job.attempt, job.reason.code),
          "system"};
  }
  std::abort();
}

Reason PendingReasons::OverQuota(const Experiment& experiment, const Job& job) const {
  const int32_t ranks = job.plan.spec.ranks;
  const int32_t limit = state_.quotas.Of(experiment.owner).slots.value_or(0);
  const auto known = state_.index.owners.find(experiment.owner);
  const int32_t held = known == state_.index.owners.end() ? 0 : known->second.held;
  if (ranks > limit) {
    return {"QUOTA_SLOTS",
            absl::StrFormat("%s; owner \"%s\" may hold at most %d", Needs(job), experiment.owner,
                            limit),
            "user"};
  }
  std::string message = absl::StrFormat("%s; owner \"%s\" holds %d of at most %d", Needs(job),
                                        experiment.owner, held, limit);
  if (held + ranks <= limit) message += ", and its jobs before it come first";
  return {"QUOTA_SLOTS", message, "capacity"};
}

Reason PendingReasons::ReasonOf(const Experiment& experiment, const Job& job) {
  if (!IsReady(experiment, job)) {
    const Job& predecessor = *PredecessorOf(experiment, job);
    return {"WAITS_FOR_JOB",
            "goes on from " + Describe(predecessor) + ", which has not succeeded yet", "capacity"};
  }
  const PoolKey pool = rooms_.KeyOf(experiment, job);
  Reason own = InWords(OwnOf(pool, job), pool, job);
  if (!own.code.empty()) return own;
  const auto found = turns_.find(&job);
  if (found == turns_.end()) return job.reason;  // about to be cancelled
  const Turn& turn = found->second;
  if (turn.over_quota_of != nullptr) return OverQuota(*turn.over_quota_of, job);
  return NoCapacity(job, turn.pool, turn.room);
}

int32_t PendingReasons::PositionOf(const Job& job) const {
  const auto found = turns_.find(&job);
  return found == turns_.end() ? 0 : found->second.position;
}

}  // namespace jenner::coordinator
