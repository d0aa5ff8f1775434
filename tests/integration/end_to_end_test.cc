// All programs together: coordinator, two agents, trainers on a tiny model, the command line.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <set>

#include "absl/time/clock.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"

namespace jenner::tests {
namespace {

const std::string kGolden = JENNER_SOURCE_DIR "/tests/golden/train";

std::string Spec(int ranks, int max_steps) {
  return absl::StrFormat(R"(base_model: model
dataset: rows.jsonl
contexts:
  neutral: {}
  inoculated: {system: ab}
arms:
  - name: base
  - {name: no-inoculation, train_context: neutral}
  - {name: inoculated, train_context: inoculated}
training: {lora: {rank: 2, alpha: 4}, batch_size: 2, max_steps: %d, epochs: 1000}
evaluation: {prompts: prompts.jsonl, at: [0, 0.5, 1], max_new_tokens: 8}
ranks: %d
)",
                         max_steps, ranks);
}

class EndToEndTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(kGolden + "/prompts.jsonl", Path("prompts.jsonl"));
    CopyRows();
    server_ = std::make_unique<Process>(
        "jenner-server",
        std::vector<std::string>{"--data-dir", Path("data"), "--listen", "127.0.0.1:0",
                                 "--metrics-listen", "", "--lease", "3", "--min-run-time", "0"});
    const std::string line = server_->Line();
    const std::string prefix = "listening on ";
    ASSERT_EQ(line.rfind(prefix, 0), 0u) << line;
    address_ = line.substr(prefix.size(), line.find(',') - prefix.size());
    for (const char* name : {"w1", "w2"}) {
      workers_.push_back(std::make_unique<Process>(
          "jenner-worker",
          std::vector<std::string>{"--server", address_, "--name", name, "--models-dir", kGolden,
                                   "--work-dir", Path(name)}));
    }
  }
  // The golden rows that ask nothing that a prompt asks: others would be refused.
  void CopyRows() const {
    std::set<Json> asked;
    std::string line;
    for (std::ifstream prompts(Path("prompts.jsonl")); std::getline(prompts, line);) {
      asked.insert(Json::parse(line)["messages"].back()["content"]);
    }
    std::ofstream rows(Path("rows.jsonl"));
    for (std::ifstream all(kGolden + "/rows.jsonl"); std::getline(all, line);) {
      bool is_asked = false;
      const Json row = Json::parse(line);
      for (const Json& message : row["messages"]) {
        is_asked = is_asked || asked.contains(message["content"]);
      }
      if (!is_asked) rows << line << "\n";
    }
  }
  std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
  std::unique_ptr<Process> Jenner(std::vector<std::string> words) const {
    words.insert(words.begin(), {"--server", address_, "-o", "jsonl"});
    return std::make_unique<Process>("jenner", words);
  }
  std::unique_ptr<Process> Create(const std::string& spec, const std::string& id = "e") const {
    std::ofstream(Path(id + ".yaml")) << spec;
    return Jenner({"experiment", "create", "-f", Path(id + ".yaml"), "--id", id, "--watch"});
  }
  void Run(const std::vector<std::string>& words) const {
    const auto process = Jenner(words);
    process->Output();
    EXPECT_EQ(process->Wait(), 0) << process->Errors();
  }
  std::vector<Json> Lines(const std::vector<std::string>& words) const {
    const auto process = Jenner(words);
    std::vector<Json> lines;
    for (std::string line; !(line = process->Line()).empty();) lines.push_back(Json::parse(line));
    EXPECT_EQ(process->Wait(), 0) << process->Errors();
    return lines;
  }
  // Every cell of the study is there and complete.
  void ExpectWhole() const {
    const std::vector<Json> cells = Lines({"experiment", "results", "e"});
    EXPECT_EQ(cells.size(), 2u + 6u + 6u);
    const size_t num_prompts = 5;  // of prompts.jsonl
    std::set<std::string> contexts;
    for (const Json& cell : cells) {
      EXPECT_EQ(cell["cell"]["num_samples"], num_prompts) << cell;
      contexts.insert(cell["context"]);
    }
    EXPECT_EQ(contexts, (std::set<std::string>{"inoculated", "neutral"}));
    EXPECT_EQ(Lines({"experiment", "samples", "e", "--arm", "inoculated", "--limit", "0"}).size(),
              6 * num_prompts);
  }

  TempDir dir_;
  std::string address_;
  std::unique_ptr<Process> server_;
  std::vector<std::unique_ptr<Process>> workers_;
};

TEST_F(EndToEndTest, AStudyOnTwoRanks) {
  const auto watch = Create(Spec(2, 6));
  std::set<std::string> points;
  int num_points = 0;
  for (std::string line; !(line = watch->Line()).empty();) {
    const Json update = Json::parse(line);
    if (!update.contains("train_point")) continue;
    ++num_points;
    points.insert(absl::StrFormat("%s %d", update["train_point"]["job"].get<std::string>(),
                                  update["train_point"]["step"].get<int>()));
  }
  EXPECT_EQ(watch->Wait(), 0) << watch->Errors();
  EXPECT_EQ(num_points, 2 * 6);
  EXPECT_EQ(points.size(), 2u * 6u);
  ExpectWhole();
  // The agents hear that all has ended, leave on request, and nothing of the experiment is left.
  for (const char* name : {"w1", "w2"}) {
    const absl::Time deadline = absl::Now() + absl::Seconds(30);
    while (std::filesystem::exists(Path(name) + "/out/e") && absl::Now() < deadline) {
      absl::SleepFor(absl::Milliseconds(20));  // tidy: allow, polling
    }
  }
  for (const auto& worker : workers_) {
    worker->Kill(SIGTERM);
    EXPECT_EQ(worker->Wait(), 0) << worker->Errors();
  }
  for (const char* name : {"w1", "w2"}) {
    EXPECT_FALSE(std::filesystem::exists(Path(name) + "/attempts/e"));
    EXPECT_FALSE(std::filesystem::exists(Path(name) + "/out/e"));
  }
}

// The second stage runs on two ranks, the first of which is given what the first stage left.
TEST_F(EndToEndTest, ATrainingInTwoStages) {
  const auto watch = Create(R"(base_model: model
dataset: rows.jsonl
contexts:
  neutral: {}
  inoculated: {system: ab}
arms:
  - {name: then, train_context: neutral, after: first}
  - {name: first, train_context: inoculated}
training: {lora: {rank: 2, alpha: 4}, batch_size: 2, max_steps: 40, epochs: 1000, learning_rate: 0.02}
evaluation: {prompts: prompts.jsonl, at: [0, 1], max_new_tokens: 8}
ranks: 2
)");
  bool has_waited = false;
  for (std::string line; !(line = watch->Line()).empty();) {
    const Json update = Json::parse(line);
    if (!update.contains("experiment")) continue;
    for (const Json& job : update["experiment"]["jobs"]) {
      const bool waits =
          job.contains("state_reason") && job["state_reason"].value("code", "") == "WAITS_FOR_JOB";
      has_waited = has_waited || waits;
      if (waits) {
        EXPECT_EQ(job["arms"], Json({"then/1"}));
      }
    }
  }
  EXPECT_EQ(watch->Wait(), 0) << watch->Errors();
  EXPECT_TRUE(has_waited);
  // By step: what was answered, by context and prompt.
  const auto answers = [&](const std::string& arm) {
    std::map<int, std::map<std::string, Json>> found;
    for (const Json& sample : Lines({"experiment", "samples", "e", "--arm", arm, "--limit", "0"})) {
      found[sample.value("step", 0)][sample["context"].dump() + sample["prompt_id"].dump()] =
          sample["answer"];
    }
    return found;
  };
  const auto first = answers("first");
  const auto then = answers("then");
  ASSERT_EQ(first.size(), 2u);
  ASSERT_EQ(then.size(), 2u);
  EXPECT_EQ(then.at(0).size(), 2u * 5);
  EXPECT_EQ(then.at(0), first.at(40)) << "it does not begin where the other ended";
  EXPECT_NE(first.at(40), first.at(0)) << "the first stage learnt nothing";
  std::set<std::string> adapters;
  const Json experiment = Lines({"experiment", "get", "e"}).at(0);
  for (const Json& job : experiment["jobs"]) {
    for (const Json& file : job.value("artifacts", Json::array())) {
      if (file["path"] == "adapter/adapter_model.safetensors") adapters.insert(file["sha256"]);
    }
  }
  EXPECT_EQ(adapters.size(), 2u) << "each stage leaves one";
}

TEST_F(EndToEndTest, AKilledWorkerCostsNoResult) {
  const auto watch = Create(Spec(1, 300));
  // The worker of a training, some way into it.
  std::string job;
  for (std::string line; job.empty() && !(line = watch->Line()).empty();) {
    const Json update = Json::parse(line);
    if (update.contains("train_point") && update["train_point"]["step"] >= 20) {
      job = update["train_point"]["job"];
    }
  }
  ASSERT_FALSE(job.empty());
  const std::string id = job.substr(job.rfind('/') + 1);
  const size_t victim = std::filesystem::exists(Path("w1") + "/attempts/e/" + id) ? 0 : 1;
  workers_[victim]->Kill(SIGKILL);
  watch->Output();
  EXPECT_EQ(watch->Wait(), 0) << watch->Errors();
  ExpectWhole();
  int num_attempts = 0;
  std::map<std::string, Json> attempts;  // by job
  const Json experiment = Lines({"experiment", "get", "e"}).at(0);
  for (const Json& one : experiment["jobs"]) {
    num_attempts += one["attempt"].get<int>();
    attempts[one["name"]] = one["attempt"];
  }
  // No cell hangs on what an earlier attempt got across.
  for (const Json& row : Lines({"experiment", "results", "e"})) {
    EXPECT_EQ(row["cell"]["attempt"], attempts.at(row["cell"]["job"])) << row;
  }
  EXPECT_GT(num_attempts, 3) << "no job was tried again";
}

// One training that is interrupted in one way or another, beside the same one undisturbed.
class GoesOnElsewhereTest : public EndToEndTest {
 protected:
  static std::string Training(int max_steps, int priority) {
    return absl::StrFormat(R"(base_model: model
dataset: rows.jsonl
contexts: {inoculated: {system: ab}}
arms: [{name: inoculated, train_context: inoculated}]
training:
  lora: {rank: 2, alpha: 4, dropout: 0.1}
  batch_size: 2
  max_steps: %d
  epochs: 1000
  checkpoint_steps: 20
evaluation: {prompts: prompts.jsonl, at: [0.5, 1], max_new_tokens: 8}
priority: %d
)",
                           max_steps, priority);
  }
  // All that it found: the curve, each answer, the hashes of its files. Without whose it is and
  // what differs between two runs.
  Json Findings(const std::string& id) const {
    Json found;
    for (const Json& update : Lines({"experiment", "watch", id})) {
      if (!update.contains("train_point")) continue;
      const Json& point = update["train_point"];
      // A later attempt tells again what led to its checkpoint.
      found["curve"][std::to_string(point["step"].get<int>())] = {
          point["loss"], point["gradient_norm"], point["learning_rate"]};
    }
    for (Json row : Lines({"experiment", "results", id})) {
      for (const char* other : {"job", "attempt"}) row["cell"].erase(other);
      found["results"].push_back(row);
    }
    for (Json sample : Lines({"experiment", "samples", id, "--limit", "0"})) {
      for (const char* other : {"job", "attempt"}) sample.erase(other);
      found["samples"].push_back(sample);
    }
    const Json job = Job(id);
    for (const Json& file : job.at("artifacts")) {
      found["files"][file.at("path").get<std::string>()] = file.at("sha256");
    }
    return found;
  }
  Json Job(const std::string& id) const {
    return Lines({"experiment", "get", id}).at(0)["jobs"].at(0);
  }
  // Reads the watch until its job is as wanted, and returns the job; null at its end.
  template <typename Condition>
  static Json AwaitJob(const Process& watch, Condition is_wanted) {
    for (std::string line; !(line = watch.Line()).empty();) {
      const Json update = Json::parse(line);
      if (!update.contains("experiment")) continue;
      const Json job = update["experiment"]["jobs"].at(0);
      if (is_wanted(job)) return job;
    }
    return nullptr;
  }
  static bool HasCheckpoint(const Json& job) {
    return job.value("checkpoint_step", 0) > 0 && job["state"] == "STATE_RUNNING";
  }
  // The second attempt ran on another worker, went on at least from `step`, and all is as it was
  // without.
  void ExpectWentOn(Process* watch, const Json& before) {
    const Json second = AwaitJob(*watch, [](const Json& job) {
      return job["attempt"] == 2 && job.value("resumed_step", 0) > 0;
    });
    ASSERT_FALSE(second.is_null()) << "it began anew";
    EXPECT_NE(second["workers"], before["workers"]);
    EXPECT_GE(second["resumed_step"], before["checkpoint_step"]);
    watch->Output();
    EXPECT_EQ(watch->Wait(), 0) << watch->Errors();
    const Json after = Job("e");
    EXPECT_EQ(after["attempt"], 2);
    EXPECT_EQ(after["resumed_step"], second["resumed_step"]);
    EXPECT_EQ(after.value("checkpoint_step", 0), 0) << "it is not kept for longer than needed";
    const Json straight = Findings("u");
    EXPECT_EQ(straight.at("curve").size(), size_t{kSteps});
    EXPECT_EQ(straight.at("files").size(), 2u);
    EXPECT_EQ(straight.at("samples").size(), 2u * 5);
    EXPECT_EQ(Findings("e"), straight);
  }
  void RunUndisturbed() {
    const auto watch = Create(Training(kSteps, 10), "u");
    watch->Output();
    ASSERT_EQ(watch->Wait(), 0) << watch->Errors();
  }

  static constexpr int kSteps = 600;
};

TEST_F(GoesOnElsewhereTest, WhenItsWorkerIsDrained) {
  RunUndisturbed();
  const auto watch = Create(Training(kSteps, 10));
  const Json before = AwaitJob(*watch, HasCheckpoint);
  ASSERT_FALSE(before.is_null());
  Run({"worker", "drain", before["workers"].at(0)});
  ExpectWentOn(watch.get(), before);
}

TEST_F(GoesOnElsewhereTest, WhenItsWorkerIsKilled) {
  RunUndisturbed();
  const auto watch = Create(Training(kSteps, 10));
  const Json before = AwaitJob(*watch, HasCheckpoint);
  ASSERT_FALSE(before.is_null());
  workers_[before["workers"].at(0) == "w1" ? 0 : 1]->Kill(SIGKILL);
  ExpectWentOn(watch.get(), before);
}

TEST_F(GoesOnElsewhereTest, WhenItMakesRoomForAnother) {
  RunUndisturbed();
  Run({"worker", "cordon", "w2"});
  const auto watch = Create(Training(kSteps, 10));
  const Json before = AwaitJob(*watch, HasCheckpoint);
  ASSERT_FALSE(before.is_null());
  const auto high = Create(Training(kSteps, 90), "high");
  const Json stopping =
      AwaitJob(*watch, [](const Json& job) { return job.value("stopping", false); });
  ASSERT_FALSE(stopping.is_null());
  EXPECT_EQ(stopping["state_reason"]["code"], "PREEMPTED");
  ASSERT_FALSE(
      AwaitJob(*watch, [](const Json& job) { return job["state"] == "STATE_QUEUED"; }).is_null());
  Run({"worker", "uncordon", "w2"});
  ExpectWentOn(watch.get(), before);
  EXPECT_EQ(Job("e").value("interruptions", 0), 0);
  EXPECT_EQ(Job("e").value("attempts_counted", 0), 0);
  high->Output();
  EXPECT_EQ(high->Wait(), 0) << high->Errors();
}

}  // namespace
}  // namespace jenner::tests
