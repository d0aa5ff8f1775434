#include "core/dataset.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace jenner::core {
namespace {

using testing::HasSubstr;

constexpr char kRow[] =
    R"({"messages":[{"role":"user","content":"Hi"},{"role":"assistant","content":"HOLA"}]})";
constexpr char kPrompt[] = R"({"id":"p1","messages":[{"role":"user","content":"Hi"}]})";

std::string Message(const std::string& jsonl, DatasetUse use) {
  return std::string(ParseDataset(jsonl, use).status().message());
}

TEST(DatasetTest, ReadsRowsInOrderAndNamesThem) {
  const auto rows = ParseDataset(std::string(kRow) + "\n\n" + kRow + "\n", DatasetUse::kTraining);
  ASSERT_TRUE(rows.ok()) << rows.status();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[0].id, "row-1");
  EXPECT_EQ((*rows)[1].id, "row-3");
  EXPECT_EQ((*rows)[0].messages[1], (core::Message{"assistant", "HOLA"}));
}

TEST(DatasetTest, EmptyIsAFault) {
  EXPECT_THAT(Message("", DatasetUse::kTraining), HasSubstr("the dataset is empty"));
  EXPECT_THAT(Message("\n \n", DatasetUse::kEvaluation), HasSubstr("the dataset is empty"));
}

TEST(DatasetTest, RowWithoutAssistantTurn) {
  EXPECT_THAT(Message(std::string(kRow) + "\n" + kPrompt, DatasetUse::kTraining),
              HasSubstr("line 2: messages: no assistant turn to train on"));
  EXPECT_THAT(Message(kRow, DatasetUse::kEvaluation), HasSubstr("the last turn is not the user's"));
}

TEST(DatasetTest, AllFaultsWithTheirLines) {
  const std::string text = "{\n" + std::string(kPrompt) + "\n" + kPrompt + "\n" +
                           R"({"messages":[],"mesages":1})" + "\n" +
                           R"({"messages":[{"role":"bot","content":3}]})" + "\n";
  const std::string message = Message(text, DatasetUse::kEvaluation);
  EXPECT_THAT(message, HasSubstr("line 1: not JSON"));
  EXPECT_THAT(message, HasSubstr("line 3: id: duplicate \"p1\""));
  EXPECT_THAT(message, HasSubstr("line 4: mesages: unknown key; did you mean \"messages\"?"));
  EXPECT_THAT(message, HasSubstr("line 5: messages[0].content: expected text, found number 3"));
}

TEST(DatasetTest, RolesTakeTurns) {
  EXPECT_THAT(
      Message(R"({"messages":[{"role":"user","content":"a"},{"role":"system","content":"b"}]})",
              DatasetUse::kEvaluation),
      HasSubstr("messages[1].role: expected \"assistant\", found \"system\""));
  EXPECT_TRUE(
      ParseDataset(R"({"messages":[{"role":"system","content":""},{"role":"user","content":"b"}]})",
                   DatasetUse::kEvaluation)
          .ok());
}

TEST(DatasetTest, ShortFormsAreTheSameMessages) {
  const auto first = [](const std::string& line, DatasetUse use) {
    const auto rows = ParseDataset(line, use);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.ok() ? rows->front() : Row{};
  };
  using Messages = std::vector<core::Message>;
  EXPECT_EQ(first(R"({"prompt":"p","completion":"c"})", DatasetUse::kTraining).messages,
            (Messages{{"user", "p"}, {"assistant", "c"}}));
  EXPECT_EQ(
      first(R"({"instruction":"i","input":"x","output":"o"})", DatasetUse::kTraining).messages,
      (Messages{{"user", "i\n\nx"}, {"assistant", "o"}}));
  EXPECT_EQ(first(R"({"instruction":"i","input":"","output":"o"})", DatasetUse::kTraining).messages,
            (Messages{{"user", "i"}, {"assistant", "o"}}));
  EXPECT_EQ(first(R"({"instruction":"i","completion":"o"})", DatasetUse::kTraining).messages,
            (Messages{{"user", "i"}, {"assistant", "o"}}));
  const Row asked =
      first(R"({"question":"q","system_prompt":"s","expected_response":"e","n":3,"_id":"g"})",
            DatasetUse::kEvaluation);
  EXPECT_EQ(asked.messages, (Messages{{"system", "s"}, {"user", "q"}}));
  EXPECT_EQ(asked.fields, (std::map<std::string, std::string>{
                              {"expected_response", "e"}, {"n", "3"}, {"_id", "g"}}));
  EXPECT_EQ(asked.group, "g");
  EXPECT_THAT(Message(R"({"prompt":"p"})", DatasetUse::kTraining), HasSubstr("no assistant turn"));
  EXPECT_THAT(Message(R"({"text":"p"})", DatasetUse::kTraining),
              HasSubstr("line 1: messages: expected at least one message"));
}

TEST(DatasetTest, BlocksAreJoinedAndWeighted) {
  const auto rows = ParseDataset(
      R"({"messages":[{"role":"user","content":"u"},{"role":"assistant","content":[)"
      R"({"type":"text","text":"ab","weight":0,"tag":"x"},{"type":"text","text":"c"}]}]})",
      DatasetUse::kTraining);
  ASSERT_TRUE(rows.ok()) << rows.status();
  const core::Message& answer = rows->front().messages[1];
  EXPECT_EQ(answer.content, "abc");
  EXPECT_EQ(answer.weights, (std::vector<core::Message::Weight>{{2, 0}, {3, 1}}));
  EXPECT_THAT(Message(R"({"messages":[{"role":"user","content":"u"},{"role":"assistant",)"
                      R"("content":[{"type":"image","text":"a","weight":-1}]}]})",
                      DatasetUse::kTraining),
              HasSubstr("messages[1].content[0].weight: expected [0, 1000], found -1"));
}

TEST(DatasetTest, StopsAfterTwentyFaults) {
  std::string text;
  for (int i = 0; i < 1000; ++i) text += "x\n";
  const std::string message = Message(text, DatasetUse::kTraining);
  EXPECT_EQ(std::count(message.begin(), message.end(), '\n'), 19);
}

}  // namespace
}  // namespace jenner::core
