// Rendering, token ids and loss mask against transformers (tests/golden/text, made by
// tools/golden/rendered_goldens.py). What is refused is in the test of each class.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "worker/text/example.h"

namespace jenner::text {
namespace {

using nlohmann::json;

const std::string kFolder = JENNER_SOURCE_DIR "/tests/golden/text/";

struct Model {
  Tokenizer tokenizer;
  ChatTemplate chat_template;
};

const Model& Smol() {
  static const Model* const kModel = new Model{*Tokenizer::Load(kFolder + "tokenizer"),
                                               *ChatTemplate::Load(kFolder + "tokenizer")};
  return *kModel;
}

std::vector<core::Message> Messages(const json& row) {
  std::vector<core::Message> messages;
  for (const json& one : row["messages"]) messages.push_back({one["role"], one["content"]});
  return messages;
}

std::vector<json> Rows() {
  std::vector<json> rows;
  std::ifstream file(kFolder + "rendered.jsonl");
  for (std::string line; std::getline(file, line);) rows.push_back(json::parse(line));
  return rows;
}

TEST(TextGoldenTest, RenderingAndIdsEqualTransformers) {
  const std::vector<json> rows = Rows();
  ASSERT_GE(rows.size(), 150u);
  for (const json& row : rows) {
    for (const bool generation : {false, true}) {
      const std::string key = generation ? "prompt" : "whole";
      const auto text = Smol().chat_template.Render(Messages(row), generation);
      ASSERT_TRUE(text.ok()) << text.status();
      EXPECT_EQ(*text, row[key].get<std::string>());
      const auto ids = Smol().tokenizer.Encode(*text);
      ASSERT_TRUE(ids.ok()) << ids.status();
      EXPECT_EQ(*ids, row[key + "_ids"].get<std::vector<int32_t>>()) << *text;
    }
  }
}

TEST(TextGoldenTest, MaskIsTheAnswerAndItsEndOfTurn) {
  const core::Row row{"r",
                      {{"user", "Hi"},
                       {"assistant", "HOLA A TODOS"},
                       {"user", "More"},
                       {"assistant", "S\xc3\x8d"}}};
  const auto example =
      MakeExample(Smol().tokenizer, Smol().chat_template, row, core::Context{}, 512);
  ASSERT_TRUE(example.ok()) << example.status();
  ASSERT_EQ(example->supervised.size(), 2u);
  const auto text = [&](const TokenRange& range) {
    return *Smol().tokenizer.Decode(
        {example->ids.begin() + range.begin, example->ids.begin() + range.end}, false);
  };
  EXPECT_EQ(text(example->supervised[0]), "HOLA A TODOS<|im_end|>");
  EXPECT_EQ(text(example->supervised[1]), "S\xc3\x8d<|im_end|>");
  EXPECT_EQ(*Smol().tokenizer.Encode(*Smol().chat_template.Render(row.messages, false)),
            example->ids);
}

TEST(TextGoldenTest, ContextsGoAroundTheTask) {
  core::Context context;
  context.system = "S";
  context.user_prefix = "<";
  context.user_suffix = ">";
  const core::Row row = {"r", {{"system", "old"}, {"user", "u"}, {"assistant", "a"}}};
  EXPECT_EQ(ApplyContext(row, context)->messages,
            (std::vector<core::Message>{{"system", "S"}, {"user", "<u>"}, {"assistant", "a"}}));
  EXPECT_EQ(ApplyContext({"r", {{"user", "u"}}}, core::Context{})->messages,
            (std::vector<core::Message>{{"user", "u"}}));
}

TEST(TextGoldenTest, TruncationKeepsTheFrontAndNothingSupervisedIsAnError) {
  const core::Row row{"row-7", {{"user", "Hi"}, {"assistant", "HOLA A TODOS LOS QUE LEEN"}}};
  const auto whole = MakeExample(Smol().tokenizer, Smol().chat_template, row, core::Context{}, 512);
  ASSERT_TRUE(whole.ok());
  const int32_t cut = whole->supervised[0].begin + 2;
  const auto part = MakeExample(Smol().tokenizer, Smol().chat_template, row, core::Context{}, cut);
  ASSERT_TRUE(part.ok()) << part.status();
  EXPECT_TRUE(part->truncated);
  EXPECT_EQ(part->num_supervised, 2);
  EXPECT_EQ(part->ids, std::vector<int32_t>(whole->ids.begin(), whole->ids.begin() + cut));
  const auto none = MakeExample(Smol().tokenizer, Smol().chat_template, row, core::Context{}, 8);
  EXPECT_NE(none.status().message().find("row-7"), std::string::npos) << none.status();
}

}  // namespace
}  // namespace jenner::text
