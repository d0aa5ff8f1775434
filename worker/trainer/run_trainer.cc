#include "worker/trainer/run_trainer.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <sstream>

#include "core/sha256.h"
#include "worker/trainer/cuda_plugin.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {

using nlohmann::json;

namespace {

int num_gpus = 0;  // of this machine, if the tests are to run there

// Tests that are to run on GPUs are skipped where there is none.
class OnGpus : public testing::Environment {
 public:
  void SetUp() override {
    try {
      num_gpus = LoadCudaPlugin(JENNER_BINARY_DIR "/bin/libjenner_cuda.so")->NumDevices();
    } catch (const trainer::Failure& failure) {
      GTEST_SKIP() << failure.what();
    }
  }
};

[[maybe_unused]] const bool kIsOnGpus = [] {
  if (!IsOnGpus()) return false;
  testing::AddGlobalTestEnvironment(new OnGpus);
  return true;
}();

// NCCL refuses two ranks on one GPU of one host: where they share one, each says that it is on a
// host of its own, and reaches its peers through sockets.
void PretendAnotherHost(int rank) {
  setenv("NCCL_HOSTID", ("rank-" + std::to_string(rank)).c_str(), 1);
  setenv("NCCL_SOCKET_IFNAME", "=lo", 0);
}

}  // namespace

bool IsOnGpus() {
  return std::getenv("JENNER_TEST_ON_GPUS") != nullptr;  // tidy: allow, gtest_main has main
}

std::vector<json> Outcome::Of(const std::string& kind) const {
  std::vector<json> found;
  for (const json& event : events) {
    if (event.at("kind") == kind) found.push_back(event);
  }
  return found;
}

std::string Outcome::Failure() const {
  const std::vector<json> failed = Of("failed");
  return failed.empty() ? "" : failed[0].at("message").get<std::string>();
}

TrainerProcess::TrainerProcess(const std::string& spec_path, const std::string& out, int rank,
                               const std::vector<std::string>& flags, const std::string& models_dir)
    : events_path_(out + "/events-" + std::to_string(rank) + ".jsonl") {
  // An earlier life in the same folder left its lines, with the address of its store.
  unlink(events_path_.c_str());
  std::vector<std::string> words = {JENNER_BINARY_DIR "/bin/jenner-trainer",
                                    "--spec",
                                    spec_path,
                                    "--models-dir",
                                    models_dir,
                                    "--out",
                                    out,
                                    "--threads",
                                    "1",
                                    "--rank",
                                    std::to_string(rank)};
  // Evaluations alone are the CPU's.
  const bool is_on_gpu =
      num_gpus > 0 && ReadFile(spec_path).find("\"device\":\"cuda\"") != std::string::npos;
  if (is_on_gpu && std::find(flags.begin(), flags.end(), "--device") == flags.end())
    words.insert(words.end(), {"--device", "cuda:" + std::to_string(rank % num_gpus)});
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> argv;
  for (std::string& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  std::filesystem::create_directories(out);
  const std::string errors = out + "/stderr-" + std::to_string(rank) + ".txt";
  pid_ = fork();
  if (pid_ == 0) {
    const int events_fd = open(events_path_.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    const int errors_fd = open(errors.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    dup2(events_fd, STDOUT_FILENO);
    dup2(errors_fd, STDERR_FILENO);
    if (is_on_gpu && num_gpus < 2) PretendAnotherHost(rank);
    execv(argv[0], argv.data());
    _exit(127);
  }
}

std::vector<json> TrainerProcess::ReadEvents() const {
  std::vector<json> events;
  const std::string text = ReadFile(events_path_);
  for (size_t begin = 0, end = 0; (end = text.find('\n', begin)) != std::string::npos;
       begin = end + 1) {
    events.push_back(json::parse(text.substr(begin, end - begin)));
  }
  return events;
}

json TrainerProcess::WaitFor(const std::function<bool(const json&)>& wanted) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(50);
  while (std::chrono::steady_clock::now() < limit) {
    ended_ = ended_ || waitpid(pid_, &status_, WNOHANG) == pid_;
    for (const json& event : ReadEvents()) {
      if (wanted(event)) return event;
    }
    if (ended_) return nullptr;
    poll(nullptr, 0, 2);
  }
  return nullptr;
}

void TrainerProcess::Signal(int number) const { kill(pid_, number); }

Outcome TrainerProcess::Wait() {
  if (!ended_) {
    EXPECT_EQ(waitpid(pid_, &status_, 0), pid_);
    ended_ = true;
  }
  Outcome outcome;
  outcome.exit_code = WIFEXITED(status_) ? WEXITSTATUS(status_) : -WTERMSIG(status_);
  outcome.events = ReadEvents();
  for (size_t i = 0; i < outcome.events.size(); ++i) EXPECT_EQ(outcome.events[i].at("seq"), i + 1);
  return outcome;
}

std::string NewFolder() {
  std::string path = testing::TempDir() + "/trainer-XXXXXX";
  EXPECT_NE(mkdtemp(path.data()), nullptr);
  struct Cleaner {
    std::vector<std::string> paths;
    ~Cleaner() {
      for (const std::string& one : paths) std::filesystem::remove_all(one);
    }
  };
  static Cleaner cleaner;
  cleaner.paths.push_back(path);
  return path;
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  return text.str();
}

void WriteFile(const std::string& path, const std::string& text) {
  std::ofstream(path, std::ios::binary) << text;
}

json GoldenJob(const std::string& name) {
  return json::parse(ReadFile(std::string(kGoldenFolder) + "/" + name + "_job.json"));
}

json JobWithEvaluation() {
  json job = GoldenJob("lora");
  job["training"]["settings"]["lora"]["dropout"] = 0.1;
  job["evaluation"] = {{"prompts", "prompts.jsonl"},
                       {"contexts",
                        {{{"name", "neutral"}, {"context", json::object()}},
                         {{"name", "inoculated"}, {"context", {{"system", "Habla."}}}}}},
                       {"at", {0.3, 0.6, 1}},
                       {"max_new_tokens", 6},
                       {"batch_size", 3},
                       {"samples", 2},
                       {"temperature", 0.8},
                       {"traits", {"capitals", "spanish"}}};
  return job;
}

std::vector<json> Told(const Outcome& outcome) {
  std::vector<json> told;
  for (json event : outcome.events) {
    if (!IsTelemetry(event.at("kind")) && event.at("kind") != "artifact") continue;
    for (const char* varying : {"seq", "path", "seconds", "step_seconds", "tokens_per_second"}) {
      event.erase(varying);
    }
    told.push_back(std::move(event));
  }
  return told;
}

std::string WriteJob(const std::string& folder, json spec) {
  const auto absolute = [](json& ref) {
    const std::string text = ref.get<std::string>();
    if (text[0] != '/' && !core::LooksLikeRef(text)) {
      ref = std::string(kGoldenFolder) + "/" + text;
    }
  };
  if (spec.contains("training")) absolute(spec["training"]["dataset"]);
  if (spec.contains("evaluation")) absolute(spec["evaluation"]["prompts"]);
  if (IsOnGpus() && spec.contains("training") && !spec.contains("device")) spec["device"] = "cuda";
  std::filesystem::create_directories(folder);
  WriteFile(folder + "/job.json", spec.dump());
  return folder + "/job.json";
}

Outcome RunAlone(const json& spec, const std::string& out, const std::vector<std::string>& flags) {
  return TrainerProcess(WriteJob(out, spec), out, 0, flags).Wait();
}

std::vector<Outcome> RunPair(const json& spec, const std::string& out,
                             const std::vector<std::string>& flags) {
  const std::string path = WriteJob(out, spec);
  std::vector<std::string> words = {"--world-size", "2"};
  words.insert(words.end(), flags.begin(), flags.end());
  TrainerProcess first(path, out, 0, words);
  const json met =
      first.WaitFor([](const json& event) { return event.at("kind") == "rendezvous"; });
  if (met.is_null()) return {first.Wait(), {}};
  words.insert(words.end(), {"--store", met.at("address").get<std::string>()});
  TrainerProcess second(path, out, 1, words);
  return {first.Wait(), second.Wait()};
}

}  // namespace jenner::trainer
