// jenner-server: reads flags, starts a Server, waits for SIGTERM or SIGINT. One line on standard
// output says where it listens; everything else goes to standard error.
#include <signal.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/str_format.h"
#include "server/server.h"
#include "server/telemetry/log.h"

namespace {

using jenner::telemetry::Level;
using jenner::telemetry::Log;

struct Flags {
  jenner::server::ServerOptions options;
  double lease_seconds = 15;
  std::string port_file;
  std::string metrics_port_file;
};

void Declare(CLI::App& app, Flags& flags) {
  jenner::server::ServerOptions& options = flags.options;
  app.add_option("--data-dir", options.data_dir,
                 "Where state, metrics and blobs are kept (local disk)")
      ->required();
  app.add_option("--listen", options.listen, "host:port of the API; port 0 picks one")
      ->capture_default_str();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "host:port of /metrics for Prometheus; empty: none")
      ->capture_default_str();
  app.add_option("--port-file", flags.port_file, "Write the API's port here once it is open");
  app.add_option("--metrics-port-file", flags.metrics_port_file, "Write the metrics port here");
  app.add_flag(
      "--allow-plaintext", options.allow_plaintext,
      "Permit to listen beyond this machine; there is no encryption and no authentication");
  app.add_flag("!--no-reflection", options.reflection, "Do not serve gRPC reflection");
  app.add_option("--lease", flags.lease_seconds,
                 "Seconds without an answer after which an agent kills its ranks; 5 s later they "
                 "are given to others. Less finds a lost worker sooner")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  app.add_option("--max-watch-streams", options.max_watch_streams, "Watch streams open at once")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--max-dataset-bytes", options.limits.max_dataset_bytes, "Largest dataset")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  app.add_option("--max-blob-bytes", options.limits.max_blob_bytes, "Largest result file")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  app.set_version_flag("--version", std::string("jenner-server ") + JENNER_VERSION);
}

// Written whole or not at all: a reader that sees the file sees the port.
bool WritePort(const std::string& path, int port) {
  if (path.empty()) return true;
  const std::string temporary = path + ".tmp";
  std::FILE* file = std::fopen(temporary.c_str(), "w");
  if (file == nullptr) return false;
  const bool written = std::fprintf(file, "%d\n", port) > 0;
  return (std::fclose(file) == 0) && written && std::rename(temporary.c_str(), path.c_str()) == 0;
}

std::string WithPort(const std::string& address, int port) {
  return absl::StrFormat("%s:%d", address.substr(0, address.rfind(':')), port);
}

int Fail(const std::string& message) {
  std::cerr << "jenner-server: " << message << '\n';
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  Flags flags;
  CLI::App app{"Jenner's coordinator: takes experiments, places jobs on workers, keeps results."};
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  flags.options.limits.lease = absl::Seconds(flags.lease_seconds);

  // Before any thread is started, so that all of them leave these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  umask(0077);  // specs, prompts and answers are nobody else's business

  auto server = jenner::server::Server::Start(flags.options);
  if (!server.ok()) return Fail(std::string(server.status().message()));
  if (!WritePort(flags.port_file, (*server)->port()))
    return Fail(flags.port_file + " cannot be written");
  if (!WritePort(flags.metrics_port_file, (*server)->metrics_port())) {
    return Fail(flags.metrics_port_file + " cannot be written");
  }
  std::cout << "listening on " << WithPort(flags.options.listen, (*server)->port());
  if ((*server)->metrics_port() != 0) {
    std::cout << ", metrics on "
              << WithPort(flags.options.metrics_listen, (*server)->metrics_port());
  }
  std::cout << std::endl;

  int signal_number = 0;
  sigwait(&signals, &signal_number);
  Log(Level::kInfo, "shutting down", {{"signal", absl::StrFormat("%d", signal_number)}});
  (*server)->Shutdown();
  Log(Level::kInfo, "ended");
  return 0;
}
