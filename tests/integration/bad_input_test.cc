// What people get wrong when they start the programs: each is told in one line that names the flag
// or the file, with an exit code that is not 0. server_process_test, security_test and
// failover_test have what needs a server of their own kind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <sys/file.h>

#include <filesystem>
#include <fstream>

#include "absl/time/clock.h"
#include "server/certs/certs.h"
#include "tests/integration/process.h"
#include "tests/integration/temp_dir.h"

namespace jenner::tests {
namespace {

using ::testing::ContainsRegex;

struct Case {
  const char* name;
  const char* program;
  std::vector<std::string> flags;  // "@" is the test's folder
  int code;
  const char* message;    // a regular expression; "@" as above
  const char* full = "";  // below which the disk is full
};

const std::vector<std::string> kServer = {"--listen", "127.0.0.1:0", "--metrics-listen", ""};
const std::vector<std::string> kWorker = {
    "--server", "127.0.0.1:1", "--name", "w1", "--trainer", JENNER_BINARY_DIR "/bin/fake_trainer"};

std::vector<std::string> operator+(std::vector<std::string> flags, std::vector<std::string> more) {
  flags.insert(flags.end(), more.begin(), more.end());
  return flags;
}

std::vector<Case> OfTheServer() {
  return {
      {"server_data_dir_needed", "jenner-server", kServer, 2, "--data-dir is required"},
      {"server_disk_full", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new"}, 1,
       "data directory @/new is not writable: No space left on device", "@/new"},
      {"server_disk_full_later", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new"}, 1,
       "@/new/events.db: .*disk is full", "@/new/events"},
      {"server_cert_missing", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--tls-client-ca", "@/pki/ca.pem",
                                          "--tls-cert", "@/no.pem", "--tls-key",
                                          "@/pki/server.key"},
       1, "@/no.pem"},
      {"server_cert_is_key", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--tls-client-ca", "@/pki/ca.pem",
                                          "--tls-cert", "@/pki/server.key", "--tls-key",
                                          "@/pki/server.key"},
       1, "@/pki/server.key"},
      {"server_cert_of_other_key", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--tls-client-ca", "@/pki/ca.pem",
                                          "--tls-cert", "@/pki/server.pem", "--tls-key",
                                          "@/pki/worker-w1.key"},
       1, "@/pki/server.pem and @/pki/worker-w1.key: they do not belong together"},
      {"server_quotas_missing", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--quotas", "@/no.json"}, 1,
       "@/no.json cannot be read: No such file"},
      {"server_event_log_missing", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--event-log-file", "@/no.txt"}, 1,
       "@/no.txt cannot be read: No such file"},
      {"server_port_file", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/new", "--port-file", "@/no/port"}, 1,
       "@/no/port cannot be written"},
      {"server_tokens_broken", "jenner-server",
       kServer + std::vector<std::string>{"--data-dir", "@/bad-tokens"}, 1,
       "@/bad-tokens/tokens.json"},
      {"tokens_no_data_dir",
       "jenner-server",
       {"tokens", "list", "--data-dir", "@/no"},
       2,
       "--data-dir.*@/no"},
      {"backup_no_data_dir",
       "jenner-server",
       {"backup", "--data-dir", "@/no", "--to", "@/backup"},
       1,
       "@/no/events.db"},
      {"restore_no_backup",
       "jenner-server",
       {"restore", "--from", "@/no", "--data-dir", "@/new"},
       1,
       "@/no/manifest.json cannot be read"},
  };
}

std::vector<Case> OfTheOthers() {
  return {
      {"worker_models_dir", "jenner-worker",
       kWorker + std::vector<std::string>{"--models-dir", "@/no", "--work-dir", "@/work"}, 2,
       "--models-dir: @/no is no folder"},
      {"worker_trainer",
       "jenner-worker",
       {"--server", "127.0.0.1:1", "--name", "w1", "--models-dir", "@/models", "--work-dir",
        "@/work", "--trainer", "@/no"},
       2,
       "--trainer: @/no: no such file"},
      {"worker_work_dir_is_file", "jenner-worker",
       kWorker + std::vector<std::string>{"--models-dir", "@/models", "--work-dir", "@/file"}, 2,
       "@/file"},
      {"worker_work_dir_in_use", "jenner-worker",
       kWorker + std::vector<std::string>{"--models-dir", "@/models", "--work-dir", "@/in-use"}, 2,
       "@/in-use/lock"},
      {"worker_ca_missing", "jenner-worker",
       kWorker + std::vector<std::string>{"--models-dir", "@/models", "--work-dir", "@/work",
                                          "--ca", "@/no.pem", "--cert", "@/pki/worker-w1.pem",
                                          "--key", "@/pki/worker-w1.key"},
       2, "@/no.pem"},
      {"worker_key_needed", "jenner-worker",
       kWorker + std::vector<std::string>{"--models-dir", "@/models", "--work-dir", "@/work",
                                          "--ca", "@/pki/ca.pem"},
       2, "--ca: a worker needs --cert and --key"},
      {"worker_plaintext",
       "jenner-worker",
       {"--server", "10.0.0.1:7070", "--name", "w1", "--models-dir", "@/models", "--work-dir",
        "@/work", "--trainer", JENNER_BINARY_DIR "/bin/fake_trainer"},
       2,
       "--allow-plaintext"},
      {"cli_ca_missing", "jenner", {"--ca", "@/no.pem", "worker", "list"}, 3, "@/no.pem"},
      {"cli_token_missing",
       "jenner",
       {"--token-file", "@/no.token", "worker", "list"},
       3,
       "@/no.token"},
      {"cli_token_of_two_words",
       "jenner",
       {"--token-file", "@/two-words", "worker", "list"},
       2,
       "@/two-words"},
      {"cli_token_in_the_clear",
       "jenner",
       {"--server", "10.0.0.1:7070", "--token-file", "@/token", "worker", "list"},
       2,
       "not encrypted: the token is not sent"},
      {"cli_spec_missing", "jenner", {"experiment", "create", "-f", "@/no.yaml"}, 3, "@/no.yaml"},
      {"cli_server_away",
       "jenner",
       {"--server", "127.0.0.1:1", "--timeout", "0.2", "worker", "list"},
       5,
       "no answer from 127.0.0.1:1"},
  };
}

std::vector<Case> Cases() {
  std::vector<Case> cases = OfTheServer();
  for (const Case& one : OfTheOthers()) cases.push_back(one);
  return cases;
}

class BadInputTest : public ::testing::TestWithParam<Case> {
 protected:
  void SetUp() override {
    ASSERT_TRUE(certs::MakeAuthority(In("@/pki"), absl::Now()).ok());
    ASSERT_TRUE(certs::MakeServer(In("@/pki"), {}, absl::Now()).ok());
    ASSERT_TRUE(certs::MakeWorker(In("@/pki"), "w1", absl::Now()).ok());
    for (const char* folder : {"@/models", "@/in-use", "@/bad-tokens"}) {
      std::filesystem::create_directory(In(folder));
    }
    std::ofstream(In("@/file")) << "x";
    std::ofstream(In("@/token")) << "word";
    std::ofstream(In("@/two-words")) << "two words";
    std::ofstream(In("@/bad-tokens/tokens.json")) << "{";
    std::ofstream(In("@/full")) << "";
    lock_ = open(In("@/in-use/lock").c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ASSERT_EQ(flock(lock_, LOCK_EX), 0);
  }
  void TearDown() override { close(lock_); }
  std::string In(std::string text) const {
    for (size_t at; (at = text.find('@')) != std::string::npos;) text.replace(at, 1, dir_.path());
    return text;
  }

  TempDir dir_;
  int lock_ = -1;
};

TEST_P(BadInputTest, IsToldInOneLineThatNamesIt) {
  const Case& given = GetParam();
  std::vector<std::string> flags;
  for (const std::string& flag : given.flags) flags.push_back(In(flag));
  ProcessOptions options;
  if (*given.full != 0) options.environment = FullDisk(In(given.full), In("@/full"));
  Process process(given.program, flags, options);
  ASSERT_TRUE(process.EndsWithin(20'000)) << "it runs";
  const std::string errors = process.Errors();
  EXPECT_EQ(process.Wait(), given.code) << errors;
  EXPECT_THAT(errors, ContainsRegex(In(given.message)));
}

INSTANTIATE_TEST_SUITE_P(Programs, BadInputTest, ::testing::ValuesIn(Cases()),
                         [](const auto& one) { return std::string(one.param.name); });

}  // namespace
}  // namespace jenner::tests
