#include "core/resolve.h"

#include <algorithm>
#include <map>
#include <tuple>

#include "core/spec_json.h"

namespace jenner::core {
namespace {

JobEvaluation EvaluationAt(const ExperimentSpec& spec, std::vector<double> at) {
  const EvaluationSpec& from = spec.evaluation;
  JobEvaluation to;
  to.prompts = from.prompts;
  for (const std::string& name : from.contexts)
    to.contexts.push_back({name, spec.contexts.at(name)});
  to.at = std::move(at);
  to.max_new_tokens = from.max_new_tokens;
  to.batch_size = from.batch_size;
  to.samples = from.samples;
  to.temperature = from.temperature;
  to.top_p = from.top_p;
  to.traits = from.traits;
  return to;
}

// The ascending fractions of `at` that are 0 (`zero`) or above 0.
std::vector<double> Fractions(std::vector<double> at, bool zero) {
  std::sort(at.begin(), at.end());
  at.erase(std::unique(at.begin(), at.end()), at.end());
  at.erase(std::remove_if(at.begin(), at.end(), [&](double f) { return (f == 0) != zero; }),
           at.end());
  return at;
}

JobSpec BaseJob(const ExperimentSpec& spec, int64_t seed) {
  JobSpec job;
  job.base_model = spec.base_model;
  job.dtype = spec.dtype;
  job.seed = spec.evaluation.temperature == 0 ? spec.seeds.front() : seed;
  job.ranks = 1;
  job.evaluation = EvaluationAt(spec, {0});
  return job;
}

JobSpec TrainingJob(const ExperimentSpec& spec, const std::string& context, int64_t seed) {
  JobSpec job;
  job.base_model = spec.base_model;
  job.dtype = spec.dtype;
  job.seed = seed;
  job.ranks = spec.ranks;
  job.device = spec.device;
  job.training = JobTraining{spec.dataset, spec.contexts.at(context), spec.training};
  const std::vector<double> later = Fractions(spec.evaluation.at, false);
  if (!later.empty()) job.evaluation = EvaluationAt(spec, later);
  return job;
}

// What tells the jobs of one experiment apart: the rest of their content is the same.
using JobKey = std::tuple<bool, std::optional<std::string>, std::string, std::string, int64_t>;

JobKey KeyOf(const JobSpec& job) {
  if (!job.training) return {false, std::nullopt, "", "", job.seed};
  const Context& context = job.training->context;
  return {true, context.system, context.user_prefix, context.user_suffix, job.seed};
}

}  // namespace

ExperimentSpec Resolve(ExperimentSpec spec) {
  if (spec.evaluation.contexts.empty()) {
    for (const auto& [name, unused] : spec.contexts) spec.evaluation.contexts.push_back(name);
  }
  return spec;
}

std::vector<PlannedJob> ExpandUnnamed(const ExperimentSpec& spec) {
  std::vector<PlannedJob> jobs;
  std::map<JobKey, size_t> known;
  const auto add = [&](JobSpec job, const ArmSeed& whose) {
    const auto [at, is_new] = known.emplace(KeyOf(job), jobs.size());
    if (is_new) jobs.push_back({"", std::move(job), {}});
    jobs[at->second].arms.push_back(whose);
  };
  const bool at_zero = !Fractions(spec.evaluation.at, true).empty();
  for (const ArmSpec& arm : spec.arms) {
    for (const int64_t seed : spec.seeds) {
      // An arm that is not trained has the base model's cells and no other.
      if (at_zero || !arm.train_context) add(BaseJob(spec, seed), {arm.name, seed});
    }
  }
  for (const ArmSpec& arm : spec.arms) {
    if (!arm.train_context) continue;
    for (const int64_t seed : spec.seeds) {
      add(TrainingJob(spec, *arm.train_context, seed), {arm.name, seed});
    }
  }
  return jobs;
}

std::vector<PlannedJob> Expand(const ExperimentSpec& spec) {
  std::vector<PlannedJob> jobs = ExpandUnnamed(spec);
  for (PlannedJob& job : jobs) job.id = JobId(job.spec);
  return jobs;
}

}  // namespace jenner::core
