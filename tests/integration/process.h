// Process: a program of this build, run by a test; killed and reaped with its object.
#ifndef JENNER_TESTS_INTEGRATION_PROCESS_H_
#define JENNER_TESTS_INTEGRATION_PROCESS_H_

#include <fcntl.h>
#include <poll.h>
#include <pty.h>
#include <signal.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <filesystem>
#include <string>
#include <vector>

extern char** environ;

namespace jenner::tests {

struct ProcessOptions {
  int terminal_columns = 0;  // not 0: standard output and standard error are one terminal, 24 high
  std::string input = "/dev/null";            // the file that is standard input
  std::vector<std::string> environment = {};  // "NAME=value", instead of what this process has
};

// ProcessOptions::environment of a program for which the disk below `folder` is full while there is
// a file `flag` (tests/chaos/full_disk.c).
inline std::vector<std::string> FullDisk(const std::string& folder, const std::string& flag) {
  return {"LD_PRELOAD=" JENNER_BINARY_DIR "/bin/libfull_disk.so",
          "ASAN_OPTIONS=verify_asan_link_order=0",  // its runtime is not the first library then
          "JENNER_FULL_DISK_FLAG=" + flag,
          // As /proc names open files.
          "JENNER_FULL_DISK_ROOT=" + std::filesystem::weakly_canonical(folder).string()};
}

class Process {
 public:
  // `program` is a file of the build's bin folder.
  Process(const std::string& program, const std::vector<std::string>& flags,
          const ProcessOptions& options = {}) {
    int out[2];
    int err[2];
    if (pipe2(err, O_CLOEXEC) != 0) return;
    if (options.terminal_columns > 0) {
      OpenTerminal(options.terminal_columns, out);
      dup3(out[1], err[1], O_CLOEXEC);
    } else if (pipe2(out, O_CLOEXEC) != 0) {
      return;
    }
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, options.input.c_str(), O_RDONLY, 0);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    const std::string binary = JENNER_BINARY_DIR "/bin/" + program;
    std::vector<char*> arguments = {const_cast<char*>(binary.c_str())};
    for (const std::string& flag : flags) arguments.push_back(const_cast<char*>(flag.c_str()));
    arguments.push_back(nullptr);
    std::vector<std::string> environment = options.environment;
    for (char** entry = environ; *entry != nullptr; ++entry) {
      const std::string name = std::string(*entry).substr(0, std::string(*entry).find('=') + 1);
      bool replaced = false;
      for (const std::string& own : options.environment) replaced |= own.rfind(name, 0) == 0;
      if (!replaced) environment.emplace_back(*entry);
    }
    std::vector<char*> entries;
    for (std::string& entry : environment) entries.push_back(entry.data());
    entries.push_back(nullptr);
    if (posix_spawn(&pid_, binary.c_str(), &actions, nullptr, arguments.data(), entries.data()) !=
        0) {
      pid_ = -1;
    }
    posix_spawn_file_actions_destroy(&actions);
    close(out[1]);
    close(err[1]);
    out_ = out[0];
    err_ = err[0];
  }
  ~Process() {
    Kill(SIGKILL);
    Wait();
    close(out_);
    close(err_);
  }
  Process(const Process&) = delete;
  Process& operator=(const Process&) = delete;

  // Standard output up to and with `text`, or to its end.
  std::string ReadUntil(const std::string& text) const {
    std::string all;
    for (char c; all.find(text) == std::string::npos && read(out_, &c, 1) == 1;) all += c;
    return all;
  }
  // The next line of standard output; "" at its end.
  std::string Line() const {
    std::string line;
    for (char c; read(out_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  // Standard error up to and with `text`, or to its end.
  std::string ErrorsUntil(const std::string& text) const {
    std::string all;
    for (char c; all.find(text) == std::string::npos && read(err_, &c, 1) == 1;) all += c;
    return all;
  }
  pid_t pid() const { return pid_; }
  // The rest of standard output, and standard error, to their ends. The latter must fit into a
  // pipe.
  std::string Output() const { return ReadAll(out_); }
  std::string Errors() const { return ReadAll(err_); }
  void Kill(int signal_number) const {
    if (pid_ > 0) kill(pid_, signal_number);
  }
  // False: it runs on after that time.
  bool EndsWithin(int limit_ms) const {
    if (pid_ <= 0) return true;
    pollfd item{static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)), POLLIN, 0};
    const bool has_ended = poll(&item, 1, limit_ms) == 1;
    close(item.fd);
    return has_ended;
  }
  // The exit code, or 128 and the signal.
  int Wait() {
    if (pid_ <= 0) return code_;
    int status = 0;
    rusage usage{};
    wait4(pid_, &status, 0, &usage);
    cpu_ms_ = static_cast<double>(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1e3 +
              static_cast<double>(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e3;
    pid_ = -1;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
  }
  // Processor time that it took. REQUIRES: Wait() has returned.
  double cpu_ms() const { return cpu_ms_; }

 private:
  // ends[0] is what a person sees, ends[1] what the program writes to.
  static void OpenTerminal(int columns, int ends[2]) {
    winsize size{};
    size.ws_row = 24;
    size.ws_col = static_cast<uint16_t>(columns);
    if (openpty(&ends[0], &ends[1], nullptr, nullptr, &size) != 0) return;
    fcntl(ends[0], F_SETFD, FD_CLOEXEC);
    fcntl(ends[1], F_SETFD, FD_CLOEXEC);
  }
  static std::string ReadAll(int fd) {
    std::string text;
    char buffer[4096];
    for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }

  pid_t pid_ = -1;
  int code_ = -1;
  double cpu_ms_ = 0;
  int out_ = -1;
  int err_ = -1;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_PROCESS_H_
