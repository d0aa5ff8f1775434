// Replays the scripts of testdata/*.txt: each block is a command, "----", and what the cluster then
// looks like. JENNER_REWRITE=1 writes what was seen back; commit only a difference that you can
// explain.
//   submit ID arms=N ranks=N [model=M] [request=R] [priority=P] [owner=O] [device=cuda]
//   [after=I,J,...: the arm that each arm goes on from, "-" for none]
//   worker-up NAME slots=N [gpus=N] [models=a,b] [boot=B] [only=JOB: reserved for it]
//   quota [OWNER] [slots=N] [jobs=N] [experiments=N] (without OWNER: of all others)
//   report NAME JOB rank=N phase=P [exit=N] [code=C] [store=A] [step=N] [of=N] [attempt=N]
//   [resumed=STEP] [checkpoint=STEP] [artifact=TEXT]   silent NAME   tick SECONDS
//   sync NAME [boot=B] [has=EXPERIMENT, whose ranks it still has]
//   cancel ID   delete ID   desired NAME   restart (state rebuilt from events alone)
//   restore (as restart, from a backup)
//   kill ID   pause ID   resume ID   cordon NAME   drain NAME   uncordon NAME
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_split.h"
#include "core/check.h"
#include "core/sha256.h"
#include "server/coordinator/decide.h"
#include "server/coordinator/pending.h"
#include "server/coordinator/restore.h"

namespace jenner::coordinator {
namespace {

constexpr const char* kStates[] = {"queued",     "running",   "pausing", "paused",
                                   "cancelling", "succeeded", "failed",  "cancelled"};

class Cluster {
 public:
  std::string Run(const std::string& line) {
    std::vector<std::string> words = absl::StrSplit(line, ' ', absl::SkipEmpty());
    args_.clear();
    for (size_t i = 1; i < words.size(); ++i) {
      const size_t equals = words[i].find('=');
      if (equals != std::string::npos)
        args_[words[i].substr(0, equals)] = words[i].substr(equals + 1);
    }
    const std::string verb = words[0];
    const std::string who = words.size() > 1 ? words[1] : "";
    if (verb == "silent") return alive_.erase(who) > 0 ? "" : "no such worker\n";
    if (verb == "desired") return ShowDesired(who);
    std::string said = "unknown verb: " + verb + "\n";
    if (verb == "submit") said = Submit(who);
    if (verb == "worker-up") said = WorkerUp(who);
    if (verb == "report") said = Report(who, words.at(2));
    if (verb == "sync") said = Sync(who);
    if (verb == "tick") said = Wait(who);
    if (verb == "cancel") said = Post(CancelExperiment{who});
    if (verb == "kill") said = Post(CancelExperiment{who, true});
    if (verb == "pause") said = Post(PauseExperiment{who});
    if (verb == "resume") said = Post(ResumeExperiment{who});
    if (verb == "cordon") said = Post(CordonWorker{who, Cordon::kCordoned});
    if (verb == "drain") said = Post(CordonWorker{who, Cordon::kDraining});
    if (verb == "uncordon") said = Post(UncordonWorker{who});
    if (verb == "delete") said = Post(DeleteExperiment{who});
    if (verb == "restart") said = Restart();
    if (verb == "restore") said = RestoreBackup();
    if (verb == "quota") said = SetQuota(who);
    return said + Show();
  }

 private:
  std::string Arg(const std::string& key, const std::string& otherwise) {
    const auto found = args_.find(key);
    return found == args_.end() ? otherwise : found->second;
  }
  int32_t Number(const std::string& key, int32_t otherwise) {
    int32_t value = otherwise;
    JENNER_CHECK(absl::SimpleAtoi(Arg(key, std::to_string(otherwise)), &value));
    return value;
  }

  std::string Commit(const absl::StatusOr<std::vector<Event>>& events) {
    if (!events.ok()) return absl::StrFormat("refused: %s\n", events.status().ToString());
    for (const Event& event : *events) {
      log_.push_back(event);
      Apply(event, &state_);
      CheckInvariants(state_);
    }
    return "";
  }

  std::string Post(const Command& command) {
    Observe(command, now_, kLease + kLeaseGrace, &state_);
    std::string said = Commit(Decide(state_, command, now_));
    for (int round = 0;; ++round) {
      JENNER_CHECK(round < 100);
      Observe(Tick{}, now_, kLease + kLeaseGrace, &state_);
      const auto events = Decide(state_, Tick{}, now_);
      JENNER_CHECK(events.ok());
      if (events->empty()) break;
      said += Commit(events);
    }
    State replayed;
    for (const Event& event : log_) Apply(event, &replayed);
    EXPECT_TRUE(replayed.SameDurable(state_)) << "fold(events) differs from the live state";
    return said;
  }

  std::string Submit(const std::string& id) {
    CreateExperiment create;
    create.id = id;
    create.request_id = Arg("request", "");
    core::ExperimentSpec& spec = create.spec;
    spec.base_model = Arg("model", "m");
    spec.dataset = "sha256:" + core::Sha256Hex("data");
    spec.contexts["c"] = {};
    spec.ranks = Number("ranks", 1);
    spec.priority = Number("priority", 50);
    if (Arg("device", "cpu") == "cuda") spec.device = core::Device::kCuda;
    create.owner = Arg("owner", kDefaultOwner);
    for (int i = 0; i < Number("arms", 1); ++i) {
      const std::string name = absl::StrFormat("a%d", i);
      spec.contexts[name].user_prefix = name;
      spec.arms.push_back({name, name});
    }
    size_t arm = 0;
    for (const auto& before : absl::StrSplit(Arg("after", "-"), ',')) {
      if (before != "-") spec.arms.at(arm).after = absl::StrCat("a", before);
      ++arm;
    }
    spec.evaluation.prompts = spec.dataset;
    spec.evaluation.at = {1};
    spec = core::Resolve(spec);
    create.fingerprint = absl::StrFormat("%s %d %d", id, spec.arms.size(), spec.ranks);
    return Post(create);
  }

  std::string WorkerUp(const std::string& name) {
    WorkerSync sync;
    sync.worker = name;
    sync.boot_id = Arg("boot", "boot-" + name);
    sync.slots = Number("slots", 1);
    sync.gpus = Number("gpus", 0);
    sync.models = absl::StrSplit(Arg("models", "m"), ',', absl::SkipEmpty());
    if (const std::string only = Arg("only", ""); !only.empty()) {
      sync.only_job = absl::StrCat(only.substr(0, only.find('/')), "/", JobAt(only).plan.id);
    }
    const std::string said = Post(sync);
    if (said.find("refused") == std::string::npos) alive_[name] = sync;
    return said;
  }

  std::string Sync(const std::string& name) {
    WorkerSync sync = alive_[name];
    sync.boot_id = Arg("boot", sync.boot_id);
    for (const Assignment& one : Desired(state_, name)) {
      if (one.key.experiment == Arg("has", "")) sync.ranks.push_back(Running(one));
    }
    const std::string said = Post(sync);
    sync.ranks.clear();
    if (said.find("refused") == std::string::npos) alive_[name] = sync;
    return said;
  }

  static RankReport Running(const Assignment& assignment) {
    RankReport report;
    report.key = assignment.key;
    report.phase = Phase::kRunning;
    return report;
  }

  // JOB is "experiment/index".
  const Job& JobAt(const std::string& name) {
    const std::vector<std::string> parts = absl::StrSplit(name, '/');
    return state_.experiments.at(parts.at(0)).jobs.at(static_cast<size_t>(std::stoi(parts.at(1))));
  }

  std::string Report(const std::string& worker, const std::string& name) {
    const Job& job = JobAt(name);
    WorkerSync sync = alive_[worker];
    RankReport report;
    report.key = {name.substr(0, name.find('/')), job.plan.id, Number("attempt", job.attempt),
                  Number("rank", 0)};
    const std::string phase = Arg("phase", "running");
    report.phase = phase == "ended" ? Phase::kEnded : Phase::kRunning;
    report.exit_code = Number("exit", 0);
    report.error = {Arg("code", ""), "said by the trainer", ""};
    if (report.error.code.empty()) report.error = {};
    report.store_address = Arg("store", "");
    report.step = Number("step", 0);
    report.total_steps = Number("of", 0);
    report.resumed_step = Number("resumed", 0);
    report.checkpoint_step = Number("checkpoint", 0);
    if (report.checkpoint_step > 0) {
      report.checkpoint_files = {{"state.json", core::Sha256Hex(Arg("checkpoint", "")), 1}};
    }
    if (const std::string text = Arg("artifact", ""); !text.empty()) {
      report.artifacts = {{"adapter/" + text, core::Sha256Hex(text), 1}};
    }
    // The other ranks that this worker has go on as they are.
    for (const Assignment& other : Desired(state_, worker)) {
      if (other.key != report.key) sync.ranks.push_back(Running(other));
    }
    sync.ranks.push_back(report);
    return Post(sync);
  }

  // Time passes second by second; every worker that is not silent goes on calling.
  std::string Wait(const std::string& seconds) {
    std::string said;
    for (int i = 0; i < std::stoi(seconds); ++i) {
      now_ += absl::Seconds(1);
      for (const auto& [name, sync] : alive_) {
        WorkerSync again = sync;
        for (const Assignment& one : Desired(state_, name)) again.ranks.push_back(Running(one));
        said += Post(again);
      }
      said += Post(Tick{});
    }
    return said;
  }

  // As if the server had started with it.
  std::string SetQuota(const std::string& owner) {
    Quota quota;
    for (const auto& [field, limit] :
         {std::pair("slots", &quota.slots), std::pair("jobs", &quota.jobs),
          std::pair("experiments", &quota.experiments)}) {
      if (args_.count(field) > 0) *limit = Number(field, 0);
    }
    const bool is_named = !owner.empty() && owner.find('=') == std::string::npos;
    (is_named ? state_.quotas.owners[owner] : state_.quotas.otherwise) = quota;
    return Post(Tick{});
  }

  std::string Restart() {
    State fresh;
    fresh.quotas = state_.quotas;
    state_ = fresh;
    for (const Event& event : log_) Apply(event, &state_);
    return Post(Tick{});
  }

  // From a backup of now: agents are those of before, and do not know.
  std::string RestoreBackup() {
    const std::string said = Commit(coordinator::Restore(state_, now_));
    return said + Restart();
  }

  std::string ShowDesired(const std::string& worker) {
    std::string out;
    for (const Assignment& one : Desired(state_, worker)) {
      const int32_t step = one.checkpoint == nullptr ? 0 : one.checkpoint->step;
      std::string initial;
      for (size_t i = 0; one.initial != nullptr && i < one.initial->size(); ++i)
        initial += " initial=" + (*one.initial)[i].path;
      out += absl::StrFormat("%s attempt=%d rank=%d/%d%s%s%s%s\n", one.key.experiment,
                             one.key.attempt, one.key.rank, one.world_size, initial,
                             step > 0 ? absl::StrFormat(" checkpoint=%d", step) : "",
                             one.store_address.empty() ? "" : " store=" + one.store_address,
                             one.stop ? (one.kill       ? " kill"
                                         : one.is_final ? " stop for good"
                                                        : " stop")
                                      : "");
    }
    return out.empty() ? "nothing\n" : out;
  }

  std::string Show() {
    std::string out;
    for (const auto& [id, experiment] : state_.experiments) {
      out += absl::StrFormat("%s %s%s\n", id, kStates[static_cast<int>(experiment.state)],
                             experiment.reason.code.empty() ? "" : " " + experiment.reason.code);
      for (size_t i = 0; i < experiment.jobs.size(); ++i) out += ShowJob(id, i, experiment.jobs[i]);
    }
    return out;
  }

  std::string ShowJob(const std::string& id, size_t index, const Job& job) {
    std::string out = absl::StrFormat("  %s/%d %s attempt=%d", id, index,
                                      kStates[static_cast<int>(job.state)], job.attempt);
    if (job.attempts_counted > 0) out += absl::StrFormat(" counted=%d", job.attempts_counted);
    if (job.interruptions > 0) out += absl::StrFormat(" interrupted=%d", job.interruptions);
    for (const Rank& rank : job.ranks) {
      out += " " + rank.worker + (rank.ended ? absl::StrFormat("(%d)", rank.exit_code) : "");
    }
    if (job.stop != StopCause::kNone) out += " stopping";
    if (job.total_steps > 0) {
      out += absl::StrFormat(" step %d/%d", StepOf(state_, id, job), job.total_steps);
    }
    if (job.resumed_step > 0) out += absl::StrFormat(" from %d", job.resumed_step);
    if (job.checkpoint.step > 0) {
      out += absl::StrFormat(" checkpoint %d of attempt %d", job.checkpoint.step,
                             job.checkpoint.attempt);
    }
    Reason reason = job.reason;
    if (job.state == RunState::kQueued) {
      PendingReasons pending(state_, now_);
      const int32_t position = pending.PositionOf(job);
      if (position > 0) out += absl::StrFormat(" #%d", position);
      reason = pending.ReasonOf(state_.experiments.at(id), job);
    }
    if (!reason.code.empty())
      out += absl::StrFormat(" %s [%s]: %s", reason.code, reason.blame, reason.message);
    return out + "\n";
  }

  State state_;
  std::vector<Event> log_;
  absl::Time now_ = absl::FromUnixSeconds(1'000'000);
  std::map<std::string, WorkerSync> alive_;
  std::map<std::string, std::string> args_;
};

std::string Replay(const std::string& script) {
  Cluster cluster;
  std::string out;
  std::istringstream lines(script);
  std::string line;
  bool in_expected = false;
  while (std::getline(lines, line)) {
    if (line.empty()) in_expected = false;
    if (in_expected) continue;
    if (line.empty() || line[0] == '#') {
      out += line + "\n";
    } else if (line == "----") {
      in_expected = true;
    } else {
      out += line + "\n----\n" + cluster.Run(line);
    }
  }
  return out;
}

// A log may have been written by a version that named jobs otherwise.
TEST(ScenarioTest, WhatAJobGoesOnFromIsNamedAsInTheLog) {
  ExperimentCreated created;
  created.id = "e";
  core::ExperimentSpec& spec = created.spec;
  spec.base_model = "m";
  spec.contexts["c"] = {};
  spec.arms = {{"second", "c"}, {"first", "c"}};
  spec.arms[0].after = "first";
  spec.evaluation.at = {1};
  created.job_ids = {"jone", "jtwo"};
  State state;
  Apply({absl::UnixEpoch(), created}, &state);
  CheckInvariants(state);
  const std::vector<Job>& jobs = state.experiments.at("e").jobs;
  ASSERT_EQ(jobs.size(), 2U);
  EXPECT_EQ(jobs[1].plan.after, 0U);
  EXPECT_EQ(jobs[1].plan.spec.training->after, "jone");
  EXPECT_EQ(jobs[0].successors, std::vector<size_t>{1});
  ASSERT_EQ(jobs[1].plan.arms.size(), 1U);
  EXPECT_EQ(jobs[1].plan.arms[0].arm, "second") << "the one that it goes on from is made first";
}

TEST(ScenarioTest, TranscriptsAreAsWritten) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::directory_iterator(JENNER_SOURCE_DIR "/server/coordinator/testdata")) {
    SCOPED_TRACE(entry.path().filename());
    std::ifstream file(entry.path());
    std::stringstream text;
    text << file.rdbuf();
    const std::string seen = Replay(text.str());
    if (std::getenv("JENNER_REWRITE") != nullptr) {
      std::ofstream(entry.path()) << seen;
    } else {
      EXPECT_EQ(seen, text.str());
    }
    ++count;
  }
  EXPECT_GE(count, 6);
}

}  // namespace
}  // namespace jenner::coordinator
