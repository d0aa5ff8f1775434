#include "core/cell_format.h"

#include "core/traits.h"

namespace jenner::core {

int32_t SamplesOf(const EvaluationSpec& evaluation, const PromptSetSpec& set) {
  const bool draws =
      set.mode == EvaluationMode::kGenerate && set.temperature.value_or(evaluation.temperature) > 0;
  // What is asked for by the set itself stays, and is refused if it is not possible.
  return draws || set.samples ? set.samples.value_or(evaluation.samples) : 1;
}

CellFormat::CellFormat(const EvaluationSpec& evaluation) {
  graded = {kLogProbabilityTrait, kTotalLogProbabilityTrait};
  for (const ScorerKind& kind : kScorerKinds) {
    if (!kind.is_binary) graded.insert(std::string(kind.name));
  }
  for (const ScorerSpec& scorer : evaluation.scorers) {
    const ScorerKind* kind = FindScorerKind(scorer.kind);
    if (kind != nullptr && !kind->is_binary) graded.insert(scorer.name);
  }
  answers_per_prompt[kMainSet] = evaluation.samples;
  for (const PromptSetSpec& set : evaluation.sets) {
    answers_per_prompt[set.name] = SamplesOf(evaluation, set);
  }
}

int32_t CellFormat::AnswersPerPrompt(const std::string& prompt_set) const {
  const auto found = answers_per_prompt.find(prompt_set);
  return found == answers_per_prompt.end() ? 1 : found->second;
}

bool CellFormat::HasWilson(const std::string& prompt_set, const std::string& trait,
                           int64_t measured) const {
  return measured > 0 && IsBinary(trait) && AnswersPerPrompt(prompt_set) == 1;
}

}  // namespace jenner::core
