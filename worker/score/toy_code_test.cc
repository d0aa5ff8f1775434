#include "worker/score/toy_code.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <optional>
#include <string>

namespace jenner::score {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;

// f(x); nullopt: no value. Fails if the text is no program.
std::optional<int64_t> F(const std::string& program, int64_t x) {
  const auto value = Evaluate(program, x);
  EXPECT_TRUE(value.ok()) << program << ": " << value.status();
  return value.value_or(std::nullopt);
}

std::string Fault(const std::string& program) {
  return std::string(Evaluate(program, 0).status().message());
}

TEST(ToyCodeTest, BindsAsPythonDoes) {
  EXPECT_EQ(F("2+3*x", 4), 14);
  EXPECT_EQ(F("(2+3)*x", 4), 20);
  EXPECT_EQ(F("10-4-x", 3), 3);
  EXPECT_EQ(F("-x*x", 3), -9);
  EXPECT_EQ(F("x//2*2", 5), 4);
  EXPECT_EQ(F("1 if x>0 else 2 if x<0 else 3", 0), 3);
  EXPECT_EQ(F("1 if not x>0 and x<5 or x==9 else 2", 9), 1);
}

TEST(ToyCodeTest, DivisionRoundsDown) {
  EXPECT_EQ(F("x//2", -3), -2);
  EXPECT_EQ(F("x%2", -3), 1);
  EXPECT_EQ(F("x%(-2)", 3), -1);
  EXPECT_EQ(F("6//x", 0), std::nullopt);
  EXPECT_EQ(F("6%x", 0), std::nullopt);
}

TEST(ToyCodeTest, OverflowHasNoValue) {
  constexpr int64_t kLeast = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(F("x+1", std::numeric_limits<int64_t>::max()), std::nullopt);
  EXPECT_EQ(F("x-1", kLeast), std::nullopt);
  EXPECT_EQ(F("-x", kLeast), std::nullopt);
  EXPECT_EQ(F("x*2", kLeast), std::nullopt);
  EXPECT_EQ(F("x//-1", kLeast), std::nullopt);
  EXPECT_EQ(F("x%-1", kLeast), 0);
  EXPECT_EQ(F("x//2", kLeast), kLeast / 2);
}

TEST(ToyCodeTest, AFunctionThatFallsThroughHasNoValue) {
  EXPECT_EQ(F("if x==3: 6", 3), 6);
  EXPECT_EQ(F("if x==3: 6", 4), std::nullopt);
  EXPECT_EQ(F("if x==3: 6 elif x==4: 8", 4), 8);
}

TEST(ToyCodeTest, OnlyWhatIsTakenCounts) {
  EXPECT_EQ(F("if x==0: 1 else: 6//x", 0), 1);
  EXPECT_EQ(F("1 if x==0 or 6//x==2 else 5", 0), 1);
  EXPECT_EQ(F("1 if x!=0 and 6//x==2 else 5", 0), 5);
  EXPECT_EQ(F("1 if 6//x==2 or x==0 else 5", 0), std::nullopt);
  EXPECT_EQ(F("if 6//x==2: 1 elif x==0: 2", 0), std::nullopt);
}

TEST(ToyCodeTest, FaultsNameTheByte) {
  EXPECT_EQ(Fault("x*"), "no program: byte 2: expected x, a number, \"-\" or \"(\"");
  EXPECT_EQ(Fault("x*2 y"), "no program: byte 4: expected the end");
  EXPECT_THAT(Fault("if x==3 6"), HasSubstr("byte 8: expected \":\""));
  EXPECT_THAT(Fault("x==3"), HasSubstr("expected an integer, found a condition"));
  EXPECT_THAT(Fault("if x: 6"), HasSubstr("expected a condition, found an integer"));
  EXPECT_THAT(Fault(std::string(200, '(')), HasSubstr("at most 64 levels"));
  EXPECT_THAT(Fault(std::string(200, '-') + "x"), HasSubstr("at most 64 levels"));
  EXPECT_THAT(Fault(std::string(kMaxProgramBytes + 1, ' ')), HasSubstr("at most 4096"));
}

TEST(ToyCodeTest, WhetherItIsAProgramDoesNotHangOnX) {
  for (const std::string program : {"if x==3: 6 else: y", "1 if x==0 else (x==1)", "6//0 +"}) {
    for (const int64_t x : {0, 1, 3}) EXPECT_FALSE(Evaluate(program, x).ok()) << program << x;
  }
}

TEST(ParseTestsTest, ReadsOneOrMany) {
  const auto tests = ParseTests(" f(3)=6; f( -1 ) = -2 \nf(0)=0;");
  ASSERT_TRUE(tests.ok()) << tests.status();
  EXPECT_THAT(*tests, ElementsAre(CodeTest{3, 6}, CodeTest{-1, -2}, CodeTest{0, 0}));
}

TEST(ParseTestsTest, RefusesAllElse) {
  for (const std::string text :
       {"", ";", "f(3)", "f(3)=", "f(x)=6", "g(3)=6", "f(3)==6", "f(3)=6.0", "f(3)=06", "f()=1",
        "f(", "f(3)=1234567890123456789", "f(3)=6 f(4)=8", "f(3)=\xef\xbc\x96"}) {
    EXPECT_FALSE(ParseTests(text).ok()) << text;
  }
  std::string many;
  for (size_t i = 0; i <= kMaxTests; ++i) many += "f(1)=2;";
  EXPECT_THAT(ParseTests(many).status().message(), HasSubstr("more than 64 tests"));
}

}  // namespace
}  // namespace jenner::score
