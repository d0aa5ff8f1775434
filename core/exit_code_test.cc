#include "core/exit_code.h"

#include <gtest/gtest.h>

#include <fstream>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"

namespace jenner::core {
namespace {

const char* Name(Retry retry) {
  switch (retry) {
    case Retry::kNever:
      return "never";
    case Retry::kCounted:
      return "counted";
    case Retry::kUncounted:
      return "uncounted";
  }
  return "";
}

// The rows of docs/failures.md that begin with an exit code, without the meaning.
std::vector<std::string> RowsOfDocument() {
  std::ifstream file(JENNER_SOURCE_DIR "/docs/failures.md");
  std::vector<std::string> rows;
  for (std::string line; std::getline(file, line);) {
    if (line.size() < 3 || line.rfind("| ", 0) != 0 || line[2] < '1' || line[2] > '9') continue;
    size_t bar = 0;
    for (int i = 0; i < 4 && bar != std::string::npos; ++i) bar = line.find('|', bar + 1);
    rows.push_back(line.substr(0, bar));
  }
  return rows;
}

TEST(ExitCodeTest, TheDocumentHasTheSameTable) {
  std::vector<std::string> expected;
  for (const FailureClass& one : kFailureClasses) {
    expected.push_back(absl::StrFormat("| %d | `%s` | %s | %s ", static_cast<int>(one.exit_code),
                                       one.code, one.blame, Name(one.retry)));
  }
  EXPECT_EQ(RowsOfDocument(), expected);
}

TEST(ExitCodeTest, AUsersFaultIsNeverTriedAgain) {
  for (const FailureClass& one : kFailureClasses) {
    EXPECT_EQ(one.retry == Retry::kNever, std::string(one.blame) == "user") << one.code;
    EXPECT_EQ(ClassOf(static_cast<int>(one.exit_code)).code, one.code);
  }
}

TEST(ExitCodeTest, WhatIsNotInTheTable) {
  EXPECT_EQ(ClassOf(137).retry, Retry::kCounted);
  EXPECT_EQ(ClassOf(-1).retry, Retry::kUncounted);
}

}  // namespace
}  // namespace jenner::core
