#include "server/coordinator/decide.h"
#include "server/coordinator/serve.h"

namespace jenner::coordinator {

Served Serve(const Waiting& next, Queue* queue, Rooms* rooms) {
  const Job& job = *next.job;
  const PoolKey pool = rooms->KeyOf(*next.experiment, job);
  const int32_t ranks = job.plan.spec.ranks;
  // One that is larger than all workers together neither keeps anything nor counts for its owner.
  if (rooms->Together(pool).places < ranks) return {};
  if (!queue->Charge(ranks)) return {{}, true};
  Served served{rooms->Take(pool, ranks, job.last_workers, job.avoided_workers)};
  if (served.workers.empty() && rooms->Together(pool).free > 0) {
    rooms->Keep(pool, job.avoided_workers);
  }
  return served;
}

std::vector<AttemptStarted> Place(const State& state, absl::Time now) {
  std::vector<AttemptStarted> starts;
  if (state.index.queue.empty()) return starts;
  Rooms rooms(state, now);
  Queue queue(state, now);
  while (!rooms.IsFull()) {
    const Waiting next = queue.Next();
    if (next.job == nullptr) break;
    const Served served = Serve(next, &queue, &rooms);
    if (served.workers.empty()) continue;
    AttemptStarted start{next.experiment->id, next.job->plan.id, NextAttempt(state, *next.job), {}};
    for (const std::string& worker : served.workers) {
      start.placements.push_back({worker, state.liveness.workers.at(worker).boot_id});
    }
    starts.push_back(std::move(start));
  }
  return starts;
}

}  // namespace jenner::coordinator
