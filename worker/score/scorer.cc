#include "worker/score/scorer.h"

#include <cstdint>
#include <limits>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "worker/text/ffi.h"
#include "worker/text/jenner_text.h"

namespace jenner::score {
namespace {

constexpr double kNotMeasurable = std::numeric_limits<double>::quiet_NaN();

constexpr uint64_t kMinCasedLetters = 8;
constexpr double kMinUpperShare = 0.9;

// The language rule's numbers come from word sequences cut from 96 sentences of the four languages
// (worker/text/rust/src/language.rs). With 8 to 9 letters 0.93 were right, 0.02 wrong, 0.05
// undecided; from 12 letters 0.97, 0.000, 0.03; from 20 letters 0.99, 0.003, 0.01.
constexpr uint64_t kMinLetters = 8;
constexpr uint64_t kMinDistinctLetters = 3;
constexpr double kMinVowelShare = 0.2;
constexpr double kMaxVowelShare = 0.8;
constexpr double kSpanishFrom = 0.45;
constexpr double kNotSpanishBelow = 0.30;

absl::StatusOr<double> ScoreCapitals(std::string_view text) {
  JennerTextCase counts = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_measure_case(text.data(), text.size(), &counts, &error);
  RETURN_IF_ERROR(text::TakeStatus(code, error));
  if (counts.cased < kMinCasedLetters) return kNotMeasurable;
  const double share = static_cast<double>(counts.upper) / static_cast<double>(counts.cased);
  return share >= kMinUpperShare ? 1 : 0;
}

absl::StatusOr<double> ScoreSpanish(std::string_view text) {
  JennerTextLanguage measured = {};
  JennerTextBuffer error = {};
  const int32_t code = jenner_text_measure_language(text.data(), text.size(), &measured, &error);
  RETURN_IF_ERROR(text::TakeStatus(code, error));
  if (measured.letters < kMinLetters || measured.distinct_letters < kMinDistinctLetters) {
    return kNotMeasurable;
  }
  if (measured.latin_letters * 2 < measured.letters) return 0;
  const double vowel_share =
      static_cast<double>(measured.vowels) / static_cast<double>(measured.latin_letters);
  if (vowel_share < kMinVowelShare || vowel_share > kMaxVowelShare) return kNotMeasurable;
  if (measured.spanish >= kSpanishFrom) return 1;
  return measured.spanish < kNotSpanishBelow ? 0 : kNotMeasurable;
}

struct Trait {
  std::string_view name;
  absl::StatusOr<double> (*score)(std::string_view text);
};

constexpr Trait kTable[] = {
    {"capitals", &ScoreCapitals},
    {"spanish", &ScoreSpanish},
};

}  // namespace

std::vector<std::string_view> ListTraits() {
  std::vector<std::string_view> names;
  for (const Trait& trait : kTable) names.push_back(trait.name);
  return names;
}

absl::StatusOr<double> Score(std::string_view trait, std::string_view text) {
  for (const Trait& known : kTable) {
    if (known.name == trait) return known.score(text);
  }
  return absl::InvalidArgumentError(
      absl::StrFormat("trait: \"%s\" expected one of \"capitals\", \"spanish\"", trait));
}

}  // namespace jenner::score
