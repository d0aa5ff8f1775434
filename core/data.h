// Data operations: the training set that a DataSpec makes of its sources. Pure and deterministic:
// what is drawn is drawn by (seed of the spec, source, id of the row), so that a row's fate does
// not hang on the others.
#ifndef JENNER_CORE_DATA_H_
#define JENNER_CORE_DATA_H_

#include <string>
#include <vector>

#include "core/dataset.h"
#include "core/fault.h"
#include "core/spec.h"

namespace jenner::core {

// Whether the filter keeps the row. A row without the field, or with one that is no number where
// min or max asks for one, is not kept; with `negate` it is.
bool Matches(const RowFilter& filter, const Row& row);

// A number in [0, 1) that hangs on these alone; uniform over ids.
double DrawOf(int64_t seed, const std::string& stream, const std::string& id);

// What a user turn is compared by: white space at the ends off, within it one space, lower case of
// ASCII.
std::string NormalizedTurn(const std::string& content);

// The training set of `spec`. `sources` has the rows of each of its sources, `prompts` those of all
// evaluation prompts. Ids stay unless two rows share one: those of a later source get "/2", "/3".
// Adds to *faults, with the fields of `spec`: a filter that keeps no row (`filter`), a source or
// the whole that is empty, a source that has too few rows for its share (`weight`), a contaminated
// training set (`contamination`: how many rows and the first one's id). Upper case is Unicode's
// full mapping in the root locale.
std::vector<Row> MakeTrainingSet(const DataSpec& spec, std::vector<std::vector<Row>> sources,
                                 const std::vector<Row>& prompts, Faults* faults);

// Rows whose last user turn ends a prompt, as for `contamination`: their ids.
std::vector<std::string> Contaminated(const std::vector<Row>& rows,
                                      const std::vector<Row>& prompts);

}  // namespace jenner::core

#endif  // JENNER_CORE_DATA_H_
