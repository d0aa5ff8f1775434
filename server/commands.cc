#include "server/commands.h"

#include <sys/random.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <array>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/status.h"
#include "server/auth/tokens.h"
#include "server/certs/certs.h"
#include "server/standby.h"
#include "server/store/backup.h"
#include "server/store/postgres_event_log.h"
#include "server/store/token_file.h"

namespace jenner::server {
namespace {

using Action = std::function<absl::Status()>;

struct CertsFlags {
  std::string folder;
  std::string name;
  std::vector<std::string> hosts;
};

struct TokensFlags {
  std::string data_dir;
  std::string name;
  std::string role;
  std::string project;
  std::string Path() const { return data_dir + "/tokens.json"; }
};

absl::Status Say(const absl::StatusOr<certs::Files>& files) {
  if (!files.ok()) return files.status();
  std::cout << files->certificate << '\n' << files->key << '\n';
  return absl::OkStatus();
}

absl::Status InitCerts(const CertsFlags& flags) {
  RETURN_IF_ERROR(certs::CheckHosts(flags.hosts));  // before the first file is made
  RETURN_IF_ERROR(Say(certs::MakeAuthority(flags.folder, absl::Now())));
  RETURN_IF_ERROR(Say(certs::MakeServer(flags.folder, flags.hosts, absl::Now())));
  std::cerr << "keep ca.key where only you read it: who has it can be any worker\n";
  return absl::OkStatus();
}

void AddCerts(CLI::App* app, Action* action) {
  auto flags = std::make_shared<CertsFlags>();
  CLI::App* certs = app->add_subcommand("certs", "Keys and certificates of a CA of one's own");
  certs->require_subcommand(1);
  const auto add = [&](const char* verb, const char* what,
                       const std::function<absl::Status(const CertsFlags&)>& run) {
    CLI::App* one = certs->add_subcommand(verb, what);
    one->add_option("--dir", flags->folder, "Folder of the CA and of what it issued")->required();
    one->callback([=] { *action = [=] { return run(*flags); }; });
    return one;
  };
  const auto add_hosts = [&](CLI::App* verb) {
    verb->add_option("--host", flags->hosts,
                     "DNS name or IP address at which the server is reached (repeatable); "
                     "localhost, 127.0.0.1 and ::1 are always in");
  };
  add_hosts(add("init", "Make the CA, and key and certificate of the server", InitCerts));
  add_hosts(add(
      "server", "Another key and certificate of the server, once the old are moved away",
      [](const CertsFlags& f) { return Say(certs::MakeServer(f.folder, f.hosts, absl::Now())); }));
  add("worker", "Key and certificate of a worker",
      [](const CertsFlags& f) { return Say(certs::MakeWorker(f.folder, f.name, absl::Now())); })
      ->add_option("--name", flags->name, "As in jenner-worker --name")
      ->required();
  add("client", "Key and certificate of a client, for a server with --tls-require-client-cert",
      [](const CertsFlags& f) { return Say(certs::MakeClient(f.folder, f.name, absl::Now())); })
      ->add_option("--name", flags->name, "Whose")
      ->required();
}

absl::Status AddToken(const TokensFlags& flags) {
  std::array<uint8_t, 32> random{};
  if (getrandom(random.data(), random.size(), 0) != static_cast<ssize_t>(random.size())) {
    return absl::InternalError("the system gives no random bytes");
  }
  const std::string text = auth::TokenText(random);
  auth::Token token;
  token.name = flags.name;
  token.role = *auth::ParseRole(flags.role);
  token.project = flags.project;
  token.sha256 = auth::HashOf(text);
  token.created = absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", absl::Now(), absl::UTCTimeZone());
  RETURN_IF_ERROR(store::AddToken(flags.Path(), token));
  std::cout << text << '\n';
  std::cerr << "this is shown once; put it into a file of mode 0600 for jenner --token-file\n";
  return absl::OkStatus();
}

absl::Status ListTokens(const TokensFlags& flags) {
  ASSIGN_OR_RETURN(const std::vector<auth::Token> tokens, store::ReadTokens(flags.Path()));
  for (const auth::Token& token : tokens) {
    std::cout << absl::StrFormat("%s %s %s %s\n", token.name, auth::RoleName(token.role),
                                 token.project.empty() ? "-" : token.project, token.created);
  }
  return absl::OkStatus();
}

void AddTokens(CLI::App* app, Action* action) {
  auto flags = std::make_shared<TokensFlags>();
  CLI::App* tokens =
      app->add_subcommand("tokens", "Tokens of clients; a running server sees changes");
  tokens->require_subcommand(1);
  const auto add = [&](const char* verb, const char* what,
                       const std::function<absl::Status(const TokensFlags&)>& run) {
    CLI::App* one = tokens->add_subcommand(verb, what);
    one->add_option("--data-dir", flags->data_dir, "As of the server")
        ->required()
        ->check(CLI::ExistingDirectory);
    one->callback([=] { *action = [=] { return run(*flags); }; });
    return one;
  };
  CLI::App* added = add("add", "Make a token and print it, once", AddToken);
  added->add_option("--name", flags->name, "Whose; experiments belong to this name")->required();
  added
      ->add_option("--role", flags->role,
                   "viewer: reads; submitter: creates, changes its own; admin")
      ->required()
      ->check(CLI::IsMember({"viewer", "submitter", "admin"}));
  added->add_option("--project", flags->project,
                    "Submitters of one project may change each other's experiments");
  add("list", "Names, roles, projects, times", ListTokens);
  add("remove", "Take a token back",
      [](const TokensFlags& f) { return store::RemoveToken(f.Path(), f.name); })
      ->add_option("--name", flags->name, "Whose")
      ->required();
}

struct BackupFlags {
  std::string data_dir;
  std::string folder;
  std::string event_log;
  std::string event_log_file;
};

// Opens the shared log, if one is named.
absl::Status OpenSharedLog(const BackupFlags& flags,
                           std::unique_ptr<store::PostgresEventLog>* log) {
  std::string connection = flags.event_log;
  if (!flags.event_log_file.empty()) {
    ASSIGN_OR_RETURN(connection, ReadConnectionFile(flags.event_log_file));
  } else if (!connection.empty()) {
    RETURN_IF_ERROR(CheckConnectionFlag(connection));
  }
  if (connection.empty()) return absl::OkStatus();
  store::LeaderOptions leader;
  leader.holder = "jenner-server restore";
  ASSIGN_OR_RETURN(*log, store::PostgresEventLog::Open(connection, leader));
  return absl::OkStatus();
}

absl::Status RunBackup(const BackupFlags& flags,
                       absl::StatusOr<store::BackupSummary> (*run)(const store::BackupOptions&),
                       const char* done) {
  std::unique_ptr<store::PostgresEventLog> log;
  RETURN_IF_ERROR(OpenSharedLog(flags, &log));
  ASSIGN_OR_RETURN(const store::BackupSummary summary,
                   run({flags.data_dir, flags.folder, log.get(), JENNER_VERSION, absl::Now()}));
  std::cout << absl::StrFormat("%s: %d events, %d experiments, %d blobs of %d bytes", done,
                               summary.events, summary.experiments, summary.blobs,
                               summary.blob_bytes);
  if (summary.requeued > 0) std::cout << absl::StrFormat("; %d jobs wait again", summary.requeued);
  std::cout << '\n';
  return absl::OkStatus();
}

void AddBackups(CLI::App* app, Action* action) {
  auto flags = std::make_shared<BackupFlags>();
  const auto add = [&](const char* verb, const char* what, const char* folder_flag,
                       const char* folder_help, auto run, const char* done) {
    CLI::App* one = app->add_subcommand(verb, what);
    one->add_option("--data-dir", flags->data_dir, "As of the server")->required();
    one->add_option(folder_flag, flags->folder, folder_help)->required();
    CLI::Option* given = one->add_option("--event-log", flags->event_log,
                                         "As of the server, if its events are there");
    one->add_option("--event-log-file", flags->event_log_file, "The same from a file")
        ->excludes(given);
    one->callback([=] { *action = [=] { return RunBackup(*flags, run, done); }; });
  };
  add("backup", "Copy all that the coordinator keeps, also while it runs", "--to",
      "Folder of the backup; not there, or empty", store::MakeBackup, "backed up");
  add("restore", "Fill an empty data directory from a backup, as a new epoch", "--from",
      "Folder of the backup", store::RestoreBackup, "restored");
}

}  // namespace

bool IsCommand(int argc, char** argv) {
  const std::string first = argc > 1 ? argv[1] : "";
  return first == "certs" || first == "tokens" || first == "backup" || first == "restore";
}

int RunCommand(int argc, char** argv) {
  CLI::App app{"Jenner's coordinator: what is done without it.", "jenner-server"};
  app.require_subcommand(1);
  Action action;
  AddCerts(&app, &action);
  AddTokens(&app, &action);
  AddBackups(&app, &action);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    return app.exit(error) == 0 ? 0 : 2;
  }
  umask(0077);
  const absl::Status status = action();
  if (status.ok()) return 0;
  std::cerr << "jenner-server: " << status.message() << '\n';
  return absl::IsInvalidArgument(status) ? 2 : 1;
}

}  // namespace jenner::server
