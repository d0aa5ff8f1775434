#include "server/store/quota_file.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

namespace jenner::store {
namespace {

using coordinator::Quota;
using testing::HasSubstr;

TEST(QuotaFile, WhatAnOwnerLeavesOutIsTheDefault) {
  const auto quotas = ParseQuotas(R"({
    "default": {"slots": 4, "experiments": 10},
    "owners": {"ada": {"slots": 8}, "bob": {"jobs": 0}}
  })");
  ASSERT_TRUE(quotas.ok()) << quotas.status();
  EXPECT_EQ(quotas->Of("ada"), (Quota{8, std::nullopt, 10}));
  EXPECT_EQ(quotas->Of("bob"), (Quota{4, 0, 10}));
  EXPECT_EQ(quotas->Of("cleo"), (Quota{4, std::nullopt, 10}));
}

TEST(QuotaFile, NothingIsNoLimit) { EXPECT_EQ(ParseQuotas("{}")->Of("ada"), Quota()); }

TEST(QuotaFile, EveryFaultIsNamed) {
  const auto quotas = ParseQuotas(R"({
    "default": {"slot": 4, "jobs": -1},
    "owners": {"ada": {"slots": "8"}, "no name": {}, "bob": {"experiments": -3}},
    "owner": {}
  })");
  ASSERT_TRUE(absl::IsInvalidArgument(quotas.status()));
  const std::string message(quotas.status().message());
  EXPECT_THAT(message, HasSubstr("default.slot: unknown key; did you mean \"slots\"?"));
  EXPECT_THAT(message, HasSubstr("default.jobs: expected 0 or more, found -1"));
  EXPECT_THAT(message, HasSubstr("owners.ada.slots: expected an integer, found string \"8\""));
  EXPECT_THAT(message, HasSubstr("owners.no name: not an owner's name"));
  EXPECT_THAT(message, HasSubstr("owners.bob.experiments: expected 0 or more, found -3"));
  EXPECT_THAT(message, HasSubstr("owner: unknown key; did you mean \"owners\"?"));
  EXPECT_TRUE(absl::IsInvalidArgument(ParseQuotas("slots: 4").status()));
}

TEST(QuotaFile, TheFileIsNamed) {
  const std::string path = testing::TempDir() + "/quotas.json";
  std::ofstream(path) << R"({"default": {"slots": -1}})";
  EXPECT_EQ(ReadQuotas(path).status().message(),
            path + ": default.slots: expected 0 or more, found -1");
  EXPECT_TRUE(absl::IsFailedPrecondition(ReadQuotas(path + ".none").status()));
  EXPECT_THAT(std::string(ReadQuotas(path + ".none").status().message()),
              HasSubstr(path + ".none cannot be read"));
  EXPECT_FALSE(ReadQuotas(testing::TempDir()).ok()) << "a folder";
}

}  // namespace
}  // namespace jenner::store
