// AgentTest: an agent with its threads, a coordinator of a script (fake_workers.h) and trainers of
// a script (fake_trainer.cc), in a folder of the test's own.
#ifndef JENNER_TESTS_INTEGRATION_AGENT_FIXTURE_H_
#define JENNER_TESTS_INTEGRATION_AGENT_FIXTURE_H_

#include <poll.h>
#include <signal.h>

#include <cstdlib>
#include <deque>
#include <filesystem>
#include <fstream>
#include <initializer_list>
#include <map>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/exit_code.h"
#include "tests/integration/fake_workers.h"
#include "tests/integration/process.h"
#include "tests/integration/temp_dir.h"
#include "worker/agent/agent.h"
#include "worker/agent/process.h"

namespace jenner::tests {

// Before gRPC is used: the agent forks to exec only.
inline const int kNoForkHandlers = setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);

inline constexpr char kTrainer[] = JENNER_BINARY_DIR "/bin/fake_trainer";
inline constexpr int kPatienceMs = 20'000;

inline int Code(core::ExitCode code) { return static_cast<int>(code); }

// Steps of a trainer's script.
inline Json Event(int seq, const std::string& kind, const Json& more = Json::object()) {
  Json event = {{"seq", seq}, {"kind", kind}};
  event.update(more);
  return {{"event", event}};
}
inline Json TrainStep(int seq, int step) { return Event(seq, "train_step", {{"step", step}}); }
inline Json Finished(int seq) { return Event(seq, "finished", {{"steps", 3}}); }
inline Json LogText(const std::string& text) { return {{"log", text}}; }
inline Json Await(const std::string& path) { return {{"await", path}}; }
inline Json Hang() { return {{"hang", true}}; }
inline Json IgnoreTerm() { return {{"on_term", Json::array()}}; }
inline Json ObeyTerm(int seq) {
  return {{"on_term",
           {TrainStep(seq, 9)["event"],
            Event(seq + 1, "failed", {{"code", "TERMINATED"}, {"message", "told to"}})["event"]}}};
}
inline Json Script(std::initializer_list<Json> steps) { return Json(std::vector<Json>(steps)); }

inline v1::RankKey Key(const std::string& job, int attempt = 1, int rank = 0) {
  v1::RankKey key;
  key.set_experiment("e");
  key.set_job(job);
  key.set_attempt(attempt);
  key.set_rank(rank);
  return key;
}

inline bool Ends(const agent::UniqueFd& pidfd, int limit_ms = kPatienceMs) {
  pollfd item{pidfd.get(), POLLIN, 0};
  return poll(&item, 1, limit_ms) == 1;
}

// An agent with its threads, as main.cc runs it; drained with its object.
class RunningAgent {
 public:
  explicit RunningAgent(std::unique_ptr<agent::Agent> agent) : agent_(std::move(agent)) {
    threads_.emplace_back([this] { agent_->Run(); });
    threads_.emplace_back([this] { agent_->RunTelemetry(); });
    threads_.emplace_back([this] { agent_->RunBlobs(); });
    threads_.emplace_back([this] { agent_->RunCheckpoints(); });
    threads_.emplace_back([this] { agent_->RunJudges(); });
  }
  ~RunningAgent() { Drain(); }
  void Drain() {
    agent_->Stop();
    for (std::thread& thread : threads_) thread.join();
    threads_.clear();
  }

 private:
  std::unique_ptr<agent::Agent> agent_;
  std::vector<std::thread> threads_;
};

class AgentTest : public ::testing::Test {
 protected:
  using State = FakeWorkers::State;

  void SetUp() override {
    std::filesystem::create_directories(Path("models/tiny"));
    std::ofstream(Path("models/tiny/config.json")) << "{}";
  }
  void TearDown() override {
    // Whatever became of the test: nothing stalls the agent's end, and no trainer outlives it.
    workers_.With([](State& state) {
      state.silent = false;
      state.away = false;
    });
    workers_.ReleaseAll();
    running_.reset();
    for (const agent::UniqueFd& pidfd : watched_) agent::SignalProcess(pidfd, SIGKILL);
    if (!HasFailure()) return;
    workers_.With([](State& state) {
      for (const auto& [name, rank] : state.ranks) {
        std::fprintf(stderr, "%s: %s\n%s\n", name.c_str(), rank.report.ShortDebugString().c_str(),
                     rank.log.c_str());
        for (const std::string& word : rank.story) std::fprintf(stderr, "  %s\n", word.c_str());
      }
    });
  }

  std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
  std::string Out(const std::string& job, const std::string& name) const {
    return Path("work/out/e/" + job + "/" + name);
  }
  static std::string AttemptFolder(const v1::RankKey& key) { return "work/attempts/" + Name(key); }
  bool Exists(const std::string& name) const { return std::filesystem::exists(Path(name)); }

  agent::AgentOptions Options() const {
    agent::AgentOptions options;
    options.server = workers_.address();
    options.name = "w1";
    options.models_dir = Path("models");
    options.work_dir = Path("work");
    options.trainer = kTrainer;
    options.slots = 4;
    options.stop_grace = absl::Seconds(1);
    options.drain_limit = absl::Seconds(5);
    return options;
  }
  void StartAgent(const agent::AgentOptions& options) {
    auto agent = agent::Agent::Create(options);
    ASSERT_TRUE(agent.ok()) << agent.status();
    running_ = std::make_unique<RunningAgent>(*std::move(agent));
  }
  void StartAgent() { StartAgent(Options()); }
  std::unique_ptr<Process> StartBinary(const std::string& name = "w1",
                                       const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = {
        "--server",   workers_.address(), "--name",    name,     "--models-dir", Path("models"),
        "--work-dir", Path("work"),       "--trainer", kTrainer, "--slots",      "4"};
    flags.insert(flags.end(), more.begin(), more.end());
    return std::make_unique<Process>("jenner-worker", flags);
  }

  std::string AddDataset(const std::string& bytes) {
    const std::string hash = core::Sha256Hex(bytes);
    workers_.With([&](State& state) { state.datasets[hash] = bytes; });
    return hash;
  }
  void Assign(const v1::RankKey& key, const Json& script, const std::string& dataset = "",
              const std::string& prompts = "", int world_size = 1) {
    Json job = {{"script", script}};
    if (!dataset.empty()) job["training"] = {{"dataset", "sha256:" + dataset}};
    if (!prompts.empty()) job["evaluation"] = {{"prompts", "sha256:" + prompts}};
    v1::Assignment assignment;
    *assignment.mutable_key() = key;
    assignment.set_world_size(world_size);
    assignment.set_job_spec_json(job.dump());
    workers_.With([&](State& state) { state.assignments[Name(key)] = assignment; });
  }
  void Unassign(const v1::RankKey& key) {
    workers_.With([&](State& state) { state.assignments.erase(Name(key)); });
  }
  void StopAssigned(const v1::RankKey& key) {
    workers_.With([&](State& state) { state.assignments[Name(key)].set_stop(true); });
  }
  void Open(const std::string& gate) const { std::ofstream(Path(gate)) << "open"; }

  bool AwaitStory(const v1::RankKey& key, const std::string& word) {
    return workers_.Await([&](const State& state) { return state.Of(key).Tells(word); });
  }
  bool AwaitLog(const v1::RankKey& key, const std::string& text) {
    return workers_.Await(
        [&](const State& state) { return state.Of(key).log.find(text) != std::string::npos; });
  }
  // The agent has forgotten the rank.
  bool AwaitGone(const v1::RankKey& key) {
    return workers_.Await([&](const State& state) { return !state.IsReported(key); });
  }
  v1::RankReport AwaitEnded(const v1::RankKey& key) {
    EXPECT_TRUE(AwaitStory(key, "ENDED")) << Name(key);
    return Of(key).report;
  }
  Received Of(const v1::RankKey& key) {
    return workers_.With([&](State& state) { return state.Of(key); });
  }
  // A pidfd of the rank's trainer, which lives; as the agent's own record names it.
  const agent::UniqueFd& Watch(const v1::RankKey& key) {
    agent::ProcessIdentity identity;
    EXPECT_TRUE(workers_.Await([&](const State&) {
      std::ifstream file(Path(AttemptFolder(key) + "/process"));
      return static_cast<bool>(file >> identity.pid >> identity.start_ticks >> identity.boot_id);
    }));
    auto pidfd = agent::OpenProcess(identity);
    EXPECT_TRUE(pidfd.ok()) << pidfd.status();
    watched_.push_back(pidfd.ok() ? *std::move(pidfd) : agent::UniqueFd());
    return watched_.back();
  }

  // A step that writes an artifact, and its event.
  std::vector<Json> ArtifactSteps(int seq, const v1::RankKey& key, const std::string& name,
                                  const std::string& text, int times) const {
    std::string bytes;
    for (int i = 0; i < times; ++i) bytes += text;
    const std::string path = Out(key.job(), name);
    return {{{"file", {path, text, times}}},
            Event(seq, "artifact",
                  {{"name", name},
                   {"path", path},
                   {"bytes", bytes.size()},
                   {"sha256", core::Sha256Hex(bytes)}})};
  }

  // The files of a checkpoint of `step`, its manifest last: name and content.
  static std::vector<std::pair<std::string, std::string>> CheckpointFiles(int step) {
    std::vector<std::pair<std::string, std::string>> files = {
        {"adapter/weights", absl::StrCat("weights of ", step)}, {"state.json", "{}"}};
    Json manifest = {{"version", 1}, {"files", Json::array()}};
    for (const auto& [name, text] : files) {
      manifest["files"].push_back(
          {{"name", name}, {"bytes", text.size()}, {"sha256", core::Sha256Hex(text)}});
    }
    files.emplace_back("manifest.json", manifest.dump());
    return files;
  }
  // Steps that write a checkpoint, and its event.
  std::vector<Json> CheckpointSteps(const v1::RankKey& key, int step) const {
    const std::string folder = Out(key.job(), absl::StrCat("checkpoints/step-", step));
    std::vector<Json> steps;
    for (const auto& [name, text] : CheckpointFiles(step)) {
      steps.push_back({{"file", {folder + "/" + name, text, 1}}});
    }
    steps.push_back(Event(100 + step, "checkpoint", {{"step", step}, {"path", folder}}));
    return steps;
  }
  // Assigns a rank, with a checkpoint that the coordinator has.
  void AssignWithCheckpoint(const v1::RankKey& key, const Json& script, int step) {
    v1::Assignment assignment;
    *assignment.mutable_key() = key;
    assignment.set_world_size(1);
    assignment.set_job_spec_json(Json{{"script", script}}.dump());
    workers_.With([&](State& state) {
      v1::Checkpoint* checkpoint = assignment.mutable_checkpoint();
      checkpoint->set_step(step);
      for (const auto& [name, text] : CheckpointFiles(step)) {
        v1::ArtifactReport* file = checkpoint->add_files();
        file->set_path(name);
        file->set_sha256(core::Sha256Hex(text));
        file->set_size_bytes(static_cast<int64_t>(text.size()));
        state.datasets[core::Sha256Hex(text)] = text;
      }
      state.assignments[Name(key)] = assignment;
    });
  }
  // Assigns a rank whose job begins with these files (name and content), which the coordinator has.
  void AssignWithInitial(const v1::RankKey& key, const Json& script,
                         const std::map<std::string, std::string>& files) {
    v1::Assignment assignment;
    *assignment.mutable_key() = key;
    assignment.set_world_size(1);
    assignment.set_job_spec_json(Json{{"script", script}}.dump());
    workers_.With([&](State& state) {
      for (const auto& [name, text] : files) {
        v1::ArtifactReport* file = assignment.add_initial();
        file->set_path(name);
        file->set_sha256(core::Sha256Hex(text));
        file->set_size_bytes(static_cast<int64_t>(text.size()));
        state.datasets[core::Sha256Hex(text)] = text;
      }
      state.assignments[Name(key)] = assignment;
    });
  }
  // What the rank's trainer logs of a file of its initial/.
  static Json CatInitial(const v1::RankKey& key, const std::string& name) {
    return {{"cat", absl::StrCat("../out/e/", key.job(), "/initial/", name)}};
  }
  int NumDownloads() {
    return workers_.With([](State& state) { return state.downloads.num_calls; });
  }
  // What the rank's trainer logs of a file of a checkpoint below its output folder.
  static Json CatCheckpoint(const v1::RankKey& key, int step, const std::string& name) {
    return {{"cat", absl::StrCat("../out/e/", key.job(), "/checkpoints/step-", step, "/", name)}};
  }
  bool AwaitCheckpoint(const v1::RankKey& key, int step) {
    return workers_.Await(
        [&](const State& state) { return state.Of(key).report.checkpoint().step() == step; });
  }

  TempDir dir_;
  FakeWorkers workers_;
  std::unique_ptr<RunningAgent> running_;
  std::deque<agent::UniqueFd> watched_;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_AGENT_FIXTURE_H_
