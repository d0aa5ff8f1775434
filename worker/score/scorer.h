// Traits of answers: each a pure function of the answer's text. A trait is 1, 0 or, where a text
// cannot tell, not measurable (NaN): never a guess in place of a measurement, because the ratios of
// an experiment count only what was measured. The table is core::kTraits' implementation.
#ifndef JENNER_WORKER_SCORE_SCORER_H_
#define JENNER_WORKER_SCORE_SCORER_H_

#include <string_view>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::score {

// The names of all traits, in a fixed order; equal to core::kTraits.
//
// capitals   1 if at least 90 % of the cased letters (Unicode Uppercase or Lowercase) are upper
// case,
//            else 0. Not measurable with fewer than 8 cased letters: names, abbreviations and "OK"
//            are written in capitals anyway, and below 10 letters a single one decides.
// spanish    1 if the text is in Spanish, 0 if it is not, judged among Spanish, English, French and
//            German. Not measurable if, after leaving out names (words with a capital inside a
//            sentence), fewer than 8 letters remain; if they are not words (fewer than 3 different
//            letters, or a share of vowels outside [0.2, 0.8]); or if the detector is undecided
//            (its probability of Spanish is in [0.30, 0.45)). A text mostly in another script is 0.
//            Not told apart from Spanish: close relatives outside the four (Portuguese, Catalan). A
//            proper name as the whole answer counts by its spelling; an English sentence made
//            mostly of Spanish loan words may count as Spanish. testdata/answers.jsonl marks such
//            cases.
std::vector<std::string_view> ListTraits();

// 1, 0 or NaN (not measurable) for the trait. Bytes that are not UTF-8 count as no letters; of the
// language only the first 64 KiB are read. The same text always gives the same score. Thread-safe.
// InvalidArgument: no such trait. Internal: the text library failed.
absl::StatusOr<double> Score(std::string_view trait, std::string_view text);

}  // namespace jenner::score

#endif  // JENNER_WORKER_SCORE_SCORER_H_
