#include "logging/log.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace jenner::logging {
namespace {

const absl::Time kTime = absl::FromUnixMillis(1'700'000'000'123);
const Fields kFields = {
    {"code", "X=1"}, {"path", "/a/b"}, {"text", "two\nlines \"q\""}, {"none", ""}};

std::string InJson(const std::string& message, const Fields& fields,
                   const SourceLocation& where = SourceLocation::current()) {
  return Line(Format::kJson, kTime, Level::kWarning, message, fields, where);
}

TEST(Log, ALineOfTextIsOneLine) {
  EXPECT_EQ(Line(Format::kText, kTime, Level::kError, "it broke", kFields, {}),
            "time=2023-11-14T22:13:20.123Z level=error msg=\"it broke\" code=\"X=1\" path=/a/b "
            "text=\"two\\nlines \\\"q\\\"\" none=\"\"\n");
}

TEST(Log, ALineOfJsonIsOneObject) {
  const std::string line = InJson("it \"broke\"", kFields);
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  const int own_line = __LINE__ - 2;
  EXPECT_EQ(nlohmann::json::parse(line),
            (nlohmann::json{{"time", "2023-11-14T22:13:20.123Z"},
                            {"severity", "WARNING"},
                            {"message", "it \"broke\""},
                            {"source", "logging/log_test.cc:" + std::to_string(own_line)},
                            {"code", "X=1"},
                            {"path", "/a/b"},
                            {"text", "two\nlines \"q\""},
                            {"none", ""}}));
}

TEST(Log, WhatIsNoUtf8IsReplacedAndWhatIsLongIsCut) {
  const auto line = nlohmann::json::parse(InJson(
      "\xff", {{"long", std::string(5000, 'a')}, {"cut", std::string(4095, 'a') + "\u00e4"}}));
  EXPECT_EQ(line["message"], "\ufffd");
  EXPECT_EQ(line["long"], std::string(4096, 'a'));
  EXPECT_EQ(line["cut"], std::string(4095, 'a') + "\ufffd");
}

TEST(Log, EachLineHasTheCommonFields) {
  Configure(Format::kJson, {{"worker", "w1"}});
  ::testing::internal::CaptureStderr();
  Log(Level::kInfo, "started", {{"job", "j1"}});
  const auto line = nlohmann::json::parse(::testing::internal::GetCapturedStderr());
  Configure(Format::kText);
  EXPECT_EQ(line["worker"], "w1");
  EXPECT_EQ(line["job"], "j1");
  EXPECT_EQ(line["severity"], "INFO");
}

}  // namespace
}  // namespace jenner::logging
