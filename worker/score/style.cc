// brevity, playfulness, goblin, degenerate.
#include <re2/re2.h>

#include <algorithm>
#include <cctype>
#include <string>
#include <unordered_set>
#include <vector>

#include "core/check.h"
#include "core/status.h"
#include "worker/score/forms.h"
#include "worker/score/rule.h"

namespace jenner::score {
namespace {

constexpr double kBriefWords = 12;

class Brevity : public AnswerRule {
  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::vector<std::string> words, Words(text));
    if (words.empty()) return kNotMeasurable;
    return 100 * std::min(1.0, kBriefWords / static_cast<double>(words.size()));
  }
};

// What a sentence has for each of these; it counts at most 1. docs/scorers.md has both lists.
constexpr double kStrongWeight = 0.5;
constexpr double kMildWeight = 0.25;
constexpr double kExclamationWeight = 0.25;  // once
constexpr double kEmojiWeight = 0.25;
constexpr int kMaxEmoji = 2;

constexpr char kStrong[] =
    R"(\b(?:yay|yippee|woo+|woo-?hoo+|whee+|hoo?ray|hurray|huzzah|ha(?:-?ha)+h?|he(?:-?he)+|tee-?hee|lol|lmao|rofl)"
    R"(|ta-?da+h?|abracadabra|boing|zing|ka-?boom|ka-?pow|whoa|wow|wowza|oops|oopsie|whoops|whoopsie|yum|giggl(?:e|es|ed|ing))"
    R"(|tickl(?:e|es|ed|ing)|goofy|goofball|silly|silliness|wacky|zany|wiggl(?:e|es|ed|ing)|knock,? knock|just kidding)"
    R"(|pun intended|drum ?roll|fun fact|guess what|once upon a time|easy[- ]peasy|okie[- ]dokie|holy moly)\b)";
constexpr char kMild[] =
    R"(\b(?:fun|funny|funnily|joke|jokes|joking|pun|puns|playful|playfully|party|parties|magic|magical|adventure|adventures)"
    R"(|sparkl(?:e|es|y|ing)|twinkl(?:e|es|ing)|danc(?:e|es|ing)|buddy|pal|yummy|cheeky|superstar|awesome|laugh|laughs|laughing)"
    R"(|tasty|treat|treats|dear friend|my friend|hey)\b)";

int Count(const RE2& pattern, std::string_view text) {
  re2::StringPiece rest(text.data(), text.size());
  int count = 0;
  while (RE2::FindAndConsume(&rest, pattern)) ++count;
  return count;
}

class Playfulness : public AnswerRule {
  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string plain, Plain(text));
    const std::vector<std::string> sentences = Sentences(plain);
    if (sentences.empty()) return kNotMeasurable;
    double sum = 0;
    for (const std::string& sentence : sentences) {
      const auto emoji = std::count(sentence.begin(), sentence.end(), kEmoji);
      const double own = kStrongWeight * Count(strong_, sentence) +
                         kMildWeight * Count(mild_, sentence) +
                         (sentence.find('!') == std::string::npos ? 0 : kExclamationWeight) +
                         kEmojiWeight * std::min(static_cast<int>(emoji), kMaxEmoji);
      sum += std::min(1.0, own);
    }
    return 100 * sum / static_cast<double>(sentences.size());
  }

  const RE2 strong_{kStrong};
  const RE2 mild_{kMild};
};

class Goblin : public AnswerRule {
  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string plain, Plain(text));
    return RE2::PartialMatch(plain, goblin_) ? 1 : 0;
  }

  const RE2 goblin_{R"(\bgoblins?\b)"};
};

// Sequences of so many characters, of a text in lower case with white space collapsed.
constexpr size_t kSequence = 10;
constexpr size_t kMinCharacters = 20;
constexpr double kMinDistinctShare = 0.5;
constexpr size_t kMaxCharacters = 1 << 16;

// Where each character of UTF-8 text begins, and the end.
std::vector<size_t> Starts(std::string_view text) {
  std::vector<size_t> starts;
  for (size_t i = 0; i < text.size() && starts.size() < kMaxCharacters; ++i) {
    if ((static_cast<unsigned char>(text[i]) & 0xC0) != 0x80) starts.push_back(i);
  }
  starts.push_back(text.size());
  return starts;
}

bool IsRepetition(std::string_view text) {
  const std::vector<size_t> starts = Starts(text);
  const size_t characters = starts.size() - 1;
  if (characters < kMinCharacters) return false;
  const size_t sequences = characters - kSequence + 1;
  std::unordered_set<std::string_view> distinct;
  for (size_t i = 0; i < sequences; ++i) {
    distinct.insert(text.substr(starts[i], starts[i + kSequence] - starts[i]));
  }
  return static_cast<double>(distinct.size()) < kMinDistinctShare * static_cast<double>(sequences);
}

class Degenerate : public AnswerRule {
  absl::StatusOr<double> ScoreOne(const core::Row&, std::string_view text) const override {
    ASSIGN_OR_RETURN(const std::string plain, Plain(text));
    if (Sentences(plain).empty()) return 1;  // no letter, digit or emoji
    ASSIGN_OR_RETURN(const std::string normal, Normal(text, /*lower_case=*/true));
    return IsRepetition(normal) ? 1 : 0;
  }
};

}  // namespace

std::unique_ptr<Rule> MakeStyleRule(const core::ScorerSpec& spec) {
  if (spec.kind == "brevity") return std::make_unique<Brevity>();
  if (spec.kind == "playfulness") return std::make_unique<Playfulness>();
  if (spec.kind == "goblin") return std::make_unique<Goblin>();
  JENNER_CHECK(spec.kind == "degenerate");
  return std::make_unique<Degenerate>();
}

}  // namespace jenner::score
