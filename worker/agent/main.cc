// jenner-worker: reads flags, starts the agent's other threads, passes SIGTERM and SIGINT on.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "core/exit_code.h"
#include "core/names.h"
#include "core/status.h"
#include "logging/log.h"
#include "wire/certificate.h"
#include "wire/channel.h"
#include "wire/log_sink.h"
#include "wire/tls.h"
#include "worker/agent/agent.h"
#include "worker/agent/gpus.h"

namespace jenner::agent {
namespace {

Agent* running = nullptr;

void OnSignal(int) {
  if (running != nullptr) running->Stop();
}

std::string OwnFolder() {
  std::error_code error;
  return std::filesystem::read_symlink("/proc/self/exe", error).parent_path().string();
}

int Refuse(const std::string& message) {
  if (logging::CurrentFormat() == logging::Format::kJson) {
    logging::Log(logging::Level::kError, message);
  } else {
    std::fprintf(stderr, "jenner-worker: %s\n", message.c_str());
  }
  return 2;
}

absl::Status Check(const AgentOptions& options) {
  if (!core::IsId(options.name))
    return absl::InvalidArgumentError("--name: expected [a-z]([a-z0-9-]{0,61}[a-z0-9])?");
  if (!options.only_job.empty() && !core::IsJobPath(options.only_job))
    return absl::InvalidArgumentError("--only-job: expected EXPERIMENT/JOB");
  if (!std::filesystem::is_directory(options.models_dir))
    return absl::NotFoundError("--models-dir: " + options.models_dir + " is no folder");
  return absl::OkStatus();
}

// How to speak to the coordinator.
absl::Status Secure(const wire::TlsFiles& files, bool allow_plaintext, AgentOptions* options) {
  if (files.ca.empty() && files.certificate.empty() && files.key.empty()) {
    return wire::CheckPlaintext(options->server, allow_plaintext);
  }
  ASSIGN_OR_RETURN(options->tls, wire::ReadTls(files));
  if (options->tls->certificate.empty()) {
    return absl::InvalidArgumentError("--ca: a worker needs --cert and --key, too");
  }
  ASSIGN_OR_RETURN(const absl::Time not_after, wire::NotAfter(options->tls->certificate));
  if (not_after > absl::Now()) return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("--cert: ", files.certificate, " ceased to be valid at ",
                   absl::FormatTime(absl::RFC3339_sec, not_after, absl::UTCTimeZone())));
}

// Of the ranks.
void DeclareNetwork(CLI::App& app, AgentOptions* options) {
  app.add_option("--host", options->host, "IPv4 address at which other ranks reach this machine")
      ->capture_default_str();
  app.add_option("--interface", options->interface,
                 "network interface for what ranks exchange, by name or IPv4 address; default: "
                 "--host for rank 0, the way to rank 0 for the others");
}

void DeclareLimits(CLI::App& app, double* progress_limit, int64_t* max_checkpoint_bytes) {
  app.add_option("--max-checkpoint-bytes", *max_checkpoint_bytes,
                 "of a checkpoint that is shared with other workers; larger ones stay here")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40))
      ->capture_default_str();
  app.add_option(
         "--progress-limit", *progress_limit,
         "seconds after which a training that tells nothing is killed and tried again; more "
         "than its longest step takes")
      ->check(CLI::Range(10.0, 86400.0))
      ->capture_default_str();
}

void DeclareJudges(CLI::App& app, std::vector<std::string>* judges, double* judge_timeout) {
  app.add_option(
         "--judge", *judges,
         "NAME=HOST:PORT of a judge that specs may name; repeatable. Off this machine by TLS "
         "with --ca, --cert and --key (docs/judge.md)")
      ->take_all();
  app.add_option("--judge-timeout", *judge_timeout,
                 "seconds for a request to a judge, and what it is repeated by")
      ->check(CLI::Range(0.1, 3600.0))
      ->capture_default_str();
}

void DeclareTls(CLI::App& app, wire::TlsFiles* tls) {
  app.add_option("--ca", tls->ca, "CA (PEM) of the coordinator; with it all traffic is TLS");
  app.add_option("--cert", tls->certificate,
                 "certificate (PEM) that names this worker (jenner-server certs worker)");
  app.add_option("--key", tls->key, "its key (PEM)");
}

void DeclareLog(CLI::App& app, std::string* format) {
  app.add_option("--log-format", *format, "of the log, on standard error: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
}

void BeginLog(const std::string& format, const std::string& worker) {
  logging::Configure(format == "json" ? logging::Format::kJson : logging::Format::kText,
                     {{"worker", worker}});
  wire::LogLibraries();
}

// With its threads, until a signal stops it.
void RunToItsEnd(Agent* agent) {
  running = agent;
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::thread telemetry([&] { agent->RunTelemetry(); });
  std::thread blobs([&] { agent->RunBlobs(); });
  std::thread checkpoints([&] { agent->RunCheckpoints(); });
  std::thread judging([&] { agent->RunJudges(); });
  agent->Run();
  telemetry.join();
  blobs.join();
  checkpoints.join();
  judging.join();
  running = nullptr;
}

int Main(int argc, char** argv) {
  AgentOptions options;
  options.trainer = OwnFolder() + "/jenner-trainer";
  std::string gpus = "0";
  bool allow_plaintext = false;
  CLI::App app("jenner-worker: runs trainings for a Jenner coordinator");
  app.add_option("--server", options.server, "coordinator, host:port")->required();
  app.add_option("--name", options.name, "unique name of this worker")->required();
  app.add_option("--models-dir", options.models_dir, "folder of base models")->required();
  app.add_option("--work-dir", options.work_dir, "folder for datasets, attempts, checkpoints")
      ->required();
  app.add_option("--slots", options.slots, "ranks on the CPU to run at once")
      ->check(CLI::Range(0, 1024))
      ->capture_default_str();
  app.add_option("--threads-per-rank", options.threads_per_rank, "of tensor code")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  DeclareNetwork(app, &options);
  app.add_option("--gpus", gpus,
                 "GPUs to offer, each for a rank beside those: a number, or auto: those in /dev")
      ->capture_default_str();
  app.add_option(
      "--only-job", options.only_job,
      "EXPERIMENT/JOB that this worker is reserved for: it takes no other one's ranks, and "
      "ends with exit code 0 once that has ended; 30 if it is stopped before");
  app.add_option("--trainer", options.trainer, "path of jenner-trainer")->capture_default_str();
  double progress_limit = absl::ToDoubleSeconds(options.progress_limit);
  DeclareLimits(app, &progress_limit, &options.max_checkpoint_bytes);
  std::vector<std::string> judges;
  double judge_timeout = absl::ToDoubleSeconds(options.judge_timeout);
  DeclareJudges(app, &judges, &judge_timeout);
  std::string log_format = "text";
  DeclareLog(app, &log_format);
  wire::TlsFiles tls;
  DeclareTls(app, &tls);
  app.add_flag("--allow-plaintext", allow_plaintext,
               "speak to a coordinator or judge off loopback without TLS");
  app.set_version_flag("--version", "jenner-worker " JENNER_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  BeginLog(log_format, options.name);
  if (const absl::Status checked = Check(options); !checked.ok())
    return Refuse(std::string(checked.message()));
  if (const absl::Status secured = Secure(tls, allow_plaintext, &options); !secured.ok()) {
    return Refuse(std::string(secured.message()));
  }
  const absl::StatusOr<int> num_gpus = ParseGpus(gpus, "/dev");
  if (!num_gpus.ok()) return Refuse(std::string(num_gpus.status().message()));
  options.gpus = *num_gpus;
  absl::StatusOr<std::vector<JudgeOptions>> parsed =
      ParseJudges(judges, options.tls.has_value(), allow_plaintext);
  if (!parsed.ok()) return Refuse(std::string(parsed.status().message()));
  options.judges = *std::move(parsed);
  options.judge_timeout = absl::Seconds(judge_timeout);
  options.progress_limit = absl::Seconds(progress_limit);
  options.models_dir = std::filesystem::absolute(options.models_dir).string();
  options.work_dir = std::filesystem::absolute(options.work_dir).string();
  absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Create(options);
  if (!agent.ok()) return Refuse(std::string(agent.status().message()));
  RunToItsEnd(agent->get());
  if (const absl::Status& refusal = (*agent)->refusal(); !refusal.ok()) {
    return Refuse(options.server +
                  " does not let this worker in: " + std::string(refusal.message()));
  }
  const bool is_done = options.only_job.empty() || (*agent)->HasDoneItsJob();
  return static_cast<int>(is_done ? core::ExitCode::kSuccess : core::ExitCode::kTerminated);
}

}  // namespace
}  // namespace jenner::agent

int main(int argc, char** argv) {
  // The agent forks to exec only; gRPC's own fork handlers would wait for its threads.
  setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
  return jenner::agent::Main(argc, argv);
}
