#include "worker/agent/child.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/str_cat.h"
#include "core/status.h"

namespace jenner::agent {
namespace {

constexpr int kEventsFd = 3;

std::vector<char*> Pointers(std::vector<std::string>* strings) {
  std::vector<char*> pointers;
  for (std::string& one : *strings) pointers.push_back(one.data());
  pointers.push_back(nullptr);
  return pointers;
}

// In the child between fork and exec: async-signal-safe calls only. Does not return.
[[noreturn]] void Become(pid_t parent, int events, int log, int fault_fd, char** argv,
                         char** envp) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGKILL);
  if (getppid() == parent) {
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
    const int null = open("/dev/null", O_RDONLY);
    dup2(null, STDIN_FILENO);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    // The fault pipe out of the way first: it may itself be descriptor 3.
    const int fault = fcntl(fault_fd, F_DUPFD_CLOEXEC, 10);
    if (events == kEventsFd) {
      fcntl(events, F_SETFD, 0);
    } else {
      dup2(events, kEventsFd);
    }
    syscall(SYS_close_range, kEventsFd + 1, fault - 1, 0);
    syscall(SYS_close_range, fault + 1, ~0U, 0);
    execve(argv[0], argv, envp);
    const int error = errno;
    const ssize_t ignored = write(fault, &error, sizeof error);
    (void)ignored;
  }
  _exit(127);
}

}  // namespace

absl::StatusOr<Child> Spawn(const ChildOptions& options) {
  const int flags = O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC;
  const UniqueFd events(open(options.events_path.c_str(), flags, 0644));
  if (!events.is_open()) return ErrnoStatus("open", options.events_path);
  const UniqueFd log(open(options.log_path.c_str(), flags, 0644));
  if (!log.is_open()) return ErrnoStatus("open", options.log_path);
  int ends[2];
  if (pipe2(ends, O_CLOEXEC) != 0) return ErrnoStatus("pipe", "");
  UniqueFd fault_read(ends[0]);
  UniqueFd fault_write(ends[1]);

  std::vector<std::string> command = options.command;
  std::vector<std::string> environment = options.environment;
  for (char** at = environ; *at != nullptr; ++at) environment.push_back(*at);
  const std::vector<char*> argv = Pointers(&command);
  const std::vector<char*> envp = Pointers(&environment);
  const pid_t parent = getpid();
  const pid_t pid = fork();
  if (pid < 0) return ErrnoStatus("fork", "");
  if (pid == 0) {
    Become(parent, events.get(), log.get(), fault_write.get(), const_cast<char**>(argv.data()),
           const_cast<char**>(envp.data()));
  }
  fault_write = UniqueFd();
  int error = 0;
  const ssize_t got = read(fault_read.get(), &error, sizeof error);
  if (got == sizeof error) {
    waitpid(pid, nullptr, 0);
    return absl::ErrnoToStatus(error, absl::StrCat("run ", options.command[0]));
  }
  Child child;
  const auto identity = IdentifyProcess(pid);
  if (identity.ok()) child.identity = *identity;
  child.identity.pid = pid;
  child.pidfd = UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!child.pidfd.is_open()) {
    kill(-pid, SIGKILL);
    waitpid(pid, nullptr, 0);
    return ErrnoStatus("pidfd_open", "");
  }
  return child;
}

int Reap(const Child& child) {
  int status = 0;
  while (waitpid(child.identity.pid, &status, 0) < 0 && errno == EINTR) {
  }
  // What it may have left behind in its group.
  kill(-child.identity.pid, SIGKILL);
  return WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
}

void KillGroup(const ProcessIdentity& identity) {
  if (identity.pid > 1 && OpenProcess(identity).ok()) kill(-identity.pid, SIGKILL);
}

}  // namespace jenner::agent
