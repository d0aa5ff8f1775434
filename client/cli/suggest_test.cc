#include "client/cli/suggest.h"

#include <gtest/gtest.h>

namespace jenner::cli {
namespace {

TEST(SuggestTest, EditDistance) {
  EXPECT_EQ(EditDistance("", "abc"), 3);
  EXPECT_EQ(EditDistance("create", "create"), 0);
  EXPECT_EQ(EditDistance("craete", "create"), 1);  // two neighbours swapped
  EXPECT_EQ(EditDistance("kitten", "sitting"), 3);
}

TEST(SuggestTest, OnlyWhatMayHaveBeenMeant) {
  const std::vector<std::string> verbs = {"create", "list", "get", "watch", "wait"};
  EXPECT_EQ(Nearest("craete", verbs), "create");
  EXPECT_EQ(Nearest("lst", verbs), "list");
  EXPECT_EQ(Nearest("wacht", verbs), "watch");
  EXPECT_EQ(Nearest("destroy", verbs), "");
  EXPECT_EQ(Nearest("xy", verbs), "");
  EXPECT_EQ(Nearest("", verbs), "");
}

}  // namespace
}  // namespace jenner::cli
