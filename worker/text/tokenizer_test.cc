// What Tokenizer refuses, and its edges. That its ids are right is text_golden_test.cc's.
#include "worker/text/tokenizer.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <limits>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/text/model_files.h"
#include "worker/text/test_folder.h"

namespace jenner::text {
namespace {

using nlohmann::json;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;

const char kGeneration[] = "generation_config.json";
const char kEosThree[] = R"({"eos_token_id": 3})";

json AddedToken(int id, const char* content) {
  return {{"id", id},        {"content", content},  {"single_word", false}, {"lstrip", false},
          {"rstrip", false}, {"normalized", false}, {"special", true}};
}

// One token a letter: a, b, c; then <s> and </s>. As Llama's, it would write <s> in front of every
// text, and it asks for truncation and padding.
json TinyTokenizer() {
  const json post_processor = {
      {"type", "TemplateProcessing"},
      {"single",
       {{{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}},
        {{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"pair", {{{"Sequence", {{"id", "A"}, {"type_id", 0}}}}}},
      {"special_tokens", {{"<s>", {{"id", "<s>"}, {"ids", {4}}, {"tokens", {"<s>"}}}}}}};
  return {
      {"version", "1.0"},
      {"truncation",
       {{"direction", "Right"}, {"max_length", 2}, {"strategy", "LongestFirst"}, {"stride", 0}}},
      {"padding",
       {{"strategy", {{"Fixed", 32}}},
        {"direction", "Right"},
        {"pad_to_multiple_of", nullptr},
        {"pad_id", 0},
        {"pad_type_id", 0},
        {"pad_token", "a"}}},
      {"added_tokens", {AddedToken(3, "</s>"), AddedToken(4, "<s>")}},
      {"normalizer", nullptr},
      {"pre_tokenizer", nullptr},
      {"post_processor", post_processor},
      {"decoder", {{"type", "Fuse"}}},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", nullptr},
        {"end_of_word_suffix", nullptr},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"vocab", {{"a", 0}, {"b", 1}, {"c", 2}, {"</s>", 3}, {"<s>", 4}}},
        {"merges", json::array()}}}};
}

Tokenizer Tiny() {
  TestFolder folder(Files{{"tokenizer.json", TinyTokenizer().dump()}, {kGeneration, kEosThree}});
  auto loaded = Tokenizer::Load(folder.path());
  EXPECT_TRUE(loaded.ok()) << loaded.status();
  return *std::move(loaded);
}

// SmolLM2's, whose tokens are bytes of UTF-8.
Tokenizer Smol() { return *Tokenizer::Load(JENNER_SOURCE_DIR "/tests/golden/text/tokenizer"); }

// The status of loading `tokenizer` as tokenizer.json next to sound other files.
absl::Status LoadOf(const std::string& tokenizer) {
  TestFolder folder(Files{{"tokenizer.json", tokenizer}, {kGeneration, kEosThree}});
  return Tokenizer::Load(folder.path()).status();
}

// As LoadOf, of the sound tokenizer with other files.
absl::StatusOr<Tokenizer> LoadWith(const Files& others) {
  TestFolder folder(others);
  folder.Write("tokenizer.json", TinyTokenizer().dump());
  return Tokenizer::Load(folder.path());
}

void ExpectDataLoss(const absl::Status& status, const std::string& named) {
  EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << status;
  EXPECT_THAT(std::string(status.message()), HasSubstr(named));
}

TEST(TokenizerLoadTest, MissingFileIsNotFoundAndNamed) {
  TestFolder folder(Files{{kGeneration, kEosThree}});
  for (const std::string& dir : {folder.path(), folder.path() + "/nowhere"}) {
    const absl::Status status = Tokenizer::Load(dir).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kNotFound) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(dir + "/tokenizer.json"));
  }
}

TEST(TokenizerLoadTest, FolderInPlaceOfTheFileIsDataLoss) {
  TestFolder folder(Files{{"tokenizer.json/inside", "x"}, {kGeneration, kEosThree}});
  ExpectDataLoss(Tokenizer::Load(folder.path()).status(), folder.path() + "/tokenizer.json");
}

TEST(TokenizerLoadTest, TruncatedFileIsDataLoss) {
  const std::string whole = TinyTokenizer().dump();
  ASSERT_TRUE(LoadOf(whole).ok()) << LoadOf(whole);
  for (size_t size = 0; size < whole.size(); size += 5) {
    ExpectDataLoss(LoadOf(whole.substr(0, size)), "tokenizer.json");
  }
}

TEST(TokenizerLoadTest, WhatIsNoTokenizerIsDataLoss) {
  const std::string bottomless(200'000, '[');
  for (const std::string& content :
       {std::string("null"), std::string("[]"), std::string("{}"), std::string("\xff\xfe{}"),
        std::string("{\"model\": \"\xc3\"}"), std::string(1000, '\0'), bottomless,
        "{\"pre_tokenizer\": " + bottomless}) {
    ExpectDataLoss(LoadOf(content), "tokenizer.json");
  }
}

TEST(TokenizerLoadTest, BrokenPartsAreDataLoss) {
  json empty = TinyTokenizer();
  empty["model"]["vocab"] = json::object();
  empty["added_tokens"] = json::array();
  ExpectDataLoss(LoadOf(empty.dump()), "vocabulary is empty");

  json no_such_model = TinyTokenizer();
  no_such_model["model"]["type"] = "Oracle";
  ExpectDataLoss(LoadOf(no_such_model.dump()), "tokenizer.json");

  json merge_of_strangers = TinyTokenizer();
  merge_of_strangers["model"]["merges"] = {"x y"};
  ExpectDataLoss(LoadOf(merge_of_strangers.dump()), "tokenizer.json");

  json negative_id = TinyTokenizer();
  negative_id["model"]["vocab"]["a"] = -1;
  ExpectDataLoss(LoadOf(negative_id.dump()), "tokenizer.json");

  json no_regex = TinyTokenizer();
  no_regex["pre_tokenizer"] = {{"type", "Split"},
                               {"pattern", {{"Regex", "(a"}}},
                               {"behavior", "Isolated"},
                               {"invert", false}};
  ExpectDataLoss(LoadOf(no_regex.dump()), "tokenizer.json");
}

TEST(TokenizerLoadTest, IdsBeyond31BitsAreDataLoss) {
  json wide = TinyTokenizer();
  for (const int64_t id : {int64_t{1} << 31, (int64_t{1} << 32) - 1}) {
    wide["model"]["vocab"]["c"] = id;
    ExpectDataLoss(LoadOf(wide.dump()), "31 bits");
  }
  wide["model"]["vocab"]["c"] = int64_t{1} << 32;
  ExpectDataLoss(LoadOf(wide.dump()), "tokenizer.json");
}

TEST(TokenizerLoadTest, EndTokensComeFromTheFirstFileThatNamesAny) {
  const auto from_config = LoadWith(Files{{kGeneration, R"({"eos_token_id": []})"},
                                          {"config.json", R"({"eos_token_id": [4, 3]})"},
                                          {"tokenizer_config.json", R"({"eos_token": "a"})"}});
  ASSERT_TRUE(from_config.ok()) << from_config.status();
  EXPECT_THAT(from_config->eos_ids(), ElementsAre(4, 3));
  EXPECT_TRUE(from_config->IsEos(4));
  EXPECT_FALSE(from_config->IsEos(0));
  EXPECT_FALSE(from_config->IsEos(-1));

  const auto by_text =
      LoadWith(Files{{kGeneration, R"({"eos_token_id": null})"},
                     {"tokenizer_config.json", R"({"eos_token": {"content": "</s>"}})"}});
  ASSERT_TRUE(by_text.ok()) << by_text.status();
  EXPECT_THAT(by_text->eos_ids(), ElementsAre(3));
}

TEST(TokenizerLoadTest, EndTokensThatAreNoneNameFileAndField) {
  for (const char* value : {"5", "-1", "1.5", "\"</s>\"", "true", "[3, 5]", "[[3]]", "{}",
                            "18446744073709551616", "4294967299"}) {
    const std::string config = std::string("{\"eos_token_id\": ") + value + "}";
    const absl::Status status = LoadWith(Files{{kGeneration, config}}).status();
    ExpectDataLoss(status, "/generation_config.json: eos_token_id: ");
    EXPECT_THAT(std::string(status.message()), HasSubstr("expected a token id in [0, 5)"));
  }
  ExpectDataLoss(LoadWith(Files()).status(), "no end token");
  ExpectDataLoss(LoadWith(Files{{"tokenizer_config.json", R"({"eos_token": "<end>"})"}}).status(),
                 "/tokenizer_config.json: eos_token: \"<end>\" is not in the vocabulary");
}

TEST(TokenizerLoadTest, BrokenSideFilesAreNamed) {
  for (const char* content : {"", "{", "[]", "3", "{\"eos_token_id\": 3", "{\"a\": \"\xff\"}"}) {
    ExpectDataLoss(LoadWith(Files{{kGeneration, content}}).status(), "/generation_config.json: ");
    ExpectDataLoss(LoadWith(Files{{"config.json", content}}).status(), "/config.json: ");
    ExpectDataLoss(LoadWith(Files{{"tokenizer_config.json", content}}).status(),
                   "/tokenizer_config.json: ");
  }
}

TEST(TokenizerLoadTest, FilesHaveALimit) {
  TestFolder folder(Files{{"long.json", std::string(1000, ' ')}});
  const std::string path = folder.path() + "/long.json";
  EXPECT_TRUE(ReadModelFile(path, 1000).ok());
  const absl::Status status = ReadModelFile(path, 999).status();
  ExpectDataLoss(status, path);
  EXPECT_THAT(std::string(status.message()), HasSubstr("1000 bytes, expected at most 999"));
}

TEST(TokenizerEncodeTest, WritesNothingOfItsOwn) {
  // Neither <s> in front, nor truncation to 2, nor padding to 32, which the file asks for.
  const Tokenizer tokenizer = Tiny();
  EXPECT_THAT(*tokenizer.Encode("abcab"), ElementsAre(0, 1, 2, 0, 1));
  EXPECT_THAT(*tokenizer.Encode(""), IsEmpty());
}

TEST(TokenizerEncodeTest, SpecialTokensInTheTextBecomeThoseTokens) {
  const Tokenizer tokenizer = Tiny();
  const auto tokens = tokenizer.EncodeWithOffsets("a</s><s>b</s");
  ASSERT_TRUE(tokens.ok()) << tokens.status();
  ASSERT_GE(tokens->size(), 4u);
  EXPECT_EQ((*tokens)[1].id, 3);
  EXPECT_EQ((*tokens)[1].begin, 1u);
  EXPECT_EQ((*tokens)[1].end, 5u);
  EXPECT_EQ((*tokens)[2].id, 4);
  // What is only the beginning of one is text.
  for (size_t i = 3; i < tokens->size(); ++i) EXPECT_LT((*tokens)[i].id, 3);
}

TEST(TokenizerEncodeTest, InvalidUtf8IsRefusedWithItsByte) {
  const Tokenizer tokenizer = Smol();
  for (const std::string& text :
       {std::string("abc\xff"), std::string("abc\xc3"), std::string("abc\xed\xa0\x80"),
        std::string("abc\xc0\x80"), std::string("abc\xf4\x90\x80\x80")}) {
    const absl::Status status = tokenizer.Encode(text).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("invalid UTF-8 at byte 3"));
  }
}

TEST(TokenizerEncodeTest, OddTextComesBack) {
  const Tokenizer tokenizer = Smol();
  for (const std::string& text :
       {std::string("a\0b", 3), std::string("\xef\xbb\xbfmark"), std::string("\r\n\t \n"),
        std::string(5000, ' '), std::string("e\xcc\x81 \xf0\x9f\x98\x80\xef\xb8\x8f")}) {
    const auto ids = tokenizer.Encode(text);
    ASSERT_TRUE(ids.ok()) << ids.status();
    EXPECT_EQ(*tokenizer.Decode(*ids, false), text);
  }
}

TEST(TokenizerDecodeTest, IdsOutOfRangeAreRefusedAndNamed) {
  const Tokenizer tokenizer = Tiny();
  ASSERT_EQ(tokenizer.vocab_size(), 5);
  for (const int32_t id : {5, std::numeric_limits<int32_t>::max()}) {
    const absl::Status status = tokenizer.Decode({0, id}, true).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("token id " + std::to_string(id)));
  }
  for (const int32_t id : {-1, std::numeric_limits<int32_t>::min()}) {
    const absl::Status status = tokenizer.TokenText(id).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kInvalidArgument) << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr("token id " + std::to_string(id)));
  }
}

TEST(TokenizerDecodeTest, GapInTheVocabularyIsOutOfRange) {
  json gap = TinyTokenizer();
  gap["model"]["vocab"]["c"] = 1'000'000;
  TestFolder folder(Files{{"tokenizer.json", gap.dump()}, {kGeneration, kEosThree}});
  const auto tokenizer = Tokenizer::Load(folder.path());
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status();
  EXPECT_EQ(tokenizer->vocab_size(), 1'000'001);
  EXPECT_EQ(*tokenizer->TokenText(1'000'000), "c");
  EXPECT_FALSE(tokenizer->TokenText(2).ok());
}

TEST(TokenizerDecodeTest, SpecialTokensAreLeftOutOnRequest) {
  const Tokenizer tokenizer = Tiny();
  EXPECT_EQ(*tokenizer.Decode({4, 0, 1, 3}, false), "<s>ab</s>");
  EXPECT_EQ(*tokenizer.Decode({4, 0, 1, 3}, true), "ab");
  EXPECT_EQ(*tokenizer.Decode({3}, true), "");
  EXPECT_EQ(*tokenizer.Decode({}, false), "");
}

TEST(TokenizerDecodeTest, PartOfACharacterIsReplaced) {
  const Tokenizer tokenizer = Smol();
  const auto ids = tokenizer.Encode("\xf0\x9f\xa6\xa9");  // a flamingo: several tokens
  ASSERT_TRUE(ids.ok()) << ids.status();
  ASSERT_GT(ids->size(), 1u);
  EXPECT_EQ(*tokenizer.TokenText(ids->front()), "\xef\xbf\xbd");
}

TEST(TokenizerIdOfTest, WhatIsNoPieceHasNoId) {
  const Tokenizer tokenizer = Tiny();
  EXPECT_EQ(tokenizer.IdOf("</s>"), 3);
  for (const char* piece : {"", "ab", "A", "\xff"}) {
    EXPECT_FALSE(tokenizer.IdOf(piece).has_value()) << piece;
  }
}

}  // namespace
}  // namespace jenner::text
