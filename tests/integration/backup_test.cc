// jenner-server backup and restore, over the binary: an experiment goes on in the restored
// coordinator and ends as it would have; what is not whole is refused by the name of its file.
#include <gmock/gmock.h>

#include <filesystem>
#include <fstream>
#include <iterator>

#include "server/store/postgres_instance.h"
#include "tests/integration/process.h"
#include "tests/integration/server_fixture.h"
#include "tests/integration/server_process.h"

namespace jenner::tests {
namespace {

using ::testing::HasSubstr;
using ::testing::StartsWith;

constexpr char kProgram[] = "jenner-server";
constexpr int kFirstAttempt = 100'001;  // of a coordinator that was restored once

struct Outcome {
  int code = 0;
  std::string output;
  std::string errors;
};

class BackupTest : public ServerTest {
 protected:
  void SetUp() override {}  // servers are processes here

  std::string Path(const std::string& name) const { return dir_.path() + "/" + name; }
  std::vector<std::string> Flags(const std::string& data_dir,
                                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> flags = {
        "--data-dir", Path(data_dir), "--listen", "127.0.0.1:0", "--metrics-listen",
        "",           "--lease",      "1800"};
    flags.insert(flags.end(), more.begin(), more.end());
    return flags;
  }
  static Outcome Run(const std::vector<std::string>& words,
                     const std::vector<std::string>& environment = {}) {
    ProcessOptions options;
    options.environment = environment;
    Process process(kProgram, words, options);
    Outcome outcome;
    if (!process.EndsWithin(60'000))
      process.Kill(SIGKILL);  // a server that should not have started
    outcome.output = process.Output();
    outcome.errors = process.Errors();
    outcome.code = process.Wait();
    return outcome;
  }
  Outcome Backup(const std::string& data_dir, const std::string& to,
                 const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"backup", "--data-dir", Path(data_dir), "--to", Path(to)};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  Outcome Restore(const std::string& from, const std::string& data_dir,
                  const std::vector<std::string>& more = {}) const {
    std::vector<std::string> words = {"restore", "--from", Path(from), "--data-dir",
                                      Path(data_dir)};
    words.insert(words.end(), more.begin(), more.end());
    return Run(words);
  }
  std::vector<std::string> FullBelow(const std::string& folder) const {
    std::ofstream(Path("full")) << "";
    return FullDisk(Path(folder), Path("full"));
  }
  // Starts a server, has an experiment "done" run to its end, and stops it.
  void MakeDataDir(const std::string& data_dir) {
    Process server(kProgram, Flags(data_dir));
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    stubs_ = std::make_unique<Stubs>(wire::MakeClientChannel(address));
    ASSERT_NO_FATAL_FAILURE(RunWhole("done"));
    server.Kill(SIGTERM);
    ASSERT_EQ(server.Wait(), 0);
  }
  // A blob of that backup or data directory.
  std::string AnyBlob(const std::string& folder) const {
    for (const auto& entry :
         std::filesystem::recursive_directory_iterator(Path(folder) + "/blobs")) {
      const std::string name = entry.path().filename().string();
      if (entry.is_regular_file() && name.size() == 64) return entry.path().string();
    }
    return "";
  }
  static bool IsEmpty(const std::string& folder) {
    std::error_code error;
    return std::filesystem::is_empty(folder, error) || error;
  }
};

// All that they say but by which attempt.
std::vector<std::string> Lines(const std::vector<v1::ResultRow>& rows) {
  std::vector<std::string> lines;
  for (v1::ResultRow row : rows) {
    row.mutable_cell()->clear_attempt();
    lines.push_back(row.ShortDebugString());
  }
  return lines;
}

// Half of what each rank that it was given has to tell.
void TellHalf(const FakeAgent& agent) {
  for (const v1::Assignment& assignment : agent.last.assignments()) {
    std::vector<std::string> lines = FakeAgent::Run(assignment, 4);
    lines.resize(lines.size() / 2);
    ASSERT_TRUE(agent.Telemetry(assignment.key(), lines).ok());
  }
}

TEST_F(BackupTest, AnExperimentGoesOnWhereItWasAndEndsAsItWouldHave) {
  std::vector<std::string> undisturbed;
  std::vector<std::string> done;
  std::vector<v1::RankReport> of_before;
  {
    Process server(kProgram, Flags("a"));
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    stubs_ = std::make_unique<Stubs>(wire::MakeClientChannel(address));
    ASSERT_NO_FATAL_FAILURE(RunWhole("done"));
    done = Lines(*stubs_->Results("experiments/done"));
    ASSERT_TRUE(stubs_->Create(Request("half")).ok());
    FakeAgent agent(*stubs_, "w1");
    ASSERT_TRUE(agent.Synchronize().ok());
    ASSERT_EQ(agent.last.assignments_size(), 2);
    ASSERT_NO_FATAL_FAILURE(TellHalf(agent));

    const Outcome backup = Backup("a", "backup");
    ASSERT_EQ(backup.code, 0) << backup.errors;
    EXPECT_THAT(backup.output, HasSubstr("2 experiments"));

    // The coordinator goes on without minding.
    for (const v1::Assignment& assignment : agent.last.assignments()) {
      v1::RankReport& report = agent.Report(assignment.key(), v1::RankReport::PHASE_ENDED);
      report.set_step(4);
    }
    of_before = agent.reports;
    agent.reports.clear();
    ASSERT_NO_FATAL_FAILURE(agent.RunAll());
    ASSERT_EQ(stubs_->Get("experiments/half")->state(), v1::STATE_SUCCEEDED);
    undisturbed = Lines(*stubs_->Results("experiments/half"));
  }
  const Outcome restore = Restore("backup", "b");
  ASSERT_EQ(restore.code, 0) << restore.errors;
  EXPECT_THAT(restore.output, HasSubstr("2 jobs wait again"));

  Process server(kProgram, Flags("b"));
  const std::string address = AddressIn(server.Line());
  ASSERT_FALSE(address.empty());
  const Stubs stubs(wire::MakeClientChannel(address));
  EXPECT_EQ(Lines(*stubs.Results("experiments/done")), done);
  ASSERT_EQ(stubs.Get("experiments/half")->state(), v1::STATE_RUNNING);
  // The agent has not changed, and still has the ranks of before, which it says ended well.
  FakeAgent agent(stubs, "w1");
  agent.reports = of_before;
  ASSERT_TRUE(agent.Synchronize().ok());
  EXPECT_TRUE(absl::IsAborted(agent.Telemetry(of_before.front().key(), {})));
  agent.reports.clear();
  const absl::StatusOr<v1::Experiment> half = stubs.Get("experiments/half");
  ASSERT_TRUE(half.ok()) << half.status();
  for (const v1::Job& job : half->jobs()) {
    EXPECT_EQ(job.state(), v1::STATE_RUNNING);
    EXPECT_EQ(job.attempt(), kFirstAttempt);
    EXPECT_EQ(job.interruptions(), 0);
    EXPECT_EQ(job.attempts_counted(), 0);
  }
  ASSERT_NO_FATAL_FAILURE(agent.RunAll());
  EXPECT_EQ(stubs.Get("experiments/half")->state(), v1::STATE_SUCCEEDED);
  EXPECT_EQ(Lines(*stubs.Results("experiments/half")), undisturbed);
  // A new experiment takes no number that an agent may know, either.
  ASSERT_TRUE(stubs.Create(Request("new")).ok());
  ASSERT_NO_FATAL_FAILURE(agent.RunAll());
  EXPECT_EQ(stubs.Get("experiments/new")->jobs(0).attempt(), kFirstAttempt);
}

// While experiments are made as fast as can be: each that the backup has is whole.
TEST_F(BackupTest, IsOfOneMomentThoughTheServerIsBusy) {
  int made_before = 0;
  {
    Process server(kProgram, Flags("a"));
    const Stubs stubs(wire::MakeClientChannel(AddressIn(server.Line())));
    const auto create = [&stubs](int number) {
      const std::string prompts =
          absl::StrFormat(R"({"id":"p%d","messages":[{"role":"user","content":"Hello"}]})",
                          number) +
          "\n";
      ASSERT_TRUE(stubs.Upload(prompts, v1::DATASET_USE_EVALUATION).ok());
      v1::CreateExperimentRequest request = SmallRequest(absl::StrFormat("e%d", number));
      request.mutable_spec()->mutable_evaluation()->set_prompts("sha256:" +
                                                                core::Sha256Hex(prompts));
      ASSERT_TRUE(stubs.Create(request).ok());
    };
    for (; made_before < 20; ++made_before) ASSERT_NO_FATAL_FAILURE(create(made_before));
    Process backup(kProgram, {"backup", "--data-dir", Path("a"), "--to", Path("backup")});
    for (int number = made_before; !backup.EndsWithin(0); ++number) {
      ASSERT_NO_FATAL_FAILURE(create(number));
    }
    ASSERT_EQ(backup.Wait(), 0) << backup.Errors();
    server.Kill(SIGKILL);
    server.Wait();
  }
  // Of what a killed server left, too.
  const Outcome of_killed = Backup("a", "backup-2");
  EXPECT_EQ(of_killed.code, 0) << of_killed.errors;
  for (const char* from : {"backup", "backup-2"}) {
    const std::string to = std::string("restored-") + from;
    const Outcome restore = Restore(from, to);
    ASSERT_EQ(restore.code, 0) << restore.errors;
    Process server(kProgram, Flags(to));
    const Stubs stubs(wire::MakeClientChannel(AddressIn(server.Line())));
    EXPECT_GE(stubs.List(1000, "")->experiments_size(), made_before);
  }
}

TEST_F(BackupTest, ABackupThatIsNotWholeIsRefusedByTheNameOfItsFile) {
  ASSERT_NO_FATAL_FAILURE(MakeDataDir("a"));
  const auto refused = [this](const std::string& message) {
    const Outcome outcome = Restore("backup", "b");
    EXPECT_EQ(outcome.code, 1) << outcome.output;
    EXPECT_THAT(outcome.errors, StartsWith("jenner-server: "));
    EXPECT_THAT(outcome.errors, HasSubstr(message));
    EXPECT_FALSE(std::filesystem::exists(Path("b"))) << "nothing was made";
  };
  const auto broken = [this, &refused](const std::function<void()>& spoil,
                                       const std::string& message) {
    ASSERT_EQ(Backup("a", "backup").code, 0);
    spoil();
    refused(message);
    std::filesystem::remove_all(Path("backup"));
  };
  refused("backup/manifest.json cannot be read");
  broken([this] { std::filesystem::resize_file(Path("backup/metrics.db"), 5000); },
         "backup/metrics.db has 5000 bytes");
  broken([this] { std::filesystem::remove(Path("backup/events.db")); },
         "backup/events.db is missing");
  broken([this] { std::filesystem::remove(AnyBlob("backup")); },
         "is missing: the backup is not whole");
  broken(
      [this] {
        // Not of the hard link, which is the server's own blob.
        const std::string blob = AnyBlob("backup");
        const auto size = std::filesystem::file_size(blob);
        std::filesystem::remove(blob);
        std::ofstream(blob) << std::string(size, 'x');
      },
      "is corrupt: its bytes have another hash");
  broken([this] { std::filesystem::resize_file(Path("backup/manifest.json"), 100); },
         "backup/manifest.json: ");
  broken([this] { std::ofstream(Path("backup/manifest.json")) << R"({"format": 2, "more": []})"; },
         "backup of format 2; this program reads format 1");
  broken(
      [this] {
        std::ofstream(Path("backup/manifest.json"))
            << R"({"format": 1, "files": [{"path": "../x", "sha256": "", "size_bytes": 1}]})";
      },
      "expected a relative path");
}

TEST_F(BackupTest, RefusesWhatItWouldOverwriteAndWhatIsMissing) {
  ASSERT_NO_FATAL_FAILURE(MakeDataDir("a"));
  ASSERT_EQ(Backup("a", "backup").code, 0);
  EXPECT_THAT(Backup("a", "backup").errors, HasSubstr("backup is not empty"));
  const Outcome over = Restore("backup", "a");
  EXPECT_EQ(over.code, 1);
  EXPECT_THAT(over.errors, HasSubstr("data directory " + Path("a") + " is not empty"));
  EXPECT_THAT(Backup("nowhere", "other").errors, HasSubstr("nowhere/events.db"));

  const std::string blob = AnyBlob("a");
  std::filesystem::remove(blob);
  const Outcome missing = Backup("a", "other");
  EXPECT_EQ(missing.code, 1);
  EXPECT_THAT(missing.errors, HasSubstr(blob + " is missing, which experiment \"done\" names"));
  EXPECT_TRUE(IsEmpty(Path("other"))) << "nothing is left of it";
  std::ofstream(blob) << "something else";
  const Outcome corrupt = Backup("a", "other");
  EXPECT_EQ(corrupt.code, 1);
  EXPECT_THAT(corrupt.errors, HasSubstr(blob + " is corrupt"));
}

TEST_F(BackupTest, AFullDiskLeavesNothingThatPassesForWhole) {
  ASSERT_NO_FATAL_FAILURE(MakeDataDir("a"));
  const Outcome backup =
      Run({"backup", "--data-dir", Path("a"), "--to", Path("backup")}, FullBelow("backup"));
  EXPECT_EQ(backup.code, 1);
  EXPECT_THAT(backup.errors, HasSubstr("disk is full"));
  EXPECT_TRUE(IsEmpty(Path("backup")));

  ASSERT_EQ(Backup("a", "backup").code, 0);
  const Outcome restore =
      Run({"restore", "--from", Path("backup"), "--data-dir", Path("b")}, FullBelow("b/metrics"));
  EXPECT_EQ(restore.code, 1);
  EXPECT_THAT(restore.errors, HasSubstr("b/metrics.db: No space left on device"));
  const Outcome server = Run(Flags("b"));
  EXPECT_EQ(server.code, 1);
  EXPECT_THAT(server.errors, HasSubstr("data directory " + Path("b") + " is half restored"));
  std::filesystem::remove_all(Path("b"));
  EXPECT_EQ(Restore("backup", "b").code, 0);
  Process good(kProgram, Flags("b"));
  EXPECT_FALSE(AddressIn(good.Line()).empty());
}

// Events in PostgreSQL are in the backup, too, and go back there or into the directory.
TEST_F(BackupTest, EventsOfASharedLog) {
  const std::string database = store::PostgresInstance::Shared().NewDatabase();
  {
    Process server(kProgram, Flags("a", {"--event-log", database}));
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty());
    stubs_ = std::make_unique<Stubs>(wire::MakeClientChannel(address));
    ASSERT_NO_FATAL_FAILURE(RunWhole("done"));
    const Outcome backup = Backup("a", "backup", {"--event-log", database});
    ASSERT_EQ(backup.code, 0) << backup.errors;
    server.Kill(SIGTERM);
    ASSERT_EQ(server.Wait(), 0);
  }
  EXPECT_THAT(Backup("a", "other").errors, HasSubstr("a/events.db"));
  EXPECT_THAT(Restore("backup", "b", {"--event-log", database}).errors,
              HasSubstr("the event log is not empty"));
  const std::string other = store::PostgresInstance::Shared().NewDatabase();
  const std::vector<std::pair<std::string, std::vector<std::string>>> targets = {
      {"own", {}}, {"shared", {"--event-log", other}}};
  for (const auto& [to, more] : targets) {
    const Outcome restore = Restore("backup", to, more);
    ASSERT_EQ(restore.code, 0) << restore.errors;
    Process server(kProgram, Flags(to, more));
    const std::string address = AddressIn(server.Line());
    ASSERT_FALSE(address.empty()) << server.Errors();
    const Stubs stubs(wire::MakeClientChannel(address));
    EXPECT_EQ(stubs.Get("experiments/done")->state(), v1::STATE_SUCCEEDED);
    EXPECT_FALSE(stubs.Results("experiments/done")->empty());
    server.Kill(SIGTERM);
    EXPECT_EQ(server.Wait(), 0);
  }
}

}  // namespace
}  // namespace jenner::tests
