#include "server/coordinator/reference_placement.h"

#include <algorithm>
#include <optional>
#include <set>
#include <tuple>

namespace jenner::coordinator {
namespace {

struct Candidate {
  const Experiment* experiment;
  const Job* job;
  size_t number;
};

class Reference {
 public:
  Reference(const State& state, absl::Time now) : state_(state), now_(now) {
    for (const auto& [name, worker] : state.liveness.workers) {
      if (!IsAlive(state, name, now) || state.cordons.count(name) > 0) continue;
      free_[name] = {worker.slots, worker.gpus};
    }
    for (const auto& [id, experiment] : state.experiments) {
      held_[experiment.owner] = CountHeld(state, experiment.owner);
      const bool is_over =
          IsTerminal(experiment.state) || experiment.state == RunState::kCancelling;
      for (size_t i = 0; i < experiment.jobs.size(); ++i) {
        const Job& job = experiment.jobs[i];
        for (const Rank& rank : job.ranks) {
          if (!rank.ended && free_.count(rank.worker) > 0) --FreeOf(job, rank.worker);
        }
        if (!is_over && job.state == RunState::kQueued && now >= job.not_before &&
            HasWhatItGoesOnFrom(experiment, job))
          waiting_.push_back({&experiment, &job, i});
      }
    }
  }

  std::vector<AttemptStarted> Run() {
    std::vector<AttemptStarted> starts;
    while (!waiting_.empty()) {
      const auto next = std::min_element(
          waiting_.begin(), waiting_.end(),
          [&](const Candidate& a, const Candidate& b) { return TurnOf(a) < TurnOf(b); });
      const Candidate one = *next;
      waiting_.erase(next);
      const std::vector<std::string> workers = Serve(one);
      if (workers.empty()) continue;
      AttemptStarted start{one.experiment->id, one.job->plan.id, NextAttempt(state_, *one.job), {}};
      for (const std::string& worker : workers)
        start.placements.push_back({worker, state_.liveness.workers.at(worker).boot_id});
      starts.push_back(start);
    }
    return starts;
  }

 private:
  static bool IsOnGpus(const Job& job) { return job.plan.spec.device == core::Device::kCuda; }
  static bool HasWhatItGoesOnFrom(const Experiment& experiment, const Job& job) {
    const std::optional<core::JobTraining>& training = job.plan.spec.training;
    if (!training || training->after.empty()) return true;
    const Job* before = experiment.Find(training->after);
    return before != nullptr && before->state == RunState::kSucceeded;
  }
  int32_t& FreeOf(const Job& job, const std::string& worker) {
    return IsOnGpus(job) ? free_[worker].second : free_[worker].first;
  }
  int32_t PlacesOf(const Job& job, const std::string& worker) const {
    const WorkerInfo& info = state_.liveness.workers.at(worker);
    return IsOnGpus(job) ? info.gpus : info.slots;
  }
  static bool Avoids(const Job& job, const std::string& worker) {
    return std::count(job.avoided_workers.begin(), job.avoided_workers.end(), worker) > 0;
  }
  std::tuple<int32_t, int32_t, int64_t, size_t> TurnOf(const Candidate& one) {
    return {-one.experiment->spec.priority, held_[one.experiment->owner], one.experiment->order,
            one.number};
  }
  // One that may be given the job's ranks, were there room.
  bool Has(const std::string& worker, const Candidate& one) const {
    const std::string job = one.experiment->id + "/" + one.job->plan.id;
    bool has_reserved = false;
    for (const auto& [name, other] : state_.liveness.workers) {
      const bool offers = IsAlive(state_, name, now_) && (other.slots > 0 || other.gpus > 0);
      has_reserved = has_reserved || (offers && other.only_job == job);
    }
    const WorkerInfo& info = state_.liveness.workers.at(worker);
    if (info.only_job != (has_reserved ? job : "")) return false;
    return std::count(info.models.begin(), info.models.end(), one.job->plan.spec.base_model) > 0;
  }

  std::vector<std::string> Serve(const Candidate& one) {
    const Job& job = *one.job;
    const std::string& owner = one.experiment->owner;
    const auto ranks = job.plan.spec.ranks;
    int32_t places = 0;
    int32_t free = 0;
    for (const auto& [name, unused] : free_) {
      if (!Has(name, one)) continue;
      places += PlacesOf(job, name);
      free += std::max(FreeOf(job, name), 0);
    }
    if (places < ranks) return {};
    if (at_quota_.count(owner) > 0) return {};
    const std::optional<int32_t> limit = state_.quotas.Of(owner).slots;
    if (limit.has_value() && held_[owner] + ranks > *limit) {
      if (ranks <= *limit) at_quota_.insert(owner);
      return {};
    }
    held_[owner] += ranks;
    int32_t other_places = 0;
    int32_t other_free = 0;
    for (const auto& [name, unused] : free_) {
      if (!Has(name, one) || Avoids(job, name)) continue;
      other_places += PlacesOf(job, name);
      other_free += std::max(FreeOf(job, name), 0);
    }
    if (free < ranks || (other_places >= ranks && other_free < ranks)) {
      for (const auto& [name, unused] : free_) {
        if (Has(name, one) && !Avoids(job, name)) FreeOf(job, name) = 0;
      }
      return {};
    }
    return Take(one);
  }

  std::vector<std::string> Take(const Candidate& one) {
    const Job& job = *one.job;
    const auto ranks = static_cast<size_t>(job.plan.spec.ranks);
    std::map<std::string, int32_t> wanted;
    for (const std::string& worker : job.last_workers) ++wanted[worker];
    bool fits = job.last_workers.size() == ranks;
    for (const auto& [name, count] : wanted)
      fits = fits && free_.count(name) > 0 && Has(name, one) && FreeOf(job, name) >= count;
    if (fits) {
      for (const auto& [name, count] : wanted) FreeOf(job, name) -= count;
      return job.last_workers;
    }
    std::vector<std::string> taken;
    while (taken.size() < ranks) {
      std::string best;
      for (const auto& [name, unused] : free_) {
        if (!Has(name, one) || FreeOf(job, name) < 1) continue;
        if (best.empty() || Avoids(job, best) > Avoids(job, name) ||
            (Avoids(job, best) == Avoids(job, name) && FreeOf(job, name) > FreeOf(job, best))) {
          best = name;
        }
      }
      for (; FreeOf(job, best) > 0 && taken.size() < ranks; --FreeOf(job, best))
        taken.push_back(best);
    }
    return taken;
  }

  const State& state_;
  const absl::Time now_;
  std::map<std::string, std::pair<int32_t, int32_t>> free_;  // slots, GPUs
  std::map<std::string, int32_t> held_;                      // by owner
  std::set<std::string> at_quota_;
  std::vector<Candidate> waiting_;
};

}  // namespace

std::vector<AttemptStarted> ReferencePlace(const State& state, absl::Time now) {
  return Reference(state, now).Run();
}

int32_t CountHeld(const State& state, const std::string& owner) {
  int32_t held = 0;
  for (const auto& [id, experiment] : state.experiments) {
    if (experiment.owner != owner) continue;
    for (const Job& job : experiment.jobs) {
      for (const Rank& rank : job.ranks) held += rank.ended ? 0 : 1;
    }
  }
  return held;
}

}  // namespace jenner::coordinator
