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
  // What a life tells that goes on with the record as it is and then tells `more`.
  std::string Live(const std::vector<std::string>& more) {
    const std::string stream = folder_ + "/events";
    const int fd = open(stream.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
    EventWriter events(fd);
    Record record(path_);
    events.Write("started", {{"rank", 0}});
    record.Continue(&events);
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
  EXPECT_EQ(Live({"train_step", "checkpoint", "sample"}),
            R"({"kind":"started","rank":0,"seq":1})"
            "\n" +
                step +
                R"({"kind":"checkpoint","seq":3,"step":0.1})"
                "\n"
                R"({"kind":"sample","seq":4,"step":0.1})"
                "\n");
  EXPECT_EQ(Live({"evaluation"}), R"({"kind":"started","rank":0,"seq":1})"
                                  "\n" +
                                      step +
                                      R"({"kind":"sample","seq":3,"step":0.1})"
                                      "\n"
                                      R"({"kind":"evaluation","seq":4,"step":0.1})"
                                      "\n");
}

TEST_F(RecordTest, IsReadInPieces) {
  const Record record(path_);
  const std::string text = "0123456789" + std::string(Record::kPieceBytes, 'x');
  record.Append(text);
  EXPECT_EQ(record.size_bytes(), static_cast<int64_t>(text.size()));
  EXPECT_EQ(record.Read(3, 7), "3456");
  EXPECT_EQ(record.Read(8, 1 << 30), text.substr(8, Record::kPieceBytes));
  EXPECT_EQ(record.Read(record.size_bytes() - 2, 1 << 30), "xx");
  EXPECT_EQ(record.Read(7, 3), "");
  record.Clear();
  EXPECT_EQ(record.size_bytes(), 0);
  record.Append("a");
  EXPECT_EQ(Read(path_), "a");
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
