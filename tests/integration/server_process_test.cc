// The binary itself: what it says, how it ends, and that kill -9 loses nothing that was answered.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <sstream>
#include <thread>

#include "tests/integration/server_fixture.h"

extern char** environ;

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;

class Process {
 public:
  explicit Process(const std::vector<std::string>& flags) {
    int out[2];
    int err[2];
    if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) return;
    posix_spawn_file_actions_t actions;
    posix_spawn_file_actions_init(&actions);
    posix_spawn_file_actions_adddup2(&actions, out[1], STDOUT_FILENO);
    posix_spawn_file_actions_adddup2(&actions, err[1], STDERR_FILENO);
    const std::string binary = JENNER_BINARY_DIR "/bin/jenner-server";
    std::vector<char*> arguments = {const_cast<char*>(binary.c_str())};
    for (const std::string& flag : flags) arguments.push_back(const_cast<char*>(flag.c_str()));
    arguments.push_back(nullptr);
    if (posix_spawn(&pid_, binary.c_str(), &actions, nullptr, arguments.data(), environ) != 0)
      pid_ = -1;
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
  // The first line of standard output; "" if it ended without one.
  std::string Line() const {
    std::string line;
    for (char c; read(out_, &c, 1) == 1 && c != '\n';) line += c;
    return line;
  }
  std::string Errors() const {
    std::string text;
    char buffer[4096];
    for (ssize_t size; (size = read(err_, buffer, sizeof buffer)) > 0;) {
      text.append(buffer, static_cast<size_t>(size));
    }
    return text;
  }
  void Kill(int signal_number) const {
    if (pid_ > 0) kill(pid_, signal_number);
  }
  // The exit code, or 128 and the signal.
  int Wait() {
    if (pid_ <= 0) return code_;
    int status = 0;
    waitpid(pid_, &status, 0);
    pid_ = -1;
    code_ = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
    return code_;
  }

 private:
  pid_t pid_ = -1;
  int code_ = -1;
  int out_ = -1;
  int err_ = -1;
};

class ProcessTest : public ::testing::Test {
 protected:
  std::vector<std::string> Flags(std::vector<std::string> more = {}) const {
    std::vector<std::string> flags = {"--data-dir",  dir_.path() + "/data", "--listen",
                                      "127.0.0.1:0", "--metrics-listen",    ""};
    for (std::string& one : more) flags.push_back(std::move(one));
    return flags;
  }
  static std::string AddressIn(const std::string& line) {
    const std::string prefix = "listening on ";
    return line.rfind(prefix, 0) == 0 ? line.substr(prefix.size(), line.find(',') - prefix.size())
                                      : "";
  }
  static v1::CreateExperimentRequest Request(const std::string& id) {
    v1::CreateExperimentRequest request;
    request.set_experiment_id(id);
    v1::ExperimentSpec* spec = request.mutable_spec();
    spec->set_base_model("tiny");
    (*spec->mutable_contexts())["neutral"];
    spec->add_arms()->set_name("base");
    spec->mutable_evaluation()->set_prompts("sha256:" + core::Sha256Hex(kPrompts));
    return request;
  }

  TempDir dir_;
};

TEST_F(ProcessTest, SaysWhereItListensAndEndsCleanlyOnSigterm) {
  const std::string port_file = dir_.path() + "/port";
  Process server(Flags({"--port-file", port_file}));
  const std::string address = AddressIn(server.Line());
  ASSERT_FALSE(address.empty());
  std::ifstream file(port_file);
  std::string port;
  file >> port;
  EXPECT_EQ(address, "127.0.0.1:" + port);
  const Stubs stubs(wire::MakeClientChannel(address));
  EXPECT_TRUE(stubs.List(0, "").ok());

  // A stream is open meanwhile.
  ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  ASSERT_TRUE(stubs.Create(Request("e")).ok());
  Context context;
  v1::WatchExperimentRequest request;
  request.set_name("experiments/e");
  auto reader = stubs.experiments->WatchExperiment(&context, request);
  v1::WatchExperimentResponse update;
  ASSERT_TRUE(reader->Read(&update));
  const absl::Time begin = absl::Now();
  server.Kill(SIGTERM);
  while (reader->Read(&update)) continue;
  EXPECT_EQ(reader->Finish().error_code(), grpc::StatusCode::UNAVAILABLE);
  EXPECT_EQ(server.Wait(), 0);
  EXPECT_LT(absl::Now() - begin, absl::Seconds(10));
  const std::string log = server.Errors();
  EXPECT_THAT(log, HasSubstr("msg=replayed events=0"));
  EXPECT_THAT(log, HasSubstr("msg=\"shutting down\""));
}

TEST_F(ProcessTest, KilledAtAnyMomentItKeepsWhatItAnswered) {
  int num_answered = 0;
  for (int life = 0; life < 4; ++life) {
    Process server(Flags());
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    const Stubs stubs(wire::MakeClientChannel(address));
    ASSERT_TRUE(stubs.Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
    for (int i = 0; i < num_answered; ++i) {
      ASSERT_TRUE(stubs.Get(absl::StrFormat("experiments/e%d", i)).ok()) << "life " << life;
    }
    // One thread creates until the server is gone, which another sees to after some answers.
    const int until = num_answered + 5 + 3 * life;
    std::thread killer;
    for (;;) {
      const absl::Status made =
          stubs.Create(Request(absl::StrFormat("e%d", num_answered))).status();
      if (!made.ok() && !absl::IsAlreadyExists(made)) break;
      if (++num_answered == until) killer = std::thread([&] { server.Kill(SIGKILL); });
    }
    killer.join();
    EXPECT_EQ(server.Wait(), 128 + SIGKILL);
  }
  EXPECT_GE(num_answered, 4 * 5);
}

TEST_F(ProcessTest, FaultsAreOneLineAndExitCodeOne) {
  Process first(Flags());
  const std::string address = AddressIn(first.Line());
  ASSERT_FALSE(address.empty());
  const auto expect = [](std::vector<std::string> flags, const std::string& message) {
    Process process(flags);
    EXPECT_EQ(process.Line(), "");
    EXPECT_EQ(process.Wait(), 1) << message;
    const std::string errors = process.Errors();
    EXPECT_THAT(errors, HasSubstr("jenner-server: "));
    EXPECT_THAT(errors, HasSubstr(message));
  };
  expect(Flags(), "in use by another jenner-server");
  expect({"--data-dir", dir_.path() + "/b", "--listen", address, "--metrics-listen", ""},
         "cannot listen at " + address);
  expect({"--data-dir", dir_.path() + "/c", "--listen", "127.0.0.1:0", "--metrics-listen", address},
         "metrics cannot be served at " + address);
  expect({"--data-dir", dir_.path() + "/d", "--listen", "0.0.0.0:0"}, "--allow-plaintext");
  expect({"--data-dir", "/proc/nowhere/d"}, "/proc/nowhere/d cannot be made");
  std::ofstream(dir_.path() + "/file") << "x";
  expect({"--data-dir", dir_.path() + "/file"}, "cannot be made");
  std::filesystem::create_directory(dir_.path() + "/bad");
  std::ofstream(dir_.path() + "/bad/events.db") << std::string(5000, 'x');
  expect({"--data-dir", dir_.path() + "/bad", "--listen", "127.0.0.1:0", "--metrics-listen", ""},
         "events.db");
  Process usage({"--nonsense"});
  EXPECT_EQ(usage.Wait(), 2);
}

}  // namespace
}  // namespace jenner::tests
