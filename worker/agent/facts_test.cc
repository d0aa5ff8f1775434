#include "worker/agent/facts.h"

#include <gtest/gtest.h>

namespace jenner::agent {
namespace {

TEST(FactsTest, OnlyResultsAreTelemetry) {
  for (const char* kind : {"train_step", "sample", "evaluation"}) {
    EXPECT_TRUE(IsTelemetry(std::string(R"({"seq":1,"kind":")") + kind + "\"}")) << kind;
  }
  for (const char* line :
       {R"({"kind":"started"})", R"({"kind":"plan"})", R"({"kind":3})", "[]", "sample", ""}) {
    EXPECT_FALSE(IsTelemetry(line)) << line;
  }
}

TEST(FactsTest, OfTheEventStream) {
  RankFacts facts;
  for (const char* line :
       {R"({"seq":1,"kind":"rendezvous","address":"1.2.3.4:5"})",
        R"({"kind":"plan","total_steps":60})", R"({"kind":"train_step","step":7,"loss":1.5})",
        R"({"kind":"train_step","step":"many"})", R"({"kind":"of a later version"})",
        R"({"kind":"artifact","name":"adapter/x","path":"/p","bytes":3,"sha256":)"
        R"("aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"})",
        R"({"kind":"resumed","step":4,"ranks":1})", R"({"kind":"checkpoint","step":6,"path":"/c"})",
        R"({"kind":"failed","code":"NON_FINITE_LOSS","message":"step 8"})"}) {
    Learn(line, &facts);
  }
  EXPECT_EQ(facts.store_address, "1.2.3.4:5");
  EXPECT_EQ(facts.total_steps, 60);
  EXPECT_EQ(facts.resumed_step, 4);
  EXPECT_EQ(facts.checkpoint.step, 6);
  EXPECT_EQ(facts.checkpoint.path, "/c");
  ASSERT_EQ(facts.artifacts.size(), 1u);
  EXPECT_EQ(facts.artifacts[0].size_bytes, 3);
  EXPECT_EQ(facts.error_code, "NON_FINITE_LOSS");
  EXPECT_FALSE(facts.finished);
  EXPECT_EQ(facts.num_broken, 0);
  for (const char* line :
       {"garbage", "[1]", "{}", "", R"({"kind":"artifact","name":"x","sha256":"ab"})"}) {
    Learn(line, &facts);
  }
  EXPECT_EQ(facts.num_broken, 5);
  EXPECT_EQ(facts.artifacts.size(), 1u);
}

TEST(OutcomeOfTest, SuccessIsWhatTheTrainerCallsSo) {
  RankFacts facts;
  EXPECT_EQ(OutcomeOf(0, false, facts, "").exit_code, 20);
  facts.finished = true;
  EXPECT_EQ(OutcomeOf(0, false, facts, "").exit_code, 0);
  EXPECT_EQ(OutcomeOf(0, false, facts, "").error_code, "");
  facts.num_broken = 1;
  EXPECT_EQ(OutcomeOf(0, false, facts, "").exit_code, 20);
}

TEST(OutcomeOfTest, TheTrainersOwnWordsCountMost) {
  RankFacts facts;
  facts.error_code = "NON_FINITE_LOSS";
  facts.error_message = "step 8";
  const Outcome outcome = OutcomeOf(13, true, facts, "log");
  EXPECT_EQ(outcome.exit_code, 13);
  EXPECT_EQ(outcome.error_code, "NON_FINITE_LOSS");
  EXPECT_EQ(outcome.error_message, "step 8");
}

TEST(OutcomeOfTest, WithoutLastWords) {
  EXPECT_EQ(OutcomeOf(1, false, {}, "boom").error_message,
            "jenner-trainer ended with exit code 1; its log ends: boom");
  EXPECT_EQ(OutcomeOf(137, false, {}, "").error_code, "TRAINER_KILLED");
  EXPECT_EQ(OutcomeOf(139, false, {}, "").error_message, "jenner-trainer was ended by signal 11");
  EXPECT_EQ(OutcomeOf(137, true, {}, "").error_code, "TERMINATED");
  EXPECT_EQ(OutcomeOf(1, false, {}, std::string(100'000, 'x')).error_message.size(),
            kMaxErrorBytes);
}

TEST(ToUtf8Test, KeepsWhatIsValid) {
  EXPECT_EQ(ToUtf8("a\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80", 100),
            "a\xc3\xb1\xe2\x82\xac\xf0\x9f\x98\x80");
  EXPECT_EQ(ToUtf8("\xb1z\xc3", 100), "?z?");
  EXPECT_EQ(ToUtf8("\xed\xa0\x80", 100), "???");  // a surrogate
  EXPECT_EQ(ToUtf8("\xc0\x80", 100), "??");       // overlong
  EXPECT_EQ(ToUtf8("a\xc3\xb1", 2), "a");         // not half a character
  EXPECT_EQ(ToUtf8("abc", 2), "ab");
}

TEST(DatasetsOfTest, HashesOnly) {
  const std::string hex(64, 'a');
  EXPECT_EQ(DatasetsOf(R"({"training":{"dataset":"sha256:)" + hex +
                       R"("},"evaluation":{"prompts":"sha256:../../etc/passwd"}})"),
            std::vector<std::string>{hex});
  const std::string other(64, 'b');
  EXPECT_EQ(
      DatasetsOf(R"({"evaluation":{"prompts":"sha256:)" + hex + R"(","sets":[{"prompts":"sha256:)" +
                 other + R"("},{"prompts":"sha256:)" + hex + R"("},3]}})"),
      (std::vector<std::string>{hex, other}))
      << "each once, those of all sets";
  for (const char* bad : {"", "[]", "{}", R"({"training":3})", R"({"training":{"dataset":1}})",
                          R"({"evaluation":{"sets":3}})"}) {
    EXPECT_TRUE(DatasetsOf(bad).empty()) << bad;
  }
}

}  // namespace
}  // namespace jenner::agent
