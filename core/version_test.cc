#include "core/version.h"

#include <gtest/gtest.h>

namespace jenner::core {
namespace {

TEST(VersionTest, ThreeNumbersAndNothingElse) {
  EXPECT_EQ(ParseVersion("0.1.0"), (Version{0, 1, 0}));
  EXPECT_EQ(ParseVersion("12.345.999999"), (Version{12, 345, 999999}));
  for (const char* bad : {"", "test", "1", "1.2", "1.2.", ".1.2", "1..2", "1.2.3.4", "1.2.-3",
                          "1.2.x", " 1.2.3", "1.2.1000000"}) {
    EXPECT_EQ(ParseVersion(bad), std::nullopt) << bad;
  }
}

TEST(VersionTest, AdjacentMinorVersionsWorkTogether) {
  EXPECT_EQ(SkewOf("0.1.0", "0.1.7"), VersionSkew::kNone);
  EXPECT_EQ(SkewOf("0.1.0", "0.2.0"), VersionSkew::kNear);
  EXPECT_EQ(SkewOf("1.9.0", "1.8.4"), VersionSkew::kNear);
  EXPECT_EQ(SkewOf("0.1.0", "0.3.0"), VersionSkew::kFar);
  EXPECT_EQ(SkewOf("0.9.0", "1.0.0"), VersionSkew::kFar);
  // Of who tells no version nothing is known.
  EXPECT_EQ(SkewOf("", "0.3.0"), VersionSkew::kNone);
  EXPECT_EQ(SkewOf("0.1.0", "test"), VersionSkew::kNone);
}

}  // namespace
}  // namespace jenner::core
