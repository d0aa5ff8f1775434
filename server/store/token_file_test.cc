#include "server/store/token_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

namespace jenner::store {
namespace {

using ::testing::HasSubstr;

class TokenFileTest : public ::testing::Test {
 protected:
  TokenFileTest() {
    char path[] = "/tmp/jenner-tokens-XXXXXX";
    folder_ = mkdtemp(path);
    path_ = folder_ + "/tokens.json";
  }
  ~TokenFileTest() override { std::filesystem::remove_all(folder_); }

  static auth::Token Token(const std::string& name) {
    return {name, auth::Role::kSubmitter, "p1", auth::HashOf(name), "2026-11-25T00:00:00Z"};
  }
  void Write(const std::string& text) const { std::ofstream(path_) << text; }

  std::string folder_;
  std::string path_;
};

TEST_F(TokenFileTest, KeepsWhatWasAdded) {
  EXPECT_TRUE(ReadTokens(path_)->empty());
  ASSERT_TRUE(AddToken(path_, Token("a")).ok());
  ASSERT_TRUE(AddToken(path_, Token("b")).ok());
  EXPECT_TRUE(absl::IsAlreadyExists(AddToken(path_, Token("a"))));
  EXPECT_EQ(*ReadTokens(path_), (std::vector<auth::Token>{Token("a"), Token("b")}));
  struct stat known {};
  ASSERT_EQ(stat(path_.c_str(), &known), 0);
  EXPECT_EQ(known.st_mode & 0777, 0600u);
  ASSERT_TRUE(RemoveToken(path_, "a").ok());
  EXPECT_TRUE(absl::IsNotFound(RemoveToken(path_, "a")));
  EXPECT_EQ(*ReadTokens(path_), std::vector<auth::Token>{Token("b")});
}

TEST_F(TokenFileTest, RefusesNames) {
  EXPECT_TRUE(absl::IsInvalidArgument(AddToken(path_, Token("A b"))));
  auth::Token token = Token("a");
  token.project = "P/1";
  EXPECT_TRUE(absl::IsInvalidArgument(AddToken(path_, token)));
}

TEST_F(TokenFileTest, WhatIsNotAsWrittenIsDataLoss) {
  const std::string hash(64, '0');
  for (const std::string& text : std::vector<std::string>{
           "", "{", R"({"version":2,"tokens":[]})", R"({"version":1,"token":[]})",
           R"({"version":1,"tokens":[{"name":"a","role":"root","sha256":")" + hash + R"("}]})",
           R"({"version":1,"tokens":[{"name":"a","role":"admin","sha256":"00"}]})"}) {
    Write(text);
    EXPECT_TRUE(absl::IsDataLoss(ReadTokens(path_).status())) << text;
    EXPECT_THAT(ReadTokens(path_).status().message(), HasSubstr(path_));
    EXPECT_FALSE(AddToken(path_, Token("a")).ok()) << text;
  }
}

TEST_F(TokenFileTest, AChangeIsSeenOnce) {
  TokenFileWatch watch(path_);
  EXPECT_TRUE(watch.Poll().value()->empty());
  EXPECT_FALSE(watch.Poll().has_value());
  ASSERT_TRUE(AddToken(path_, Token("a")).ok());
  EXPECT_EQ(watch.Poll().value()->size(), 1u);
  EXPECT_FALSE(watch.Poll().has_value());
  Write("broken");
  EXPECT_TRUE(absl::IsDataLoss(watch.Poll()->status()));
  std::filesystem::remove(path_);
  EXPECT_TRUE(watch.Poll().value()->empty());
}

}  // namespace
}  // namespace jenner::store
