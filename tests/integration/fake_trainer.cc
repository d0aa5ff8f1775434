// fake_trainer: stands in for jenner-trainer in agent_test.cc. It takes the trainer's flags, logs
// them as its first line, and does what the array "script" of the job file says, step after step;
// each is an object with one of these keys:
//   "event": object    a line on descriptor 3; a string is written as it is
//   "log": text        on standard error
//   "cat": name        a file of --data-dir, on standard error
//   "file": [path, text, times]   writes text that many times
//   "await": path      until there is such a file
//   "on_term": [lines] at SIGTERM: these lines on descriptor 3, then exit code 30. Without lines:
//                      log "SIGTERM" and go on
//   "outlive": true    does not die with its agent
//   "hang": true       for good
//   "signal": number   to itself
//   "exit": code
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <string>

namespace jenner::tests {
namespace {

using Json = nlohmann::json;

constexpr int kEventsFd = 3;
constexpr int kTerminated = 30;
std::string last_lines;  // for OnTerm; set before the handler is

void Write(int fd, const std::string& text) {
  for (size_t at = 0; at < text.size();) {
    const ssize_t n = write(fd, text.data() + at, text.size() - at);
    if (n < 0 && errno != EINTR) _exit(99);
    if (n > 0) at += static_cast<size_t>(n);
  }
}

void OnTerm(int) {
  if (last_lines.empty()) {
    Write(STDERR_FILENO, "SIGTERM\n");
    return;
  }
  Write(kEventsFd, last_lines);
  _exit(kTerminated);
}

std::string ReadFile(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) _exit(98);
  return {std::istreambuf_iterator<char>(file), {}};
}

std::string Text(const Json& value) {
  return value.is_string() ? value.get<std::string>() : value.dump();
}

void WriteFile(const Json& step) {
  const std::filesystem::path path = step[0].get<std::string>();
  std::filesystem::create_directories(path.parent_path());
  std::ofstream file(path, std::ios::binary);
  for (int i = 0; i < step[2].get<int>(); ++i) file << step[1].get<std::string>();
}

void Do(const std::string& kind, const Json& value, const std::string& data_dir) {
  if (kind == "event") Write(kEventsFd, Text(value) + "\n");
  if (kind == "log") Write(STDERR_FILENO, Text(value));
  if (kind == "cat") Write(STDERR_FILENO, ReadFile(data_dir + "/" + Text(value)));
  if (kind == "file") WriteFile(value);
  if (kind == "outlive") prctl(PR_SET_PDEATHSIG, 0);
  if (kind == "signal") {
    signal(value.get<int>(), SIG_DFL);  // a sanitizer may have it
    raise(value.get<int>());
  }
  if (kind == "exit") _exit(value.get<int>());
  if (kind == "await") {
    while (!std::filesystem::exists(Text(value))) poll(nullptr, 0, 10);
  }
  if (kind == "hang") {
    for (;;) pause();
  }
  if (kind == "on_term") {
    for (const Json& line : value) last_lines += Text(line) + "\n";
    struct sigaction action {};
    action.sa_handler = OnTerm;
    sigaction(SIGTERM, &action, nullptr);
  }
}

int Main(int argc, char** argv) {
  const rlimit no_core{0, 0};
  setrlimit(RLIMIT_CORE, &no_core);
  std::string words = "args:";
  std::string spec;
  std::string data_dir;
  for (int i = 1; i < argc; ++i) {
    const std::string word = argv[i];
    words += " " + word;
    if (word == "--spec" && i + 1 < argc) spec = argv[i + 1];
    if (word == "--data-dir" && i + 1 < argc) data_dir = argv[i + 1];
  }
  Write(STDERR_FILENO, words + "\n");
  const Json job = Json::parse(ReadFile(spec));
  for (const Json& step : job.at("script")) {
    for (const auto& [kind, value] : step.items()) Do(kind, value, data_dir);
  }
  return 0;
}

}  // namespace
}  // namespace jenner::tests

int main(int argc, char** argv) { return jenner::tests::Main(argc, argv); }
