// Random histories: whatever the workers and users do, no slot and no GPU is held twice, gangs are
// whole, jobs with device cuda have GPUs and no others do, nothing is placed on a cordoned worker,
// a worker reserved for a job gets ranks of no other one and that job's go nowhere else meanwhile,
// no owner is given more than its quota, placement is that of ReferencePlace(), jobs make room for
// strictly higher priorities only and not before they have run for a while, attempts only grow,
// terminal states stay, a job runs
// only once the one that it goes on from has succeeded, and the fold of the events is the live
// state. When the faults stop, every job comes to its end.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdlib>
#include <random>

#include "core/sha256.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/reference_placement.h"

namespace jenner::coordinator {
namespace {

const std::string kNone;
constexpr absl::Duration kShortLease = absl::Seconds(5);

struct World {
  State state;
  State replayed;
  absl::Time now = absl::FromUnixSeconds(1000);
  std::map<std::string, std::string> boots;
  int num_preempted = 0;
  int num_committed = 0;
  int num_at_quota = 0;  // placements that took their owner to its quota
  int num_on_gpus = 0;
  int num_after = 0;     // placements of jobs that go on from another
  int num_orphans = 0;   // jobs that failed as another one did
  int num_reserved = 0;  // placements on workers that are reserved for their job

  void Commit(const std::vector<Event>& events) {
    for (const Event& event : events) {
      const State before = state;
      CheckPlacement(event);
      CheckStop(event);
      CheckCheckpoint(event);
      CheckEnd(event);
      Apply(event, &state);
      Apply(event, &replayed);
      CheckInvariants(state);
      CheckStep(before);
      CheckQuota(event);
    }
    ASSERT_TRUE(replayed.SameDurable(state));
  }

  // The job that it goes on from, found by its name; null: none.
  static const Job* Predecessor(const Experiment& experiment, const Job& job) {
    const std::string& after = job.plan.spec.training ? job.plan.spec.training->after : kNone;
    return after.empty() ? nullptr : experiment.Find(after);
  }

  // A job that never ran fails if and only if the one that it goes on from did not succeed.
  void CheckEnd(const Event& event) {
    const auto* ended = std::get_if<JobEnded>(&event.body);
    if (ended == nullptr) return;
    const Experiment& experiment = state.experiments.at(ended->experiment);
    const Job& job = *experiment.Find(ended->job);
    ASSERT_FALSE(IsTerminal(job.state));
    const bool is_orphan = ended->reason.code == "PREDECESSOR_FAILED";
    if (is_orphan) {
      const Job* predecessor = Predecessor(experiment, job);
      ASSERT_NE(predecessor, nullptr);
      ASSERT_TRUE(IsTerminal(predecessor->state) && predecessor->state != RunState::kSucceeded);
      ASSERT_EQ(ended->state, RunState::kFailed);
      ASSERT_EQ(ended->reason.blame, predecessor->reason.blame);
      ++num_orphans;
    }
    ASSERT_TRUE(job.attempt > 0 || is_orphan || ended->state == RunState::kCancelled);
  }

  void CheckPlacement(const Event& event) {
    const auto* started = std::get_if<AttemptStarted>(&event.body);
    if (started == nullptr) return;
    const Experiment& experiment = state.experiments.at(started->experiment);
    const Job& job = *experiment.Find(started->job);
    if (const Job* predecessor = Predecessor(experiment, job)) {
      ASSERT_EQ(predecessor->state, RunState::kSucceeded);
      ++num_after;
    }
    ASSERT_EQ(static_cast<int32_t>(started->placements.size()), job.plan.spec.ranks);
    ASSERT_EQ(job.state, RunState::kQueued);
    for (const AttemptStarted::Placement& place : started->placements) {
      ASSERT_TRUE(IsAlive(state, place.worker, now));
      ASSERT_EQ(state.cordons.count(place.worker), 0U);
    }
    CheckReserved(*started);
  }

  // Either all ranks are on workers that are reserved for the job, or there are none such.
  void CheckReserved(const AttemptStarted& started) {
    const std::string job = started.experiment + "/" + started.job;
    const bool has_own = std::any_of(
        state.liveness.workers.begin(), state.liveness.workers.end(), [&](const auto& worker) {
          const WorkerInfo& info = worker.second;
          return info.only_job == job && info.slots > 0 && IsAlive(state, worker.first, now);
        });
    for (const AttemptStarted::Placement& place : started.placements) {
      ASSERT_EQ(state.liveness.workers.at(place.worker).only_job, has_own ? job : "");
    }
    num_reserved += has_own ? 1 : 0;
  }

  // Only the current attempt's, and of one attempt ever newer ones.
  void CheckCheckpoint(const Event& event) {
    const auto* committed = std::get_if<CheckpointCommitted>(&event.body);
    if (committed == nullptr) return;
    const Job& job = *state.experiments.at(committed->experiment).Find(committed->job);
    ASSERT_EQ(committed->attempt, job.attempt);
    ASSERT_FALSE(job.ranks.empty() || job.ranks[0].ended);
    if (job.checkpoint.attempt == committed->attempt) {
      ASSERT_GT(committed->step, job.checkpoint.step);
    }
    ++num_committed;
  }

  void CheckQuota(const Event& event) {
    const auto* started = std::get_if<AttemptStarted>(&event.body);
    if (started == nullptr) return;
    const Experiment& experiment = state.experiments.at(started->experiment);
    const std::optional<int32_t> limit = state.quotas.Of(experiment.owner).slots;
    const int32_t held = CountHeld(state, experiment.owner);
    ASSERT_LE(held, limit.value_or(held));
    num_at_quota += held == limit ? 1 : 0;
    const bool on_gpus = experiment.Find(started->job)->plan.spec.device == core::Device::kCuda;
    num_on_gpus += on_gpus ? 1 : 0;
  }

  // Ranks of jobs with that device on that worker.
  int32_t CountRanks(const std::string& worker, core::Device device) const {
    int32_t count = 0;
    for (const auto& [id, experiment] : state.experiments) {
      for (const Job& job : experiment.jobs) {
        if (job.plan.spec.device != device) continue;
        for (const Rank& rank : job.ranks) count += rank.worker == worker && !rank.ended ? 1 : 0;
      }
    }
    return count;
  }

  // That victims have strictly less priority is what makes a cycle impossible.
  void CheckStop(const Event& event) {
    const auto* stop = std::get_if<StopRequested>(&event.body);
    if (stop == nullptr) return;
    const Experiment& experiment = state.experiments.at(stop->experiment);
    const Job& job = *experiment.Find(stop->job);
    ASSERT_FALSE(IsStopping(job));
    if (stop->cause != StopCause::kPreempted) return;
    ++num_preempted;
    ASSERT_GE(event.time - job.start_time, kMinRunTime);
    int32_t highest = -1;
    for (const auto& [id, other] : state.experiments) {
      for (const Job& one : other.jobs) {
        const bool waits = one.state == RunState::kQueued && IsReady(other, one);
        if (waits) highest = std::max(highest, other.spec.priority);
      }
    }
    ASSERT_GT(highest, experiment.spec.priority);
  }

  void CheckStep(const State& before) {
    for (const auto& [id, old] : before.experiments) {
      const auto found = state.experiments.find(id);
      if (found == state.experiments.end()) continue;
      if (IsTerminal(old.state)) {
        ASSERT_EQ(found->second, old);
      }
      for (size_t i = 0; i < old.jobs.size(); ++i) {
        ASSERT_GE(found->second.jobs[i].attempt, old.jobs[i].attempt);
        if (IsTerminal(old.jobs[i].state)) {
          ASSERT_EQ(found->second.jobs[i], old.jobs[i]);
        }
      }
    }
    for (const auto& [name, worker] : state.liveness.workers) {
      if (!worker.boot_id.empty()) {
        ASSERT_LE(CountRanks(name, core::Device::kCpu), 3);
        ASSERT_LE(CountRanks(name, core::Device::kCuda), 2);
      }
    }
  }

  void Post(const Command& command) {
    Observe(command, now, kShortLease, &state);
    const auto events = Decide(state, command, now);
    if (events.ok()) Commit(*events);
    for (int round = 0; round < 50; ++round) {
      Observe(Tick{}, now, kShortLease, &state);
      ASSERT_EQ(Place(state, now), ReferencePlace(state, now));
      const auto ticked = Decide(state, Tick{}, now);
      ASSERT_TRUE(ticked.ok());
      if (ticked->empty()) return;
      Commit(*ticked);
    }
    FAIL() << "the coordinator does not come to rest";
  }
};

CreateExperiment RandomExperiment(std::mt19937_64* random, int number) {
  CreateExperiment create;
  create.id = "e" + std::to_string(number);
  create.spec.base_model = "m";
  create.spec.dataset = "sha256:" + core::Sha256Hex("d");
  create.spec.evaluation.prompts = create.spec.dataset;
  create.spec.ranks = 1 << ((*random)() % 3);
  create.spec.priority = static_cast<int32_t>((*random)() % 3) * 50;
  if ((*random)() % 3 == 0) create.spec.device = core::Device::kCuda;
  create.owner = "owner" + std::to_string((*random)() % 3);
  for (uint64_t i = 0; i <= (*random)() % 4; ++i) {
    const std::string name = "a" + std::to_string(i);
    create.spec.contexts[name].user_suffix = name;
    create.spec.arms.push_back({name, name});
    // Two in three arms that may go on from an earlier one do.
    if (i > 0 && (*random)() % 3 > 0)
      create.spec.arms.back().after = "a" + std::to_string((*random)() % i);
  }
  create.spec = core::Resolve(create.spec);
  return create;
}

WorkerSync RandomSync(std::mt19937_64* random, const World& world, const std::string& name,
                      const std::string& boot) {
  WorkerSync sync;
  sync.worker = name;
  sync.boot_id = boot;
  sync.slots = 3;
  sync.gpus = 2;
  sync.models = {"m"};
  for (const Assignment& one : Desired(world.state, name)) {
    if ((*random)() % 16 == 0) continue;  // forgotten
    RankReport report;
    report.key = one.key;
    report.phase = Phase::kRunning;
    if (one.key.rank == 0) report.store_address = "a:1";
    if ((*random)() % 4 == 0) {
      report.checkpoint_step = 1 + static_cast<int32_t>((*random)() % 50);
      report.checkpoint_files = {{"state.json", core::Sha256Hex("s"), 1}};
    }
    if (one.checkpoint != nullptr) report.resumed_step = one.checkpoint->step;
    if ((*random)() % 3 == 0) {
      constexpr int32_t kCodes[] = {0, 0, 0, 0, 16, 13, 14, 30, 137};
      report.phase = Phase::kEnded;
      report.exit_code = kCodes[(*random)() % std::size(kCodes)];
      if (report.exit_code != 0) report.error = {"CODE", "text", ""};
    }
    if ((*random)() % 20 == 0) --report.key.attempt;  // stale
    sync.ranks.push_back(report);
  }
  return sync;
}

// "experiment/job" of one that has not ended; "": there is none.
std::string SomeJob(std::mt19937_64* random, const State& state) {
  std::vector<std::string> jobs;
  for (const auto& [id, experiment] : state.experiments) {
    for (const Job& job : experiment.jobs) {
      if (!IsTerminal(job.state)) jobs.push_back(id + "/" + job.plan.id);
    }
  }
  return jobs.empty() ? "" : jobs[(*random)() % jobs.size()];
}

// Of owner0 and of the others, in some histories; each at least `least` slots.
Quotas RandomQuotas(std::mt19937_64* random, int32_t least) {
  Quotas quotas;
  const auto some = [&] { return least + static_cast<int32_t>((*random)() % 5); };
  if ((*random)() % 3 > 0) quotas.otherwise.slots = some();
  if ((*random)() % 3 > 0) quotas.owners["owner0"].slots = some();
  return quotas;
}

// What a person may do about experiment `some` or a worker.
Command RandomVerb(std::mt19937_64* random, const std::string& some) {
  const std::string worker = "w" + std::to_string((*random)() % 3);
  switch ((*random)() % 8) {
    case 0:
      return CancelExperiment{some, (*random)() % 2 == 0};
    case 1:
      return DeleteExperiment{some};
    case 2:
      return PauseExperiment{some};
    case 3:
    case 4:
      return ResumeExperiment{some};
    case 5:
      return CordonWorker{worker, (*random)() % 2 == 0 ? Cordon::kCordoned : Cordon::kDraining};
    default:
      return UncordonWorker{worker};
  }
}

TEST(PropertyTest, RandomHistories) {
  const char* given = std::getenv("JENNER_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const uint64_t count = given != nullptr ? 1 : 40;
  int terminal = 0;
  int num_committed = 0;
  int num_at_quota = 0;
  int num_on_gpus = 0;
  int num_after = 0;
  int num_orphans = 0;
  int num_reserved = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("JENNER_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    World world;
    world.state.quotas = RandomQuotas(&random, /*least=*/0);
    std::map<std::string, std::string> only_jobs;  // of the workers that are reserved
    int created = 0;
    for (int step = 0; step < 150; ++step) {
      world.now += absl::Milliseconds(random() % 1500);
      const std::string name = "w" + std::to_string(random() % 4);
      std::string& boot = world.boots[name];
      if (boot.empty() || random() % 25 == 0) {
        boot = "b" + std::to_string(random());
        only_jobs[name] = random() % 2 == 0 ? SomeJob(&random, world.state) : "";
      }
      const std::string some = "e" + std::to_string(random() % (created + 1));
      switch (random() % 12) {
        case 0:
          world.Post(RandomExperiment(&random, created++));
          break;
        case 1:
        case 2:
          world.Post(RandomVerb(&random, some));
          break;
        case 3:
          world.Post(Tick{});
          break;
        case 4:
          world.state.liveness = {};
          break;  // the coordinator restarted
        default: {
          WorkerSync sync = RandomSync(&random, world, name, boot);
          sync.only_job = only_jobs[name];
          world.Post(sync);
        }
      }
      if (HasFatalFailure()) return;
    }
    for (const auto& [id, experiment] : world.state.experiments)
      terminal += IsTerminal(experiment.state) ? 1 : 0;
    num_committed += world.num_committed;
    num_at_quota += world.num_at_quota;
    num_on_gpus += world.num_on_gpus;
    num_after += world.num_after;
    num_orphans += world.num_orphans;
    num_reserved += world.num_reserved;
  }
  if (count > 1) {
    EXPECT_GT(terminal, 20) << "the histories end too few experiments to show anything";
    EXPECT_GT(num_committed, 20) << "and commit too few checkpoints";
    EXPECT_GT(num_at_quota, 20);
    EXPECT_GT(num_on_gpus, 20);
    EXPECT_GT(num_after, 20);
    EXPECT_GT(num_orphans, 20);
    EXPECT_GT(num_reserved, 20);
  }
}

TEST(PropertyTest, EveryExperimentEndsWhenWorkersDoTheirWork) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    World world;
    world.state.quotas = RandomQuotas(&random, /*least=*/4);
    for (int i = 0; i < 5; ++i) world.Post(RandomExperiment(&random, i));
    for (int round = 0; round < 200; ++round) {
      world.now += absl::Seconds(1);
      for (const std::string name : {"w0", "w1"}) {
        WorkerSync sync{name, "b", 3, {"m"}, "", "", {}, 2};
        for (const Assignment& one : Desired(world.state, name)) {
          RankReport report;
          report.key = one.key;
          report.phase = Phase::kEnded;
          sync.ranks.push_back(report);
        }
        world.Post(sync);
      }
    }
    for (const auto& [id, experiment] : world.state.experiments) {
      EXPECT_EQ(experiment.state, RunState::kSucceeded) << id;
    }
  }
}

// Three workers whose trainers do a second's work a round, keep what they did in checkpoints, and
// stop some rounds after they are asked to.
class Fleet {
 public:
  Fleet(World* world, std::mt19937_64* random) : world_(world), random_(random) {}

  void Round(bool faults) {
    world_->now += absl::Seconds(1);
    for (const std::string name : {"w0", "w1", "w2"}) {
      int& silent = silent_rounds_[name];
      if (faults && silent == 0 && (*random_)() % 60 == 0) silent = 12;
      if (silent > 0 && --silent > 0) continue;
      WorkerSync sync{name, "b", 3, {"m"}, "", "", {}, 2};
      for (const Assignment& one : Desired(world_->state, name))
        sync.ranks.push_back(Work(one, faults));
      world_->Post(sync);
    }
  }

 private:
  RankReport Work(const Assignment& assignment, bool faults) {
    RankReport report;
    report.key = assignment.key;
    report.phase = Phase::kRunning;
    const std::string job = assignment.key.experiment + assignment.key.job;
    int& left = seconds_left_.try_emplace(job, 1 + (*random_)() % 150).first->second;
    if (left > 0 && assignment.key.rank == 0 && !assignment.stop) --left;
    const auto end = [&](int32_t exit_code, const char* code) {
      report.phase = Phase::kEnded;
      report.exit_code = exit_code;
      report.error.code = code;
    };
    if (faults && (*random_)() % 200 == 0) {
      end(16, "PEER_LOST");
    } else if (assignment.stop && (assignment.kill || (*random_)() % 4 == 0)) {
      end(30, "TERMINATED");
    } else if (left == 0 && !assignment.stop) {
      end(0, "");
    }
    return report;
  }

  World* world_;
  std::mt19937_64* random_;
  std::map<std::string, int> seconds_left_;   // of a job's work
  std::map<std::string, int> silent_rounds_;  // of a worker
};

bool AllEnded(const State& state) {
  return std::all_of(state.experiments.begin(), state.experiments.end(),
                     [](const auto& one) { return IsTerminal(one.second.state); });
}

TEST(PropertyTest, EveryJobRunsToItsEndOnceTheFaultsStop) {
  int num_preempted = 0;
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    World world;
    world.state.quotas = RandomQuotas(&random, /*least=*/4);
    Fleet fleet(&world, &random);
    int created = 0;
    for (int round = 0; round < 400; ++round) {
      if (random() % 30 == 0) world.Post(RandomExperiment(&random, created++));
      if (random() % 20 == 0) {
        world.Post(RandomVerb(&random, "e" + std::to_string(random() % (created + 1))));
      }
      fleet.Round(/*faults=*/true);
      if (HasFatalFailure()) return;
    }
    for (const std::string worker : {"w0", "w1", "w2"}) world.Post(UncordonWorker{worker});
    for (int i = 0; i < created; ++i) world.Post(ResumeExperiment{"e" + std::to_string(i)});
    for (int round = 0; round < 5000 && !AllEnded(world.state); ++round) {
      fleet.Round(/*faults=*/false);
      if (HasFatalFailure()) return;
    }
    for (const auto& [id, experiment] : world.state.experiments) {
      EXPECT_TRUE(experiment.state == RunState::kSucceeded ||
                  experiment.state == RunState::kCancelled)
          << id << " is in state " << static_cast<int>(experiment.state);
    }
    num_preempted += world.num_preempted;
  }
  EXPECT_GT(num_preempted, 5) << "the histories show too little";
}

}  // namespace
}  // namespace jenner::coordinator
