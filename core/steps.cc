#include "core/steps.h"

#include <algorithm>
#include <cmath>

#include "absl/strings/str_format.h"
#include "core/check.h"

namespace jenner::core {
namespace {

int64_t StepOf(double fraction, int64_t total_steps) {
  const int64_t step = std::llround(fraction * static_cast<double>(total_steps));
  return fraction > 0 ? std::max<int64_t>(step, 1) : step;
}

}  // namespace

int64_t StepsPerEpoch(const TrainingSpec& settings, int64_t num_rows) {
  return (num_rows + settings.batch_size - 1) / settings.batch_size;
}

int64_t TotalSteps(const TrainingSpec& settings, int64_t num_rows) {
  JENNER_CHECK(num_rows > 0);
  const int64_t steps = settings.epochs * StepsPerEpoch(settings, num_rows);
  return settings.max_steps > 0 ? std::min<int64_t>(settings.max_steps, steps) : steps;
}

std::string TooManyEvaluations(const JobEvaluation& evaluation, int64_t total_steps) {
  if (evaluation.at_every == 0 || total_steps / evaluation.at_every <= kMaxEvaluations) return "";
  return absl::StrFormat("%d evaluations of %d steps; at most %d",
                         total_steps / evaluation.at_every, total_steps, kMaxEvaluations);
}

std::vector<int64_t> EvaluationSteps(const JobEvaluation& evaluation, int64_t total_steps) {
  std::vector<int64_t> steps;
  for (const double fraction : evaluation.at) {
    steps.push_back(StepOf(fraction, total_steps));
  }
  if (evaluation.at_powers_of_two) {
    for (int64_t step = 1; step <= total_steps; step *= 2) steps.push_back(step);
  }
  if (evaluation.at_every > 0) {
    for (int64_t step = evaluation.at_every; step <= total_steps; step += evaluation.at_every) {
      steps.push_back(step);
    }
  }
  if (evaluation.at_powers_of_two || evaluation.at_every > 0) steps.push_back(total_steps);
  std::sort(steps.begin(), steps.end());
  steps.erase(std::unique(steps.begin(), steps.end()), steps.end());
  return steps;
}

int64_t LastEvaluationStep(const JobEvaluation& evaluation, int64_t total_steps) {
  if (evaluation.at_powers_of_two || evaluation.at_every > 0) return total_steps;
  return evaluation.at.empty()
             ? 0
             : StepOf(*std::max_element(evaluation.at.begin(), evaluation.at.end()), total_steps);
}

}  // namespace jenner::core
