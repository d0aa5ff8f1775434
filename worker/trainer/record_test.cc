#include "worker/trainer/record.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

class RecordTest : public testing::Test {
 protected:
  RecordTest() {
    std::string pattern = testing::TempDir() + "/record-XXXXXX";
    EXPECT_NE(mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
    path_ = folder_ + "/record-0.jsonl";
  }
  ~RecordTest() override { std::filesystem::remove_all(folder_); }
  static std::string Read(const std::string& path) {
    std::stringstream text;
    text << std::ifstream(path).rdbuf();
    return text.str();
  }
  // What a life tells that goes on after `bytes` of the record and then tells `more`.
  std::string Live(int64_t bytes, const std::vector<std::string>& more) {
    const std::string stream = folder_ + "/events";
    const int fd = open(stream.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EventWriter events(fd);
    Record record(path_);
    events.Write("started", {{"rank", 0}});
    record.Continue(bytes, &events);
    for (const std::string& kind : more) events.Write(kind, {{"step", 0.1}});
    close(fd);
    return Read(stream);
  }
  std::string folder_;
  std::string path_;
};

TEST_F(RecordTest, TellsTelemetryAgainAndNumbersItAnew) {
  const std::string step = R"({"kind":"train_step","seq":2,"step":0.1})"
                           "\n";
  EXPECT_EQ(Live(0, {"train_step", "checkpoint", "sample"}),
            R"({"kind":"started","rank":0,"seq":1})"
            "\n" +
                step +
                R"({"kind":"checkpoint","seq":3,"step":0.1})"
                "\n"
                R"({"kind":"sample","seq":4,"step":0.1})"
                "\n");
  const auto whole = static_cast<int64_t>(Read(path_).size());
  EXPECT_EQ(Live(whole, {"evaluation"}), R"({"kind":"started","rank":0,"seq":1})"
                                         "\n" +
                                             step +
                                             R"({"kind":"sample","seq":3,"step":0.1})"
                                             "\n"
                                             R"({"kind":"evaluation","seq":4,"step":0.1})"
                                             "\n");
  // What came after the checkpoint is cut off.
  const auto first = static_cast<int64_t>(step.size());
  EXPECT_EQ(Live(first, {}), R"({"kind":"started","rank":0,"seq":1})"
                             "\n" +
                                 step);
  EXPECT_EQ(Read(path_), step);
}

TEST_F(RecordTest, ASealIsOfTheBeginningAndKnowsEveryChange) {
  std::ofstream(path_) << "abcd";
  const Record record(path_);
  // sha256("abc") begins with ba7816bf8f01cfea (FIPS 180-4).
  const std::vector<int64_t> seal = {3, static_cast<int64_t>(0xba7816bf8f01cfeau)};
  EXPECT_EQ(record.Seal(3), seal);
  EXPECT_EQ(record.Seal(10)[0], 4) << "shorter than asked for";
  std::ofstream(path_) << "abbd";
  EXPECT_NE(record.Seal(3), seal);
  EXPECT_EQ(Record(folder_ + "/absent").Seal(5)[0], 0);
}

TEST_F(RecordTest, AFolderThatIsNotThereIsAStorageFault) {
  try {
    Record record(folder_ + "/absent/record-0.jsonl");
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), core::ExitCode::kStorage);
  }
}

}  // namespace
}  // namespace jenner::trainer
