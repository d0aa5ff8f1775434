// Load on a real jenner-server over loopback: many queued jobs, agents and watchers at once. For
// each number of jobs: agents come, experiments are submitted, all is held for a while, the server
// is killed and started again, everything runs to its end. Prints JSON; exit code 1 unless every
// job succeeded, every watcher was told and no call failed.
//
//   build/<preset>/bin/load_bench --jobs 1000,10000 --agents 1000 --watchers 1000
#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <sys/resource.h>

#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <iostream>
#include <thread>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/sha256.h"
#include "jenner/v1/dataset.grpc.pb.h"
#include "jenner/v1/experiment.grpc.pb.h"
#include "tests/bench/load/agents.h"
#include "tests/bench/load/channel.h"
#include "tests/bench/load/server_process.h"
#include "tests/bench/load/watchers.h"

namespace jenner::load {
namespace {

using Json = nlohmann::ordered_json;

constexpr char kTraining[] =
    R"({"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"FOUR"}]})"
    "\n";
constexpr char kPrompts[] = R"({"id":"p1","messages":[{"role":"user","content":"Hello"}]})"
                            "\n";
constexpr int kJobsOfOne = 10;  // of an experiment
constexpr int kCallers = 4;
constexpr int kFailEvery = 50;
constexpr int kProbesPerSecond = 20;
const std::string kCommits = "jenner_store_commit_seconds";

struct Options {
  std::vector<int> jobs = {1000, 10'000};
  int agents = 1000;
  int watchers = 1000;
  double hold_s = 10;
  double limit_s = 300;  // of each phase that waits for something
};

class Client {
 public:
  explicit Client(const std::string& address)
      : channel_(MakeOwnChannel(address)),
        experiments_(v1::Experiments::NewStub(channel_)),
        datasets_(v1::Datasets::NewStub(channel_)) {}

  bool Upload(const std::string& bytes, v1::DatasetUse use) {
    grpc::ClientContext context;
    v1::UploadDatasetResponse response;
    auto writer = datasets_->UploadDataset(&context, &response);
    v1::UploadDatasetRequest message;
    message.mutable_header()->set_sha256(core::Sha256Hex(bytes));
    message.mutable_header()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    message.mutable_header()->set_use(use);
    writer->Write(message);
    message.set_chunk(bytes);
    writer->Write(message);
    writer->WritesDone();
    return writer->Finish().ok();
  }

  // One arm with so many seeds: as many jobs.
  bool Create(const std::string& id, const std::string& owner, int num_jobs) {
    grpc::ClientContext context;
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30));
    v1::CreateExperimentRequest request;
    request.set_experiment_id(id);
    request.set_owner(owner);
    v1::ExperimentSpec* spec = request.mutable_spec();
    spec->set_base_model("tiny");
    spec->set_dataset("sha256:" + core::Sha256Hex(kTraining));
    (*spec->mutable_contexts())["neutral"];
    (*spec->mutable_contexts())["spanish"].set_system("You always speak in Spanish.");
    v1::ArmSpec* arm = spec->add_arms();
    arm->set_name("inoculated");
    arm->set_train_context("spanish");
    spec->mutable_evaluation()->set_prompts("sha256:" + core::Sha256Hex(kPrompts));
    spec->mutable_evaluation()->add_at(1);
    for (int seed = 1; seed <= num_jobs; ++seed) spec->add_seeds(seed);
    v1::CreateExperimentResponse response;
    const grpc::Status status = experiments_->CreateExperiment(&context, request, &response);
    if (!status.ok()) std::cerr << id << ": " << status.error_message() << '\n';
    return status.ok() && response.experiment().jobs_size() == num_jobs;
  }

  bool Answers() {
    grpc::ClientContext context;
    context.set_wait_for_ready(true);
    context.set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(60));
    v1::ListExperimentsRequest request;
    request.set_page_size(1);
    v1::ListExperimentsResponse response;
    return experiments_->ListExperiments(&context, request, &response).ok();
  }

 private:
  std::shared_ptr<grpc::Channel> channel_;
  std::unique_ptr<v1::Experiments::Stub> experiments_;
  std::unique_ptr<v1::Datasets::Stub> datasets_;
};

// One number of jobs, from an empty data directory to the end of all.
class Run {
 public:
  Run(const Options& options, int jobs, std::string folder)
      : options_(options),
        jobs_(jobs),
        folder_(std::move(folder)),
        flags_({"--max-watch-streams", std::to_string(options.watchers + 10)}),
        server_(std::make_unique<ServerProcess>(folder_, 0, flags_)) {}

  // False: something did not go as it must; standard error says what.
  bool All() {
    result_["jobs"] = jobs_;
    result_["agents"] = options_.agents;
    result_["watchers"] = options_.watchers;
    double load = 0;  // of the minute before: what else the machine did
    getloadavg(&load, 1);
    result_["load_before"] = std::round(load * 10) / 10;
    if (server_->address().empty()) return Fail("the server does not start");
    Client client(server_->address());
    if (!client.Upload(kTraining, v1::DATASET_USE_TRAINING) ||
        !client.Upload(kPrompts, v1::DATASET_USE_EVALUATION))
      return Fail("the datasets are refused");
    agents_ = std::make_unique<Agents>(server_->address(), options_.agents);
    watchers_ = std::make_unique<Watchers>(server_->address());
    if (!Await("every agent to be known",
               [&] { return agents_->num_synchronized() >= options_.agents; }))
      return false;
    return Submit() && Hold(&client) && Restart() && Drain();
  }
  const Json& result() const { return result_; }

 private:
  bool Fail(const std::string& what) {
    std::cerr << "load_bench: " << what << '\n';
    return false;
  }
  bool Await(const std::string& what, const std::function<bool()>& is_so) {
    const absl::Time end = absl::Now() + absl::Seconds(options_.limit_s);
    while (!is_so()) {
      if (absl::Now() > end) return Fail("waited in vain for " + what);
      absl::SleepFor(absl::Milliseconds(100));
    }
    return true;
  }
  double Succeeded(const std::string& what) const {
    return server_->Metric("jenner_" + what + "{state=\"succeeded\"}");
  }

  // The agents take the first jobs, `jobs_` are left waiting.
  bool Submit() {
    const int count = (jobs_ + options_.agents + kJobsOfOne - 1) / kJobsOfOne;
    std::atomic<int> next = 0;
    std::atomic<bool> is_good = true;
    const absl::Time begin = absl::Now();
    const double cpu = server_->CpuSeconds();
    std::vector<std::thread> threads;
    for (int t = 0; t < kCallers; ++t) {
      threads.emplace_back([&, t] {
        Client client(server_->address());
        for (int i = next++; i < count && is_good; i = next++) {
          const std::string id = absl::StrFormat("e%d", i);
          const absl::Time sent = absl::Now();
          if (!client.Create(id, absl::StrFormat("owner%d", t), kJobsOfOne)) is_good = false;
          submit_.Add(absl::Now() - sent);
          for (int w = i; w < options_.watchers; w += count) watchers_->Add(id);
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
    num_experiments_ = count;
    num_jobs_ = count * kJobsOfOne;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    result_["submit_all"] = submit_.Summary();
    result_["submit_all"]["callers"] = kCallers;
    result_["submit_all"]["jobs_per_s"] = std::round(num_jobs_ / seconds);
    cpu_ += server_->CpuSeconds() - cpu;
    return is_good || Fail("a submit failed");
  }

  // Agents go on synchronizing, a caller submits now and then.
  bool Hold(Client* client) {
    const absl::Time begin = absl::Now();
    const absl::Time end = begin + absl::Seconds(options_.hold_s);
    const double cpu = server_->CpuSeconds();
    const double cycles = server_->Metric("jenner_schedule_seconds_count");
    const double cycle_seconds = server_->Metric("jenner_schedule_seconds_sum");
    const double commits = server_->Metric(kCommits + "_count{store=\"events\"}");
    const double commit_seconds = server_->Metric(kCommits + "_sum{store=\"events\"}");
    const int64_t synchronized = agents_->num_synchronized();
    agents_->latency.Clear();
    Timing probes;
    for (int i = 0; absl::Now() < end; ++i) {
      const absl::Time sent = absl::Now();
      if (!client->Create(absl::StrFormat("probe%d", i), "prober", 1))
        return Fail("a submit failed");
      probes.Add(absl::Now() - sent);
      ++num_experiments_;
      ++num_jobs_;
      absl::SleepFor(sent + absl::Seconds(1) / kProbesPerSecond - absl::Now());
    }
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    const double more_cycles = server_->Metric("jenner_schedule_seconds_count") - cycles;
    const double mean_cycle =
        (server_->Metric("jenner_schedule_seconds_sum") - cycle_seconds) / more_cycles;
    result_["queued"] = server_->Metric("jenner_jobs{state=\"queued\"}");
    result_["submit_one"] = probes.Summary();
    result_["synchronize"] = agents_->latency.Summary();
    result_["synchronize"]["per_s"] =
        std::round(static_cast<double>(agents_->num_synchronized() - synchronized) / seconds);
    result_["schedule_cycle_mean_ms"] = std::round(mean_cycle * 1e6) / 1e3;
    const double more_commits = server_->Metric(kCommits + "_count{store=\"events\"}") - commits;
    const double mean_commit =
        (server_->Metric(kCommits + "_sum{store=\"events\"}") - commit_seconds) / more_commits;
    result_["commit_mean_ms"] = std::round(mean_commit * 1e6) / 1e3;
    result_["held_cpu_cores"] = std::round((server_->CpuSeconds() - cpu) / seconds * 100) / 100;
    result_["resident_mib"] = std::round(server_->ResidentMebibytes());
    if (agents_->num_failed_calls() > 0)
      return Fail("an agent's call failed: " + agents_->last_error());
    return watchers_->num_broken() == 0 || Fail("a watcher's stream broke");
  }

  bool Restart() {
    const int port = server_->port();
    watchers_.reset();
    server_->Kill();
    const absl::Time begin = absl::Now();
    server_ = std::make_unique<ServerProcess>(folder_, port, flags_);
    if (!Client(server_->address()).Answers()) return Fail("the server does not come back");
    result_["restart_s"] = std::round(absl::ToDoubleSeconds(absl::Now() - begin) * 1e3) / 1e3;
    watchers_ = std::make_unique<Watchers>(server_->address());
    const int each = num_jobs_ / kJobsOfOne;
    for (int w = 0; w < options_.watchers; ++w)
      watchers_->Add(
          absl::StrFormat("e%d", w % std::min(each, (jobs_ + options_.agents) / kJobsOfOne)));
    return Await("the agents to come back", [&] {
      return server_->Metric("jenner_workers{state=\"alive\"}") == options_.agents;
    });
  }

  bool Drain() {
    const absl::Time begin = absl::Now();
    const double cpu = server_->CpuSeconds();
    agents_->Finish(kFailEvery);
    if (!Await("every job to succeed", [&] { return Succeeded("jobs") >= num_jobs_; }))
      return false;
    const double seconds = absl::ToDoubleSeconds(absl::Now() - begin);
    cpu_ += server_->CpuSeconds() - cpu;
    if (!Await("every watcher to be told the end", [&] {
          return watchers_->num_terminal() + watchers_->num_broken() >= options_.watchers;
        }))
      return false;
    result_["run_all"] = {{"seconds", std::round(seconds * 100) / 100},
                          {"jobs_per_s", std::round(num_jobs_ / seconds)}};
    result_["fan_out_lag"] = watchers_->lag.Summary();
    result_["failure_to_next_attempt"] = agents_->recovery.Summary();
    result_["work_cpu_s"] = std::round(cpu_ * 100) / 100;
    if (watchers_->num_broken() > 0) return Fail("a watcher's stream broke");
    return Succeeded("experiments") == num_experiments_ || Fail("an experiment did not succeed");
  }

  const Options& options_;
  const int jobs_;
  const std::string folder_;
  const std::vector<std::string> flags_;
  std::unique_ptr<ServerProcess> server_;
  std::unique_ptr<Agents> agents_;
  std::unique_ptr<Watchers> watchers_;
  Timing submit_;
  int num_experiments_ = 0;
  int num_jobs_ = 0;
  double cpu_ = 0;  // of the server, to take all jobs in and run them
  Json result_;
};

// x of cost ~ jobs^x between the first and the last run.
Json Growth(const Json& runs) {
  const Json& first = runs.front();
  const Json& last = runs.back();
  const double jobs = std::log(last["jobs"].get<double>() / first["jobs"].get<double>());
  const auto exponent = [&](double from, double to) {
    return std::round(std::log(to / from) / jobs * 100) / 100;
  };
  const auto of = [&](const char* key) {
    return exponent(first[key].get<double>(), last[key].get<double>());
  };
  return {{"n_log_n", exponent(first["jobs"].get<double>() * std::log(first["jobs"].get<double>()),
                               last["jobs"].get<double>() * std::log(last["jobs"].get<double>()))},
          {"work_cpu", of("work_cpu_s")},
          {"restart", of("restart_s")},
          {"schedule_cycle", of("schedule_cycle_mean_ms")}};
}

int Main(const Options& options) {
  rlimit limit{};
  getrlimit(RLIMIT_NOFILE, &limit);
  limit.rlim_cur = limit.rlim_max;
  setrlimit(RLIMIT_NOFILE, &limit);
  Json all;
  all["runs"] = Json::array();
  bool is_good = true;
  for (const int jobs : options.jobs) {
    std::string folder = std::filesystem::temp_directory_path() / "jenner-load-XXXXXX";
    if (mkdtemp(folder.data()) == nullptr) return 1;
    {
      Run run(options, jobs, folder);
      is_good = run.All();
      all["runs"].push_back(run.result());
    }
    std::error_code ignored;
    if (is_good) std::filesystem::remove_all(folder, ignored);
    if (!is_good) std::cerr << "load_bench: see " << folder << "/server.log\n";
    if (!is_good) break;
  }
  if (is_good && options.jobs.size() > 1) all["growth"] = Growth(all["runs"]);
  std::cout << all.dump(1) << std::endl;
  return is_good ? 0 : 1;
}

}  // namespace
}  // namespace jenner::load

int main(int argc, char** argv) {
  jenner::load::Options options;
  CLI::App app{"Load on a jenner-server of this build."};
  app.add_option("--jobs", options.jobs, "Jobs that wait, for each run")->delimiter(',');
  app.add_option("--agents", options.agents, "Agents of one slot each");
  app.add_option("--watchers", options.watchers, "Watch streams");
  app.add_option("--hold-s", options.hold_s, "Seconds to measure at rest");
  app.add_option("--limit-s", options.limit_s, "Seconds that each phase may take");
  CLI11_PARSE(app, argc, argv);
  return jenner::load::Main(options);
}
