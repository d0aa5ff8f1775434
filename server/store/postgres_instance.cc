#include "server/store/postgres_instance.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(30);
constexpr char kPrograms[] = JENNER_POSTGRES_BIN;

// Whom the server runs as when this is root; null: as this user.
const passwd* OtherUser() {
  if (geteuid() != 0) return nullptr;
  const passwd* user = getpwnam("postgres");
  return user != nullptr ? user : getpwnam("nobody");
}

// -1: it cannot be started. Its output goes to `log`.
pid_t Spawn(const std::string& program, const std::vector<std::string>& flags,
            const std::string& log) {
  std::vector<std::string> words = {"setpriv", "--pdeathsig=QUIT"};
  if (const passwd* user = OtherUser(); user != nullptr) {
    words.push_back(absl::StrFormat("--reuid=%d", user->pw_uid));
    words.push_back(absl::StrFormat("--regid=%d", user->pw_gid));
    words.push_back("--clear-groups");
  }
  words.push_back(std::string(kPrograms) + "/" + program);
  words.insert(words.end(), flags.begin(), flags.end());
  std::vector<char*> arguments;
  for (std::string& word : words) arguments.push_back(word.data());
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, log.c_str(),
                                   O_WRONLY | O_CREAT | O_APPEND, 0600);
  posix_spawn_file_actions_adddup2(&actions, STDOUT_FILENO, STDERR_FILENO);
  pid_t pid = -1;
  if (posix_spawnp(&pid, words[0].c_str(), &actions, nullptr, arguments.data(), environ) != 0) {
    pid = -1;
  }
  posix_spawn_file_actions_destroy(&actions);
  return pid;
}

template <typename Value>
Value OrAbort(absl::StatusOr<Value> value) {
  if (value.ok()) return *std::move(value);
  std::fprintf(stderr, "test database: %s\n", value.status().ToString().c_str());
  std::abort();
}

bool EndsWell(pid_t pid) {
  int status = 0;
  return pid > 0 && waitpid(pid, &status, 0) == pid && WIFEXITED(status) &&
         WEXITSTATUS(status) == 0;
}

std::unique_ptr<PostgresInstance>& SharedInstance() {
  static std::unique_ptr<PostgresInstance> instance;
  return instance;
}

// Ends the shared server after the last test.
class EndShared : public ::testing::EmptyTestEventListener {
  void OnTestProgramEnd(const ::testing::UnitTest&) override { SharedInstance().reset(); }
};

}  // namespace

absl::StatusOr<std::unique_ptr<PostgresInstance>> PostgresInstance::Start(bool syncs) {
  std::string folder = ::testing::TempDir() + "/jenner-postgres-XXXXXX";
  if (mkdtemp(folder.data()) == nullptr) return absl::InternalError(folder + " cannot be made");
  std::unique_ptr<PostgresInstance> instance(new PostgresInstance(folder));
  const passwd* user = OtherUser();
  if (user != nullptr && chown(folder.c_str(), user->pw_uid, user->pw_gid) != 0) {
    return absl::InternalError(folder + " cannot be given to " + user->pw_name);
  }
  const std::string data = folder + "/data";
  const std::string log = folder + "/log";
  if (!EndsWell(Spawn("initdb",
                      {"--pgdata=" + data, "--username=jenner", "--auth=trust", "--no-locale",
                       "--encoding=UTF8", "--no-sync", "--no-instructions"},
                      log))) {
    return absl::InternalError("initdb failed: " + log);
  }
  instance->pid_ = Spawn(
      "postgres",
      {"-D", data, "-k", folder, "-c", "listen_addresses=", "-c", syncs ? "fsync=on" : "fsync=off",
       "-c", "shared_buffers=16MB", "-c", "max_connections=40"},
      log);
  // Until it answers; a server that has ended never will.
  for (const absl::Duration until = SinceBoot() + kPatience;;) {
    const auto opened = PostgresConnection::Open(instance->Connection("postgres"), "test");
    if (opened.ok()) return instance;
    int status = 0;
    if (instance->pid_ <= 0 || waitpid(instance->pid_, &status, WNOHANG) != 0 ||
        SinceBoot() > until) {
      return Annotate(opened.status(), "PostgreSQL did not start");
    }
    poll(nullptr, 0, 10);
  }
}

PostgresInstance::~PostgresInstance() {
  if (pid_ > 0) {
    kill(pid_, SIGQUIT);
    waitpid(pid_, nullptr, 0);
  }
  std::error_code ignored;
  std::filesystem::remove_all(folder_, ignored);
}

PostgresInstance& PostgresInstance::Shared() {
  std::unique_ptr<PostgresInstance>& instance = SharedInstance();
  if (instance == nullptr) {
    instance = OrAbort(Start());
    ::testing::UnitTest::GetInstance()->listeners().Append(new EndShared);
  }
  return *instance;
}

std::string PostgresInstance::Connection(const std::string& database) const {
  return absl::StrFormat("host=%s user=jenner dbname=%s", folder_, database);
}

std::string PostgresInstance::NewDatabase() {
  // A name is no value that a parameter could carry; this one is made of digits.
  const std::string name = absl::StrFormat("test%d", ++num_databases_);
  RunSql(Connection("postgres"), ("CREATE DATABASE " + name).c_str());
  return Connection(name);
}

PostgresRows RunSql(const std::string& connection, const char* sql,
                    const PostgresParameters& parameters) {
  const auto opened = OrAbort(PostgresConnection::Open(connection, "test"));
  return OrAbort(opened->Execute(sql, parameters, kPatience));
}

}  // namespace jenner::store
