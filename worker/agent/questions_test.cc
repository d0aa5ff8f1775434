#include "worker/agent/questions.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>

#include "worker/agent/judges.h"

namespace jenner::agent {
namespace {

using nlohmann::json;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr char kJob[] = R"({"evaluation": {"scorers": [
    {"name": "polite", "kind": "judge", "judge": "main", "pattern": "How polite?"},
    {"name": "thanks", "kind": "contains", "pattern": "thank"},
    {"name": "warm", "kind": "judge", "judge": "other", "pattern": "How warm?"}]}})";

std::string SampleLine(const json& scores, const json& more = {{"prompt", "Say hello."}}) {
  json event = {{"seq", 7},
                {"kind", "sample"},
                {"context", "neutral"},
                {"answer", "Hi \xc3\xa1"},
                {"scores", scores}};
  event.update(more);
  return event.dump();
}

v1::ScoreRequest RequestOf(std::initializer_list<const char*> ids) {
  v1::ScoreRequest request;
  for (const char* id : ids) request.add_items()->set_id(id);
  return request;
}
void AddScore(const std::string& id, double score, v1::ScoreResponse* response) {
  v1::ScoreResult* result = response->add_results();
  result->set_id(id);
  result->set_score(score);
}

TEST(JudgedTraitsTest, ThoseOfAJobFile) {
  const JudgedTraits traits = JudgedTraitsOf(kJob);
  EXPECT_EQ(traits,
            (JudgedTraits{{"polite", {"main", "How polite?"}}, {"warm", {"other", "How warm?"}}}));
  for (const char* none :
       {"", "[]", "{}", R"({"evaluation":null})", R"({"evaluation":{"scorers":{}}})",
        R"({"evaluation":{"scorers":[3,{"kind":"regex"}]}})"}) {
    EXPECT_THAT(JudgedTraitsOf(none), IsEmpty()) << none;
  }
}

TEST(QuestionsTest, OnlyWhatHasNoValueIsAsked) {
  const std::vector<std::string> lines = {R"({"seq":1,"kind":"train_step","step":1})",
                                          "no event",
                                          "[]",
                                          SampleLine({{"polite", nullptr}, {"thanks", nullptr}}),
                                          SampleLine({{"polite", 4.5}, {"warm", nullptr}}),
                                          R"({"kind":"sample","scores":3})"};
  const std::vector<Question> questions = QuestionsOf(lines, JudgedTraitsOf(kJob));
  ASSERT_EQ(questions.size(), 2u);
  EXPECT_EQ(questions[0].line, 3u);
  EXPECT_EQ(questions[0].trait, "polite");
  EXPECT_EQ(questions[0].by.judge, "main");
  EXPECT_EQ(questions[0].item.prompt(), "Say hello.");
  EXPECT_EQ(questions[0].item.answer(), "Hi \xc3\xa1");
  EXPECT_EQ(questions[0].item.context(), "neutral");
  EXPECT_EQ(questions[1].trait, "warm");
  EXPECT_NE(questions[0].item.id(), questions[1].item.id());
  EXPECT_EQ(questions[0].fault, "");
}

TEST(QuestionsTest, ASampleWithoutItsPromptCannotBeAskedAbout) {
  const auto questions =
      QuestionsOf({SampleLine({{"polite", nullptr}}, json::object())}, JudgedTraitsOf(kJob));
  ASSERT_EQ(questions.size(), 1u);
  EXPECT_THAT(questions[0].fault, HasSubstr("prompt"));
}

TEST(JudgedLineTest, HasScoresAndWhyNot) {
  const std::string line = SampleLine({{"polite", nullptr}, {"warm", nullptr}, {"x", 1}});
  const auto questions = QuestionsOf({line}, JudgedTraitsOf(kJob));
  const json judged =
      json::parse(JudgedLine(line, questions, {{62.5, ""}, {std::nullopt, "no\nidea"}}));
  EXPECT_EQ(judged["scores"], (json{{"polite", 62.5}, {"warm", nullptr}, {"x", 1}}));
  EXPECT_EQ(judged["judge_error"], "warm: no idea");
  EXPECT_FALSE(judged.contains("prompt"));
  EXPECT_EQ(judged["seq"], 7);
  EXPECT_EQ(judged["answer"], "Hi \xc3\xa1");
  const json good = json::parse(JudgedLine(line, questions, {{0, ""}, {100, ""}}));
  EXPECT_FALSE(good.contains("judge_error"));
  EXPECT_EQ(JudgedLine("[1]", {}, {}), "[1]");
}

TEST(JudgedLineTest, TheErrorIsBounded) {
  const std::string line = SampleLine({{"polite", nullptr}});
  const auto questions = QuestionsOf({line}, JudgedTraitsOf(kJob));
  const json judged =
      json::parse(JudgedLine(line, questions, {{std::nullopt, std::string(9'000, 'e')}}));
  EXPECT_EQ(judged["judge_error"].get<std::string>().size(), kMaxJudgeErrorBytes);
}

TEST(VerdictsTest, InTheOrderOfTheRequest) {
  v1::ScoreResponse response;
  AddScore("b", 100, &response);
  AddScore("a", 0, &response);
  const auto verdicts = VerdictsOf(RequestOf({"a", "b"}), response);
  ASSERT_TRUE(verdicts.ok()) << verdicts.status();
  EXPECT_EQ((*verdicts)[0].score, 0);
  EXPECT_EQ((*verdicts)[1].score, 100);
}

TEST(VerdictsTest, NonsenseIsNoScore) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  v1::ScoreResponse response;
  AddScore("nan", std::numeric_limits<double>::quiet_NaN(), &response);
  AddScore("infinite", kInfinity, &response);
  AddScore("high", 100.5, &response);
  AddScore("low", -0.01, &response);
  AddScore("twice", 50, &response);
  AddScore("twice", 50, &response);
  response.add_results()->set_id("neither");
  v1::ScoreResult* unsure = response.add_results();
  unsure->set_id("unsure");
  unsure->set_reason("not\nsure \xff");
  response.add_results()->set_id("mute");
  response.mutable_results(response.results_size() - 1)->set_reason(" ");
  AddScore("good", 12, &response);
  const auto verdicts = VerdictsOf(RequestOf({"nan", "infinite", "high", "low", "twice", "neither",
                                              "unsure", "mute", "missing", "good"}),
                                   response);
  ASSERT_TRUE(verdicts.ok()) << verdicts.status();
  const std::vector<std::string> reasons = {
      "score nan is not in", "score inf is not in", "100.5 is not in",
      "-0.01 is not in",     "more than once",      "neither a score",
      "not sure ?",          "no reason",           "lacks this item"};
  for (size_t i = 0; i < reasons.size(); ++i) {
    EXPECT_FALSE((*verdicts)[i].score.has_value()) << i;
    EXPECT_THAT((*verdicts)[i].reason, HasSubstr(reasons[i]));
  }
  EXPECT_EQ(verdicts->back().score, 12);
}

TEST(VerdictsTest, AnUnknownItemVoidsAll) {
  v1::ScoreResponse response;
  AddScore("a", 1, &response);
  AddScore("z", 2, &response);
  const auto verdicts = VerdictsOf(RequestOf({"a", "b"}), response);
  EXPECT_TRUE(absl::IsInvalidArgument(verdicts.status()));
  EXPECT_THAT(std::string(verdicts.status().message()), HasSubstr("\"z\""));
}

TEST(ParseJudgesTest, NamesAddressesAndTransport) {
  const auto judges = ParseJudges({"a=127.0.0.1:9", "b=judge.example.org:9"}, true, false);
  ASSERT_TRUE(judges.ok()) << judges.status();
  EXPECT_EQ(*judges, (std::vector<JudgeOptions>{{"a", "127.0.0.1:9", false},
                                                {"b", "judge.example.org:9", true}}));
  EXPECT_TRUE(
      absl::IsFailedPrecondition(ParseJudges({"b=judge.example.org:9"}, false, false).status()));
  EXPECT_TRUE(ParseJudges({"b=judge.example.org:9"}, false, true).ok());
  for (const char* bad : {"", "a", "a=", "=127.0.0.1:9", "A=127.0.0.1:9", "a b=127.0.0.1:9"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseJudges({bad}, false, false).status())) << bad;
  }
  EXPECT_TRUE(absl::IsInvalidArgument(
      ParseJudges({"a=127.0.0.1:9", "a=127.0.0.1:8"}, false, false).status()));
}

}  // namespace
}  // namespace jenner::agent
