#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/queue.h"
#include "server/coordinator/rooms.h"

namespace jenner::coordinator {
namespace {

// Serves `queue` with *rooms, of which is left what nobody took. `visit` sees each job at its turn,
// before it is served.
template <typename Visit>
std::vector<AttemptStarted> Serve(const State& state, Queue queue, Rooms* rooms, Visit visit) {
  std::vector<AttemptStarted> starts;
  for (Waiting next = queue.Next(); next.job != nullptr; next = queue.Next()) {
    const Job& job = *next.job;
    visit(job, rooms);
    const std::string& model = job.plan.spec.base_model;
    const int32_t ranks = job.plan.spec.ranks;
    // One that is larger than all workers together neither keeps slots nor counts for its owner.
    if (rooms->Together(model).slots < ranks) continue;
    queue.Charge(ranks);
    const std::vector<std::string> workers = rooms->Take(model, ranks, job.last_workers);
    if (workers.empty()) {
      if (rooms->Together(model).free > 0) rooms->Keep(model);
      continue;
    }
    AttemptStarted start{next.experiment->id, job.plan.id, job.attempt + 1, {}};
    for (const std::string& worker : workers) {
      start.placements.push_back({worker, state.liveness.workers.at(worker).boot_id});
    }
    starts.push_back(std::move(start));
  }
  return starts;
}

Reason ModelNotFound(const std::string& model, const Rooms& rooms) {
  const std::vector<std::string> models = rooms.Models();
  return {"MODEL_NOT_FOUND",
          "no live worker has base_model \"" + model +
              "\"; they have: " + (models.empty() ? "none" : absl::StrJoin(models, ", ")),
          "user"};
}

// Why the job waits whatever the queue is; empty: for its turn.
Reason OwnReason(const Job& job, absl::Time now, Rooms* rooms) {
  const std::string& model = job.plan.spec.base_model;
  const bool has_model = rooms->Together(model).slots > 0;
  if (!has_model && rooms->IsCordoned(model)) {
    return {"WORKERS_CORDONED", "every live worker with the model is cordoned", "capacity"};
  }
  if (rooms->empty()) return {"NO_WORKERS", "no worker is alive", "capacity"};
  if (!has_model) return ModelNotFound(model, *rooms);
  if (now >= job.not_before) return {};
  return {"BACK_OFF",
          absl::StrFormat("attempt %d failed (%s); tried again soon", job.attempt, job.reason.code),
          "system"};
}

// Of a job whose turn it is, given what those before it left.
Reason NoCapacity(const Job& job, Rooms* rooms) {
  const int32_t ranks = job.plan.spec.ranks;
  const Room& room = rooms->Together(job.plan.spec.base_model);
  std::string message =
      absl::StrFormat("needs %d slot%s, %d free", ranks, ranks == 1 ? "" : "s", room.idle);
  if (room.slots < ranks) {
    message = absl::StrFormat("needs %d slots; the live workers with the model have %d", ranks,
                              room.slots);
  } else if (room.idle >= ranks) {
    message += ", kept for a gang before it";
  }
  return {"NO_CAPACITY", message, "capacity"};
}

}  // namespace

std::vector<AttemptStarted> Place(const State& state, absl::Time now) {
  Rooms rooms(state, now);
  return Serve(state, Queue(state, now), &rooms, [](const Job&, Rooms*) {});
}

PendingReasons WhyPending(const State& state, absl::Time now, const Experiment* newcomer) {
  PendingReasons pending;
  Rooms rooms(state, now);
  const auto add_own = [&](const Experiment& experiment) {
    for (const Job& job : experiment.jobs) {
      if (job.state != RunState::kQueued) continue;
      ++pending.num_steps;
      Reason reason = OwnReason(job, now, &rooms);
      if (!reason.code.empty()) pending.of[&job] = {std::move(reason), 0};
    }
  };
  for (const auto& [id, experiment] : state.experiments) add_own(experiment);
  if (newcomer != nullptr) add_own(*newcomer);
  int32_t position = 0;
  Serve(state, Queue(state, now, newcomer), &rooms, [&](const Job& job, Rooms* left) {
    ++pending.num_steps;
    Pending& own = pending.of[&job];
    if (own.reason.code.empty()) own.reason = NoCapacity(job, left);
    const bool can_run = left->Together(job.plan.spec.base_model).slots >= job.plan.spec.ranks;
    const bool waits_for_workers =
        own.reason.blame == "capacity" && own.reason.code != "NO_CAPACITY";
    if (can_run || waits_for_workers) own.position = ++position;
  });
  return pending;
}

}  // namespace jenner::coordinator
