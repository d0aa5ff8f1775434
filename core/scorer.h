// A scorer: how a trait is measured. A plain trait name ("capitals") is a scorer of that kind and
// name.
#ifndef JENNER_CORE_SCORER_H_
#define JENNER_CORE_SCORER_H_

#include <string>

namespace jenner::core {

struct ScorerSpec {
  std::string name;          // the trait's, as arm names
  std::string kind;          // docs/scorers.md
  std::string pattern;       // of kinds that search for one: a regular expression (RE2)
  bool ignore_case = false;  // with pattern
  std::string field;         // of the row, of kinds that compare with one; "": "answer"
  bool operator==(const ScorerSpec&) const = default;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_SCORER_H_
