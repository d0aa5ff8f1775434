#include "server/rpc/paging.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "wire/status.h"

namespace jenner::rpc {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Paging, Sizes) {
  EXPECT_EQ(*PageSize(0), 50);
  EXPECT_EQ(*PageSize(7), 7);
  EXPECT_EQ(*PageSize(1000), 1000);
  EXPECT_EQ(*PageSize(1'000'000), 1000);
  const absl::Status negative = PageSize(-1).status();
  EXPECT_TRUE(absl::IsInvalidArgument(negative));
  ASSERT_EQ(wire::FaultsOf(negative).size(), 1u);
  EXPECT_EQ(wire::FaultsOf(negative)[0].field, "page_size");
}

TEST(Paging, TokensAreBoundToTheirArguments) {
  const std::string token = PageToken("ListSamples e1", {"j1", "4", "a \"quoted\" id"});
  EXPECT_THAT(*PagePosition("ListSamples e1", token, 3), ElementsAre("j1", "4", "a \"quoted\" id"));
  EXPECT_THAT(*PagePosition("x", "", 3), IsEmpty());
  EXPECT_FALSE(PagePosition("ListSamples e2", token, 3).ok());
  EXPECT_FALSE(PagePosition("ListSamples e1", token, 2).ok());
  for (const std::string& bad : {std::string("x"), token + "A", token.substr(1),
                                 std::string("W10="), std::string(10'000, 'A')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(PagePosition("ListSamples e1", bad, 3).status())) << bad;
  }
}

}  // namespace
}  // namespace jenner::rpc
