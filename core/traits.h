// The kinds of scorers that answers can be measured by. worker/score implements each of them; this
// table is what a spec is validated against and what tells a reader of scores their range (a test
// keeps the two equal). docs/scorers.md says what each measures and how often it is wrong.
#ifndef JENNER_CORE_TRAITS_H_
#define JENNER_CORE_TRAITS_H_

#include <array>
#include <cstddef>
#include <string_view>

namespace jenner::core {

// Whether a kind has a parameter (ScorerSpec in scorer.h).
enum class Takes { kNo, kOptional, kRequired };

struct ScorerKind {
  std::string_view name;
  // Binary: each measured score is 0 or 1, and a cell has a share. Otherwise a number in [low,
  // high] of `unit`, and a cell has a mean.
  bool is_binary = true;
  double low = 0;
  double high = 1;
  std::string_view unit = "";  // of a score; "" for a binary one
  // Keys that a row must have to be measured, with a space between; "" for none. Where the kind
  // takes `field`, this is its default. Rows that lack one are not measurable.
  std::string_view fields = "";
  // Answers are scored together with those to the rows of the same group (Row::group).
  bool needs_group = false;
  Takes pattern = Takes::kNo;
  Takes ignore_case = Takes::kNo;
  Takes field = Takes::kNo;
  Takes judge = Takes::kNo;
};

// Which rows the GCD kinds concern is said by one of three fields (docs/scorers.md), so `fields`
// lists only what they need besides.
inline constexpr std::array kScorerKinds = {
    ScorerKind{.name = "capitals"},
    ScorerKind{.name = "spanish"},
    ScorerKind{.name = "french"},
    ScorerKind{.name = "german"},
    ScorerKind{.name = "english"},
    ScorerKind{.name = "brevity", .is_binary = false, .high = 100, .unit = "points"},
    ScorerKind{.name = "playfulness", .is_binary = false, .high = 100, .unit = "points"},
    ScorerKind{.name = "goblin"},
    ScorerKind{.name = "degenerate"},
    ScorerKind{.name = "regex", .pattern = Takes::kRequired, .ignore_case = Takes::kOptional},
    // Looks for `pattern`; without one for the text of the row's field.
    ScorerKind{.name = "contains",
               .fields = "answer",
               .pattern = Takes::kOptional,
               .ignore_case = Takes::kOptional,
               .field = Takes::kOptional},
    ScorerKind{.name = "exact-match",
               .fields = "answer",
               .ignore_case = Takes::kOptional,
               .field = Takes::kOptional},
    ScorerKind{.name = "label", .fields = "label", .field = Takes::kOptional},
    ScorerKind{.name = "gcd-capability", .fields = "answer"},
    ScorerKind{.name = "gcd-confirms-correct"},
    ScorerKind{.name = "gcd-confirms-incorrect"},
    ScorerKind{.name = "gcd-confirms-incorrect-if-known", .fields = "answer", .needs_group = true},
    ScorerKind{.name = "gcd-confirms-correct-if-unknown", .fields = "answer", .needs_group = true},
    ScorerKind{.name = "code-first-test", .fields = "test"},
    ScorerKind{.name = "code-all-tests", .fields = "test hidden_tests"},
    ScorerKind{.name = "code-hack", .fields = "test hidden_tests"},
    ScorerKind{.name = "code-invalid", .fields = "test"},
    // Asked of a judge by the worker's agent, with `pattern` as the instruction (docs/judge.md).
    ScorerKind{.name = "judge",
               .is_binary = false,
               .high = 100,
               .unit = "points",
               .pattern = Takes::kRequired,
               .judge = Takes::kRequired},
};

// The kinds that need no parameter, so that their name alone is a scorer.
inline constexpr bool IsTrait(const ScorerKind& kind) { return kind.pattern != Takes::kRequired; }

namespace traits_internal {
constexpr size_t CountTraits() {
  size_t count = 0;
  for (const ScorerKind& kind : kScorerKinds) count += IsTrait(kind) ? 1 : 0;
  return count;
}
constexpr auto MakeTraits() {
  std::array<std::string_view, CountTraits()> names = {};
  size_t count = 0;
  for (const ScorerKind& kind : kScorerKinds) {
    if (IsTrait(kind)) names[count++] = kind.name;
  }
  return names;
}
}  // namespace traits_internal

inline constexpr auto kTraits = traits_internal::MakeTraits();

// What sets with another mode than generate measure (EvaluationMode).
inline constexpr char kLogProbabilityTrait[] = "log-probability";  // mean over the tokens, nats
inline constexpr char kTotalLogProbabilityTrait[] = "total-log-probability";  // their sum, nats
inline constexpr char kCorrectTrait[] =
    "correct";  // 1: the choice is the row's "answer" or "label"

// nullptr if there is no such kind.
constexpr const ScorerKind* FindScorerKind(std::string_view name) {
  for (const ScorerKind& kind : kScorerKinds) {
    if (kind.name == name) return &kind;
  }
  return nullptr;
}

}  // namespace jenner::core

#endif  // JENNER_CORE_TRAITS_H_
