// jenner-worker: reads flags, starts the agent's two threads, passes SIGTERM and SIGINT on.
#include <signal.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <climits>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <thread>

#include "core/names.h"
#include "wire/channel.h"
#include "worker/agent/agent.h"

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
  std::fprintf(stderr, "jenner-worker: %s\n", message.c_str());
  return 2;
}

int Main(int argc, char** argv) {
  AgentOptions options;
  options.trainer = OwnFolder() + "/jenner-trainer";
  bool allow_plaintext = false;
  CLI::App app("jenner-worker: runs trainings for a Jenner coordinator");
  app.add_option("--server", options.server, "coordinator, host:port")->required();
  app.add_option("--name", options.name, "unique name of this worker")->required();
  app.add_option("--models-dir", options.models_dir, "folder of base models")->required();
  app.add_option("--work-dir", options.work_dir, "folder for datasets, attempts, checkpoints")
      ->required();
  app.add_option("--slots", options.slots, "ranks to run at once")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--threads-per-rank", options.threads_per_rank, "of tensor code")
      ->check(CLI::Range(1, 1024))
      ->capture_default_str();
  app.add_option("--host", options.host, "IPv4 address at which other ranks reach this machine")
      ->capture_default_str();
  app.add_option("--trainer", options.trainer, "path of jenner-trainer")->capture_default_str();
  app.add_flag("--allow-plaintext", allow_plaintext,
               "speak to a coordinator off loopback without TLS");
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  if (!core::IsId(options.name)) return Refuse("--name: expected [a-z]([a-z0-9-]{0,61}[a-z0-9])?");
  if (!std::filesystem::is_directory(options.models_dir))
    return Refuse("--models-dir: " + options.models_dir + " is no folder");
  if (const absl::Status plain = wire::CheckPlaintext(options.server, allow_plaintext);
      !plain.ok()) {
    return Refuse(std::string(plain.message()));
  }
  options.models_dir = std::filesystem::absolute(options.models_dir).string();
  options.work_dir = std::filesystem::absolute(options.work_dir).string();
  absl::StatusOr<std::unique_ptr<Agent>> agent = Agent::Create(options);
  if (!agent.ok()) return Refuse(std::string(agent.status().message()));
  running = agent->get();
  struct sigaction action {};
  action.sa_handler = OnSignal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);
  std::thread telemetry([&] { (*agent)->RunTelemetry(); });
  std::thread blobs([&] { (*agent)->RunBlobs(); });
  (*agent)->Run();
  telemetry.join();
  blobs.join();
  running = nullptr;
  return 0;
}

}  // namespace
}  // namespace jenner::agent

int main(int argc, char** argv) {
  // The agent forks to exec only; gRPC's own fork handlers would wait for its threads.
  setenv("GRPC_ENABLE_FORK_SUPPORT", "0", 1);
  return jenner::agent::Main(argc, argv);
}
