// Rendering, token ids and loss mask against transformers on 500 conversations (tests/golden/text,
// made by tools/golden/rendered_goldens.py). What else is refused is in the test of each class.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "absl/status/status.h"
#include "core/sha256.h"
#include "worker/text/example.h"

namespace jenner::text {
namespace {

using nlohmann::json;

const std::string kFolder = JENNER_SOURCE_DIR "/tests/golden/text/";
constexpr size_t kConversations = 500;

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

std::vector<std::string> Lines(const std::string& name) {
  std::vector<std::string> lines;
  std::ifstream file(kFolder + name);
  for (std::string line; std::getline(file, line);) lines.push_back(line);
  return lines;
}

std::vector<json> Rows(const std::string& name) {
  std::vector<json> rows;
  for (const std::string& line : Lines(name)) rows.push_back(json::parse(line));
  return rows;
}

TEST(TextGoldenTest, RenderingAndIdsEqualTransformers) {
  const std::vector<json> rows = Rows("rendered.jsonl");
  ASSERT_EQ(rows.size(), kConversations);
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

TEST(TextGoldenTest, SupervisedTokensEqualTransformersMask) {
  size_t num_compared = 0;
  for (const json& row : Rows("rendered.jsonl")) {
    const core::Row ours{"r", Messages(row)};
    // No row of a dataset begins with an answer. Before one this template writes nothing, but a
    // default system message once there is a turn, so the answer cannot be told from the rest.
    const bool is_refused =
        !row.contains("supervised") || ours.messages.front().role == "assistant";
    const auto example =
        MakeExample(Smol().tokenizer, Smol().chat_template, ours, core::Context{}, 1 << 20);
    ASSERT_EQ(example.ok(), !is_refused) << example.status() << row["messages"];
    if (is_refused) continue;
    EXPECT_EQ(example->ids, row["whole_ids"].get<std::vector<int32_t>>());
    json ranges = json::array();
    for (const TokenRange& range : example->supervised) ranges.push_back({range.begin, range.end});
    EXPECT_EQ(ranges, row["supervised"]) << row["messages"];
    ++num_compared;
  }
  EXPECT_EQ(num_compared, 481u);
}

// A text of families.jsonl, or of most conversations the beginning of its hash.
bool IsText(const json& want, const std::string& text) {
  return want == text || want == core::Sha256Hex(text).substr(0, 16);
}

TEST(TextGoldenTest, TemplatesOfFamiliesEqualTransformers) {
  const std::vector<json> rows = Rows("rendered.jsonl");
  const std::vector<json> wanted = Rows("families.jsonl");
  ASSERT_EQ(wanted.size(), rows.size());
  ASSERT_EQ(wanted[0].size(), 10u);
  int num_refused = 0;
  for (const auto& [name, ignored] : wanted[0].items()) {
    const auto chat_template = ChatTemplate::Load(kFolder + "templates/" + name);
    ASSERT_TRUE(chat_template.ok()) << chat_template.status();
    int num_faults = 0;
    for (size_t i = 0; i < rows.size(); ++i) {
      for (const bool generation : {false, true}) {
        const json& want = wanted[i][name][generation ? 1 : 0];
        const auto text = chat_template->Render(Messages(rows[i]), generation);
        const bool is_equal = text.ok() ? IsText(want, *text)
                                        : want.is_null() && absl::IsInvalidArgument(text.status());
        num_refused += text.ok() ? 0 : 1;
        if (is_equal || ++num_faults > 3) continue;
        ADD_FAILURE() << name << " on " << rows[i]["messages"]
                      << "\nours: " << (text.ok() ? *text : text.status().ToString())
                      << "\nwant: " << want;
      }
    }
    EXPECT_EQ(num_faults, 0) << name;
  }
  EXPECT_EQ(num_refused, 860);  // roles out of order, or a system message where there can be none
}

// JSON can carry half a surrogate pair, UTF-8 cannot: such a row does not get into a dataset.
TEST(TextGoldenTest, HalfASurrogatePairIsRefusedAsByTransformers) {
  const std::vector<std::string> lines = Lines("unpaired.jsonl");
  ASSERT_EQ(lines.size(), 6u);
  for (const std::string& line : lines) {
    const absl::Status status = core::ParseDataset(line, core::DatasetUse::kTraining).status();
    EXPECT_TRUE(absl::IsInvalidArgument(status)) << status;
    EXPECT_NE(status.message().find("JSON"), std::string::npos) << status;
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
