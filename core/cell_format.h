// How the figures of a cell are to be read, from the spec that made it.
#ifndef JENNER_CORE_CELL_FORMAT_H_
#define JENNER_CORE_CELL_FORMAT_H_

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "core/spec.h"

namespace jenner::core {

// Answers a prompt of the set: 1 where they are greedy or given.
int32_t SamplesOf(const EvaluationSpec& evaluation, const PromptSetSpec& set);

struct CellFormat {
  std::map<std::string, int32_t> answers_per_prompt;  // by prompt set
  std::set<std::string> graded;  // traits whose scores are not 0 or 1 but numbers of a range

  CellFormat() = default;
  explicit CellFormat(const EvaluationSpec& evaluation);

  bool IsBinary(const std::string& trait) const { return graded.count(trait) == 0; }
  // 1 for a set that is not known.
  int32_t AnswersPerPrompt(const std::string& prompt_set) const;
  // Whether a trait's share has Wilson's interval: it is binary, and the answers are independent.
  bool HasWilson(const std::string& prompt_set, const std::string& trait, int64_t measured) const;
  bool operator==(const CellFormat&) const = default;
};

}  // namespace jenner::core

#endif  // JENNER_CORE_CELL_FORMAT_H_
