// Random histories: whatever the workers and users do, no slot is held twice, gangs are whole,
// attempts only grow, terminal states stay, and the fold of the events is the live state.
#include <gtest/gtest.h>

#include <cstdlib>
#include <random>

#include "core/sha256.h"
#include "server/coordinator/decide.h"

namespace jenner::coordinator {
namespace {

constexpr absl::Duration kShortLease = absl::Seconds(5);

struct World {
  State state;
  State replayed;
  absl::Time now = absl::FromUnixSeconds(1000);
  std::map<std::string, std::string> boots;

  void Commit(const std::vector<Event>& events) {
    for (const Event& event : events) {
      const State before = state;
      Apply(event, &state);
      Apply(event, &replayed);
      CheckInvariants(state);
      CheckStep(before);
    }
    ASSERT_TRUE(replayed.SameDurable(state));
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
        ASSERT_LE(SlotsUsed(state, name), 3);
      }
    }
  }

  void Post(const Command& command) {
    Observe(command, now, kShortLease, &state);
    const auto events = Decide(state, command, now);
    if (events.ok()) Commit(*events);
    for (int round = 0; round < 50; ++round) {
      Observe(Tick{}, now, kShortLease, &state);
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
  for (uint64_t i = 0; i <= (*random)() % 3; ++i) {
    const std::string name = "a" + std::to_string(i);
    create.spec.contexts[name].user_suffix = name;
    create.spec.arms.push_back({name, name});
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
  sync.models = {"m"};
  for (const Assignment& one : Desired(world.state, name)) {
    if ((*random)() % 16 == 0) continue;  // forgotten
    RankReport report;
    report.key = one.key;
    report.phase = Phase::kRunning;
    if (one.key.rank == 0) report.store_address = "a:1";
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

TEST(PropertyTest, RandomHistories) {
  const char* given = std::getenv("JENNER_SEED");
  const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
  const uint64_t count = given != nullptr ? 1 : 40;
  int terminal = 0;
  for (uint64_t seed = first; seed < first + count; ++seed) {
    SCOPED_TRACE("JENNER_SEED=" + std::to_string(seed));
    std::mt19937_64 random(seed);
    World world;
    int created = 0;
    for (int step = 0; step < 150; ++step) {
      world.now += absl::Milliseconds(random() % 1500);
      const std::string name = "w" + std::to_string(random() % 3);
      std::string& boot = world.boots[name];
      if (boot.empty() || random() % 25 == 0) boot = "b" + std::to_string(random());
      const std::string some = "e" + std::to_string(random() % (created + 1));
      switch (random() % 12) {
        case 0:
          world.Post(RandomExperiment(&random, created++));
          break;
        case 1:
          world.Post(CancelExperiment{some});
          break;
        case 2:
          world.Post(DeleteExperiment{some});
          break;
        case 3:
          world.Post(Tick{});
          break;
        case 4:
          world.state.liveness = {};
          break;  // the coordinator restarted
        default:
          world.Post(RandomSync(&random, world, name, boot));
      }
      if (HasFatalFailure()) return;
    }
    for (const auto& [id, experiment] : world.state.experiments)
      terminal += IsTerminal(experiment.state) ? 1 : 0;
  }
  if (count > 1) {
    EXPECT_GT(terminal, 20) << "the histories end too few experiments to show anything";
  }
}

TEST(PropertyTest, EveryExperimentEndsWhenWorkersDoTheirWork) {
  for (uint64_t seed = 1; seed <= 20; ++seed) {
    SCOPED_TRACE(seed);
    std::mt19937_64 random(seed);
    World world;
    for (int i = 0; i < 5; ++i) world.Post(RandomExperiment(&random, i));
    for (int round = 0; round < 200; ++round) {
      world.now += absl::Seconds(1);
      for (const std::string name : {"w0", "w1"}) {
        WorkerSync sync{name, "b", 3, {"m"}, "", "", {}};
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

}  // namespace
}  // namespace jenner::coordinator
