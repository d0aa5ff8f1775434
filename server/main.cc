// jenner-server: reads flags, starts a Server, waits for SIGTERM or SIGINT. One line on standard
// output says where it listens; everything else goes to standard error.
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <iostream>
#include <string>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "logging/log.h"
#include "server/commands.h"
#include "server/server.h"
#include "server/standby.h"
#include "wire/log_sink.h"

namespace {

using jenner::logging::Level;
using jenner::logging::Log;

constexpr rlim_t kWantedFiles = 65'536;
constexpr rlim_t kFewFiles = 4'096;

// "30s", "12h", "1.5h", and days, which absl's durations lack: "30d". "" if it is one, else what
// was expected.
std::string ReadDuration(const std::string& text, absl::Duration least, absl::Duration* duration) {
  double days = 0;
  const bool is_days = !text.empty() && text.back() == 'd' &&
                       absl::SimpleAtod(text.substr(0, text.size() - 1), &days);
  if (is_days) *duration = days * absl::Hours(24);
  const bool is_read = is_days || absl::ParseDuration(text, duration);
  if (is_read && (*duration == absl::ZeroDuration() || *duration >= least)) return "";
  return "expected 0 (for ever) or a duration as 90m, 12h or 30d, at least " +
         absl::FormatDuration(least) + "; found " + text;
}

void AddDuration(CLI::App& app, const std::string& name, const std::string& help,
                 absl::Duration least, absl::Duration* duration) {
  app.add_option_function<std::string>(
         name, [=](const std::string& text) { (void)ReadDuration(text, least, duration); }, help)
      ->check([least](const std::string& text) {
        absl::Duration ignored;
        return ReadDuration(text, least, &ignored);
      });
}

struct Flags {
  jenner::server::ServerOptions options;
  double lease_seconds = 15;
  double min_run_seconds = absl::ToDoubleSeconds(jenner::coordinator::kMinRunTime);
  double leader_lease_seconds = 8;
  std::string event_log_file;
  std::string port_file;
  std::string log_format = "text";
  std::string metrics_port_file;
};

void DeclareSecurity(CLI::App& app, jenner::server::ServerOptions& options) {
  app.add_option("--tls-cert", options.tls.certificate,
                 "Certificate (PEM) of the server; with it all traffic is TLS");
  app.add_option("--tls-key", options.tls.key, "Its key (PEM)");
  app.add_option("--tls-client-ca", options.tls.ca,
                 "CA (PEM) of the certificates by which workers are known");
  app.add_flag("--tls-require-client-cert", options.require_client_certificate,
               "Clients must show a certificate of that CA, too");
  app.add_flag(
      "--require-tokens", options.require_tokens,
      "Clients need a token (jenner-server tokens add). Implied once there are tokens, and "
      "by TLS off this machine");
  app.add_option("--max-calls-per-second", options.gate.client_rate.per_second,
                 "Of one token, on average; four times as many at once")
      ->check(CLI::Range(1.0, 1e6))
      ->capture_default_str();
  app.add_option("--max-streams-per-client", options.gate.max_streams,
                 "Watches and transfers that one token or worker may have open at once")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
}

void DeclareEventLog(CLI::App& app, Flags& flags) {
  CLI::Option* given = app.add_option(
      "--event-log", flags.options.event_log,
      "Keep the events in PostgreSQL, which several servers may share "
      "(postgresql://HOST/DATABASE), "
      "instead of in --data-dir: one leads, the others stand by. No password here, where every "
      "user of this machine sees it: secrets come from files only");
  app.add_option("--event-log-file", flags.event_log_file,
                 "As --event-log, from a file that not everyone may read")
      ->excludes(given);
  app.add_option("--leader-lease", flags.leader_lease_seconds,
                 "With --event-log: seconds of silence after which a standby takes over")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
}

absl::Status ReadEventLog(Flags& flags) {
  flags.options.leader_lease = absl::Seconds(flags.leader_lease_seconds);
  if (!flags.event_log_file.empty()) {
    ASSIGN_OR_RETURN(flags.options.event_log,
                     jenner::server::ReadConnectionFile(flags.event_log_file));
  } else if (!flags.options.event_log.empty()) {
    return jenner::server::CheckConnectionFlag(flags.options.event_log);
  }
  return absl::OkStatus();
}

// False, as soon as one of them came, otherwise true after `duration`.
bool Pause(const sigset_t& signals, absl::Duration duration) {
  const timespec limit = absl::ToTimespec(duration);
  return sigtimedwait(&signals, nullptr, &limit) < 0;
}

// Connections are bounded by file descriptors (and by nothing else in gRPC 1.51).
void RaiseFileLimit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
  limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, kWantedFiles);
  if (setrlimit(RLIMIT_NOFILE, &limit) == 0 && limit.rlim_cur >= kFewFiles) return;
  Log(Level::kWarning, "few file descriptors: connections beyond them are not answered",
      {{"limit", absl::StrFormat("%d", limit.rlim_cur)}});
}

void Declare(CLI::App& app, Flags& flags) {
  jenner::server::ServerOptions& options = flags.options;
  app.add_option("--data-dir", options.data_dir,
                 "Where state (unless --event-log), metrics and blobs are kept (local disk)")
      ->required();
  app.add_option("--listen", options.listen, "host:port of the API; port 0 picks one")
      ->capture_default_str();
  app.add_option("--metrics-listen", options.metrics_listen,
                 "host:port of /metrics for Prometheus, /healthz and /readyz; empty: none")
      ->capture_default_str();
  app.add_option("--port-file", flags.port_file, "Write the API's port here once it is open");
  app.add_option("--metrics-port-file", flags.metrics_port_file, "Write the metrics port here");
  app.add_flag(
      "--allow-plaintext", options.allow_plaintext,
      "Permit to listen beyond this machine without TLS; there is no encryption then, and workers "
      "are not authenticated");
  DeclareEventLog(app, flags);
  DeclareSecurity(app, options);
  app.add_flag("!--no-reflection", options.reflection, "Do not serve gRPC reflection");
  app.add_option("--lease", flags.lease_seconds,
                 "Seconds without an answer after which an agent kills its ranks; 5 s later they "
                 "are given to others. Less finds a lost worker sooner")
      ->check(CLI::Range(1.0, 3600.0))
      ->capture_default_str();
  app.add_option("--min-run-time", flags.min_run_seconds,
                 "Seconds that a job runs before it may be asked to stop, with a checkpoint, for "
                 "one of higher priority")
      ->check(CLI::Range(0.0, 86400.0))
      ->capture_default_str();
  app.add_option("--max-watch-streams", options.max_watch_streams, "Watch streams open at once")
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  app.add_option("--quotas", options.quotas_path,
                 "File (JSON, docs/quotas.md) of what each owner may have at once: slots, jobs, "
                 "experiments");
  jenner::server::RetentionOptions& retention = options.retention;
  AddDuration(
      app, "--keep-experiments",
      "Delete experiments this long after their end, with their results; 0 (default): never",
      absl::Seconds(1), &retention.keep_experiments);
  AddDuration(app, "--keep-unreferenced",
              "Remove datasets and files that no experiment names after this; 0: never [24h]",
              absl::Minutes(10), &retention.keep_unreferenced);
  app.add_option("--keep-attempts", retention.keep_attempts,
                 "Of a job that succeeded: keep curves and logs of this many attempts; 0: all")
      ->check(CLI::Range(0, 1'000'000))
      ->capture_default_str();
  app.add_option("--max-dataset-bytes", options.limits.max_dataset_bytes, "Largest dataset")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30))
      ->capture_default_str();
  app.add_option("--max-blob-bytes", options.limits.max_blob_bytes, "Largest result file")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 40))
      ->capture_default_str();
  app.add_option("--log-format", flags.log_format, "Of the log, on standard error: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();
  app.add_flag("--log-calls", options.limits.log_calls,
               "Tell every call in the log, not only those that failed or changed something");
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
  if (jenner::logging::CurrentFormat() == jenner::logging::Format::kJson) {
    Log(Level::kError, message);
  } else {
    std::cerr << "jenner-server: " << message << '\n';
  }
  return 1;
}

}  // namespace

int main(int argc, char** argv) {
  if (jenner::server::IsCommand(argc, argv)) return jenner::server::RunCommand(argc, argv);
  Flags flags;
  CLI::App app{"Jenner's coordinator: takes experiments, places jobs on workers, keeps results."};
  app.footer(
      "Commands (see --help of each): certs init|server|worker|client, tokens add|list|remove, "
      "backup, restore");
  Declare(app, flags);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  jenner::logging::Configure(flags.log_format == "json" ? jenner::logging::Format::kJson
                                                        : jenner::logging::Format::kText);
  jenner::wire::LogLibraries();
  flags.options.limits.lease = absl::Seconds(flags.lease_seconds);
  flags.options.min_run_time = absl::Seconds(flags.min_run_seconds);

  // Before any thread is started, so that all of them leave these to sigwait.
  sigset_t signals;
  sigemptyset(&signals);
  sigaddset(&signals, SIGTERM);
  sigaddset(&signals, SIGINT);
  pthread_sigmask(SIG_BLOCK, &signals, nullptr);
  signal(SIGPIPE, SIG_IGN);
  flags.options.gate.client_rate.burst = 4 * flags.options.gate.client_rate.per_second;
  flags.options.pause = [&signals](absl::Duration duration) { return Pause(signals, duration); };
  if (const absl::Status read = ReadEventLog(flags); !read.ok()) {
    return Fail(std::string(read.message()));
  }
  RaiseFileLimit();
  umask(0077);  // specs, prompts and answers are nobody else's business

  bool is_metrics_port_written = true;
  flags.options.on_metrics_listen = [&](int port) {
    is_metrics_port_written = WritePort(flags.metrics_port_file, port);
  };
  auto server = jenner::server::Server::Start(flags.options);
  if (absl::IsCancelled(server.status())) {
    Log(Level::kInfo, "ended", {{"why", std::string(server.status().message())}});
    return 0;
  }
  if (!server.ok()) return Fail(std::string(server.status().message()));
  if (!WritePort(flags.port_file, (*server)->port()))
    return Fail(flags.port_file + " cannot be written");
  if (!is_metrics_port_written) return Fail(flags.metrics_port_file + " cannot be written");
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
