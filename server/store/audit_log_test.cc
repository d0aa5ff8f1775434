#include "server/store/audit_log.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace jenner::store {
namespace {

class AuditLogTest : public ::testing::Test {
 protected:
  AuditLogTest() {
    char path[] = "/tmp/jenner-audit-XXXXXX";
    folder_ = mkdtemp(path);
    path_ = folder_ + "/audit.jsonl";
  }
  ~AuditLogTest() override { std::filesystem::remove_all(folder_); }

  static AuditEntry Entry(const std::string& request_id) {
    return {absl::FromUnixMicros(1'700'000'000'000'001),
            "token/alice",
            "ipv4:10.0.0.7:4711",
            "Experiments/CancelExperiment",
            "experiments/e1",
            request_id,
            "OK",
            ""};
  }
  static std::vector<std::string> Lines(const std::string& path) {
    std::ifstream file(path);
    std::vector<std::string> lines;
    for (std::string line; std::getline(file, line);) lines.push_back(line);
    return lines;
  }

  std::string folder_;
  std::string path_;
};

TEST_F(AuditLogTest, WritesALineEachAndGoesOnAfterARestart) {
  for (const char* id : {"r1", "r2"}) {
    auto log = AuditLog::Open(path_);
    ASSERT_TRUE(log.ok()) << log.status();
    ASSERT_TRUE((*log)->Append(Entry(id)).ok());
  }
  ASSERT_EQ(Lines(path_).size(), 2u);
  EXPECT_EQ(Lines(path_)[0],
            R"({"time":"2023-11-14T22:13:20.000001Z","principal":"token/alice",)"
            R"("peer":"ipv4:10.0.0.7:4711","method":"Experiments/CancelExperiment",)"
            R"("resource":"experiments/e1","outcome":"OK","request_id":"r1"})");
  struct stat known {};
  ASSERT_EQ(stat(path_.c_str(), &known), 0);
  EXPECT_EQ(known.st_mode & 0777, 0600u);
}

TEST_F(AuditLogTest, NoTextForgesALine) {
  AuditEntry entry = Entry("r\n{\"principal\":\"token/mallory\"}\x01\xff");
  entry.message = std::string(10'000, 'x');
  const std::string line = AuditLine(entry);
  EXPECT_EQ(line.find('\n'), std::string::npos);
  EXPECT_LT(line.size(), 2'000u);
  EXPECT_EQ(nlohmann::json::parse(line)["principal"], "token/alice");
}

TEST_F(AuditLogTest, KeepsABoundedNumberOfFiles) {
  auto log = AuditLog::Open(path_, 500);
  ASSERT_TRUE(log.ok());
  for (int i = 0; i < 100; ++i) ASSERT_TRUE((*log)->Append(Entry(std::to_string(i))).ok());
  int num_files = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder_)) {
    EXPECT_LE(file.file_size(), 500u);
    ++num_files;
  }
  EXPECT_EQ(num_files, kMaxAuditFiles + 1);
  EXPECT_EQ(nlohmann::json::parse(Lines(path_).back())["request_id"], "99");
}

}  // namespace
}  // namespace jenner::store
