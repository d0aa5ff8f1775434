#include <algorithm>
#include <set>

#include "absl/strings/str_format.h"
#include "server/coordinator/decide.h"

namespace jenner::coordinator {
namespace {

struct Room {
  int32_t slots = 0;
  int32_t idle = 0;  // held by no rank
  int32_t free = 0;  // idle and kept for no gang that waits longer
};
using Rooms = std::map<std::string, Room>;  // of the live workers, by name

bool Offers(const WorkerInfo& worker, const std::string& model) {
  return std::find(worker.models.begin(), worker.models.end(), model) != worker.models.end();
}

Rooms RoomsOf(const State& state, absl::Time now) {
  Rooms rooms;
  for (const auto& [name, worker] : state.liveness.workers) {
    if (IsAlive(state, name, now)) rooms[name] = {worker.slots, worker.slots, 0};
  }
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      for (const Rank& rank : job.ranks) {
        const auto found = rooms.find(rank.worker);
        if (!rank.ended && found != rooms.end() && found->second.idle > 0) --found->second.idle;
      }
    }
  }
  for (auto& [name, room] : rooms) room.free = room.idle;
  return rooms;
}

// A worker for each of `ranks` ranks, taken off *rooms; empty (and *rooms as it was) if they do not
// all fit.
std::vector<std::string> Fit(const State& state, const std::string& model, int32_t ranks,
                             Rooms* rooms) {
  Rooms left = *rooms;
  std::vector<std::string> workers;
  while (static_cast<int32_t>(workers.size()) < ranks) {
    auto best = left.end();
    for (auto at = left.begin(); at != left.end(); ++at) {
      if (at->second.free < 1 || !Offers(state.liveness.workers.at(at->first), model)) continue;
      if (best == left.end() || at->second.free > best->second.free) best = at;
    }
    if (best == left.end()) return {};
    const int32_t taken = std::min(best->second.free, ranks - static_cast<int32_t>(workers.size()));
    best->second.free -= taken;
    best->second.idle -= taken;
    workers.insert(workers.end(), static_cast<size_t>(taken), best->first);
  }
  *rooms = std::move(left);
  return workers;
}

// What all live workers with `model` have together.
Room Together(const State& state, const std::string& model, const Rooms& rooms) {
  Room sum;
  for (const auto& [name, room] : rooms) {
    if (!Offers(state.liveness.workers.at(name), model)) continue;
    sum.slots += room.slots;
    sum.idle += room.idle;
    sum.free += room.free;
  }
  return sum;
}

absl::Time NotBefore(const Job& job) {
  return job.attempt == 0 ? absl::InfinitePast()
                          : job.queue_time + absl::Seconds(1 << (job.attempt - 1));
}

// Jobs that wait for slots, the first to be served first.
using Waiting = std::vector<std::pair<const Experiment*, const Job*>>;

Waiting Queue(const State& state, absl::Time now) {
  Waiting queue;
  for (const auto& [id, experiment] : state.experiments) {
    if (IsTerminal(experiment.state) || experiment.state == RunState::kCancelling) continue;
    for (const Job& job : experiment.jobs) {
      if (job.state == RunState::kQueued && now >= NotBefore(job)) {
        queue.emplace_back(&experiment, &job);
      }
    }
  }
  std::stable_sort(queue.begin(), queue.end(),
                   [](const auto& a, const auto& b) { return a.first->order < b.first->order; });
  return queue;
}

// Serves `queue` with *rooms, of which is left what nobody took. `visit` sees each job at its turn,
// before it is served.
template <typename Visit>
std::vector<AttemptStarted> Serve(const State& state, const Waiting& queue, Rooms* rooms,
                                  Visit visit) {
  std::vector<AttemptStarted> starts;
  for (const auto& [experiment, job] : queue) {
    visit(*job, *rooms);
    const std::string& model = job->plan.spec.base_model;
    const int32_t ranks = job->plan.spec.ranks;
    const std::vector<std::string> workers = Fit(state, model, ranks, rooms);
    if (!workers.empty()) {
      AttemptStarted start{experiment->id, job->plan.id, job->attempt + 1, {}};
      for (const std::string& worker : workers) {
        start.placements.push_back({worker, state.liveness.workers.at(worker).boot_id});
      }
      starts.push_back(std::move(start));
    } else if (Together(state, model, *rooms).slots >= ranks) {
      for (auto& [name, room] : *rooms) {
        if (Offers(state.liveness.workers.at(name), model)) room.free = 0;
      }
    }
  }
  return starts;
}

Reason ModelNotFound(const State& state, const std::string& model, const Rooms& rooms) {
  std::set<std::string> offered;
  for (const auto& [name, room] : rooms) {
    const WorkerInfo& worker = state.liveness.workers.at(name);
    if (room.slots > 0) offered.insert(worker.models.begin(), worker.models.end());
  }
  std::string list;
  for (const std::string& one : offered) list += (list.empty() ? "" : ", ") + one;
  return {"MODEL_NOT_FOUND",
          "no live worker has base_model \"" + model +
              "\"; they have: " + (list.empty() ? "none" : list),
          "user"};
}

// Why the job waits whatever the queue is; empty: for its turn.
Reason OwnReason(const State& state, const Job& job, absl::Time now, const Rooms& rooms) {
  if (rooms.empty()) return {"NO_WORKERS", "no worker is alive", "capacity"};
  const std::string& model = job.plan.spec.base_model;
  if (Together(state, model, rooms).slots == 0) return ModelNotFound(state, model, rooms);
  if (now >= NotBefore(job)) return {};
  return {"BACK_OFF",
          absl::StrFormat("attempt %d failed (%s); tried again soon", job.attempt, job.reason.code),
          "system"};
}

// Of a job whose turn it is, given what those before it left.
Reason NoCapacity(const State& state, const Job& job, const Rooms& rooms) {
  const int32_t ranks = job.plan.spec.ranks;
  const Room room = Together(state, job.plan.spec.base_model, rooms);
  std::string message =
      absl::StrFormat("needs %d slot%s, %d free", ranks, ranks == 1 ? "" : "s", room.idle);
  if (room.slots < ranks) {
    message = absl::StrFormat("needs %d slots; the live workers with the model have %d", ranks,
                              room.slots);
  } else if (room.idle >= ranks) {
    message += ", kept for a gang that waits longer";
  }
  return {"NO_CAPACITY", message, "capacity"};
}

}  // namespace

std::vector<AttemptStarted> Place(const State& state, absl::Time now) {
  Rooms rooms = RoomsOf(state, now);
  return Serve(state, Queue(state, now), &rooms, [](const Job&, const Rooms&) {});
}

PendingReasons WhyPending(const State& state, absl::Time now, const Experiment* newcomer) {
  PendingReasons pending;
  Rooms rooms = RoomsOf(state, now);
  const auto add_own = [&](const Experiment& experiment) {
    for (const Job& job : experiment.jobs) {
      if (job.state != RunState::kQueued) continue;
      ++pending.num_steps;
      Reason reason = OwnReason(state, job, now, rooms);
      if (!reason.code.empty()) pending.of[&job] = std::move(reason);
    }
  };
  Waiting queue = Queue(state, now);
  for (const auto& [id, experiment] : state.experiments) add_own(experiment);
  if (newcomer != nullptr) {
    add_own(*newcomer);
    for (const Job& job : newcomer->jobs) queue.emplace_back(newcomer, &job);
  }
  Serve(state, queue, &rooms, [&](const Job& job, const Rooms& left) {
    ++pending.num_steps;
    if (pending.of.count(&job) == 0) pending.of[&job] = NoCapacity(state, job, left);
  });
  return pending;
}

std::vector<Assignment> Desired(const State& state, const std::string& worker) {
  std::vector<Assignment> assignments;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      bool broken = false;
      for (const Rank& rank : job.ranks) broken = broken || (rank.ended && rank.exit_code != 0);
      for (size_t i = 0; i < job.ranks.size(); ++i) {
        if (job.ranks[i].worker != worker || job.ranks[i].ended) continue;
        Assignment assignment;
        assignment.key = {id, job.plan.id, job.attempt, static_cast<int32_t>(i)};
        assignment.world_size = static_cast<int32_t>(job.ranks.size());
        assignment.spec = &job.plan.spec;
        assignment.store_address = job.store_address;
        assignment.stop = broken || job.state == RunState::kCancelling;
        assignments.push_back(std::move(assignment));
      }
    }
  }
  return assignments;
}

const std::string& ExperimentOf(const Event& event) {
  return std::visit(
      [](const auto& e) -> const std::string& {
        using T = std::decay_t<decltype(e)>;
        if constexpr (std::is_same_v<T, ExperimentCreated>) {
          return e.id;
        } else if constexpr (std::is_same_v<T, RankEnded>) {
          return e.key.experiment;
        } else {
          return e.experiment;
        }
      },
      event.body);
}

}  // namespace jenner::coordinator
