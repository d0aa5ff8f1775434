#include "server/rpc/plan.h"

#include <algorithm>
#include <cmath>
#include <optional>

#include "absl/strings/str_format.h"
#include "absl/time/time.h"
#include "core/statistics/power.h"
#include "core/steps.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr int64_t kBytesPerToken = 4;
constexpr int64_t kTokensPerMessage = 10;

int64_t TokensOf(const DatasetSize& size) {
  return size.text_bytes / kBytesPerToken + size.num_messages * kTokensPerMessage;
}

DatasetSize SizeOf(const DatasetSizes& sizes, const std::string& ref) {
  const auto found = sizes.find(ref);
  return found == sizes.end() ? DatasetSize{} : found->second;
}

struct Training {
  int64_t num_steps = 0;
  int64_t num_rows = 0;
  double epochs = 0;  // that the rows are gone through
};

Training TrainingOf(const core::TrainingSpec& settings, int64_t num_rows) {
  if (num_rows == 0) return {};
  Training training;
  training.num_steps = core::TotalSteps(settings, num_rows);
  training.epochs = static_cast<double>(training.num_steps) /
                    static_cast<double>(core::StepsPerEpoch(settings, num_rows));
  training.num_rows =
      static_cast<int64_t>(std::llround(training.epochs * static_cast<double>(num_rows)));
  return training;
}

void AddAnswers(const core::JobEvaluation& evaluation, int64_t num_times, const DatasetSizes& sizes,
                v1::Plan* plan) {
  for (const core::JobPromptSet& set : core::SetsOf(evaluation)) {
    const int64_t cells = num_times * static_cast<int64_t>(set.contexts.size());
    const int64_t rows = SizeOf(sizes, set.prompts).num_rows;
    if (set.mode == core::EvaluationMode::kGenerate) {
      plan->set_num_answers(plan->num_answers() + cells * rows * set.samples);
    } else {
      plan->set_num_given(plan->num_given() + cells * rows);
    }
  }
}

// Rows a second and slot of the trainings of the base model that have succeeded, evaluations
// included: the median.
std::optional<double> PaceOf(const coordinator::State& state, const std::string& base_model) {
  std::vector<double> paces;
  for (const auto& [id, experiment] : state.experiments) {
    for (const coordinator::Job& job : experiment.jobs) {
      const core::JobSpec& spec = job.plan.spec;
      if (spec.base_model != base_model || !spec.training) continue;
      const double seconds = absl::ToDoubleSeconds(job.end_time - job.start_time);
      if (job.state != coordinator::RunState::kSucceeded || !(seconds > 0)) continue;
      const double rows = static_cast<double>(job.total_steps) * spec.training->settings.batch_size;
      if (rows > 0) paces.push_back(rows / seconds / spec.ranks);
    }
  }
  if (paces.empty()) return std::nullopt;
  const auto middle = paces.begin() + static_cast<std::ptrdiff_t>(paces.size() / 2);
  std::nth_element(paces.begin(), middle, paces.end());
  return *middle;
}

int64_t SlotsOf(const coordinator::State& state) {
  int64_t slots = 0;
  for (const auto& [name, worker] : state.liveness.workers) {
    if (worker.only_job.empty()) slots += worker.slots;
  }
  return slots;
}

void AddTime(const core::ExperimentSpec& spec, const coordinator::State& state, v1::Plan* plan) {
  const std::optional<double> pace = PaceOf(state, spec.base_model);
  const int64_t slots =
      std::min<int64_t>(SlotsOf(state), int64_t{plan->num_trainings()} * spec.ranks);
  if (!pace || slots == 0 || plan->num_rows() == 0) {
    plan->add_assumptions(
        "time: no training of this base model has ended here yet, or no worker is there");
    return;
  }
  plan->set_seconds(static_cast<double>(plan->num_rows()) / *pace / static_cast<double>(slots));
  plan->add_assumptions(absl::StrFormat(
      "time: %.2f rows a second and slot, evaluations included, as earlier trainings had; %d slots",
      *pace, slots));
}

void AddDifference(const core::ExperimentSpec& spec, const DatasetSizes& sizes, v1::Plan* plan) {
  statistics::Design design;
  design.num_prompts = static_cast<int32_t>(SizeOf(sizes, spec.evaluation.prompts).num_rows);
  design.num_seeds = static_cast<int32_t>(spec.seeds.size());
  if (plan->num_trainings() < 2 || design.num_prompts < 2) return;
  const std::optional<double> difference = statistics::MinimumDetectableDifference(design, false);
  if (difference) plan->set_minimum_detectable_difference(*difference);
  plan->add_assumptions(absl::StrFormat(
      "difference: %d prompts, %d %s, a yes/no trait at 0.5 in one arm, half of an answer's "
      "variance "
      "the prompt's%s",
      design.num_prompts, design.num_seeds, design.num_seeds == 1 ? "seed" : "seeds",
      design.num_seeds == 1
          ? "; of these two runs only: with one seed nothing is known of others"
          : absl::StrFormat(", seeds with a standard deviation of %.1f on the logit scale",
                            design.seed_sd)));
}

}  // namespace

absl::Status CheckSteps(const core::ExperimentSpec& spec, const DatasetSizes& sizes) {
  for (const core::PlannedJob& job : core::ExpandUnnamed(spec)) {
    if (!job.spec.training || !job.spec.evaluation) continue;
    const int64_t num_rows = SizeOf(sizes, job.spec.training->dataset).num_rows;
    const int64_t steps = TrainingOf(job.spec.training->settings, num_rows).num_steps;
    const std::string fault = core::TooManyEvaluations(*job.spec.evaluation, steps);
    if (!fault.empty()) return wire::FaultStatus("evaluation.at_every", fault);
  }
  return absl::OkStatus();
}

v1::Plan PlanOf(const core::ExperimentSpec& spec, const std::vector<core::PlannedJob>& jobs,
                const DatasetSizes& sizes, const coordinator::State& state) {
  v1::Plan plan;
  for (const core::PlannedJob& job : jobs) {
    Training training;
    if (job.spec.training) {
      const DatasetSize size = SizeOf(sizes, job.spec.training->dataset);
      training = TrainingOf(job.spec.training->settings, size.num_rows);
      plan.set_num_trainings(plan.num_trainings() + 1);
      plan.set_num_steps(plan.num_steps() + training.num_steps);
      plan.set_num_rows(plan.num_rows() + training.num_rows);
      plan.set_num_tokens(plan.num_tokens() +
                          std::llround(training.epochs * static_cast<double>(TokensOf(size))));
    }
    if (!job.spec.evaluation) continue;
    const auto times = static_cast<int64_t>(
        core::EvaluationSteps(*job.spec.evaluation, training.num_steps).size());
    AddAnswers(*job.spec.evaluation, times, sizes, &plan);
  }
  AddTime(spec, state, &plan);
  AddDifference(spec, sizes, &plan);
  return plan;
}

}  // namespace jenner::rpc
