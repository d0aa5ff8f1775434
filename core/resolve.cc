#include "core/resolve.h"

#include <algorithm>
#include <map>
#include <optional>
#include <utility>

#include "core/cell_format.h"
#include "core/roles.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/traits.h"

namespace jenner::core {
namespace {

std::vector<NamedContext> Named(const ExperimentSpec& spec, const std::vector<std::string>& names) {
  std::vector<NamedContext> contexts;
  for (const std::string& name : names) contexts.push_back({name, spec.contexts.at(name)});
  return contexts;
}

JobEvaluation EvaluationAt(const ExperimentSpec& spec, std::vector<double> at) {
  const EvaluationSpec& from = spec.evaluation;
  JobEvaluation to;
  to.prompts = from.prompts;
  to.contexts = Named(spec, from.contexts);
  to.at = std::move(at);
  to.max_new_tokens = from.max_new_tokens;
  to.batch_size = from.batch_size;
  to.samples = from.samples;
  to.temperature = from.temperature;
  to.top_p = from.top_p;
  to.traits = from.traits;
  to.scorers = from.scorers;
  for (const PromptSetSpec& set : from.sets) {
    to.sets.push_back({set.name, set.prompts, set.mode, Named(spec, set.contexts),
                       set.max_new_tokens.value_or(from.max_new_tokens), SamplesOf(from, set),
                       set.temperature.value_or(from.temperature), set.top_p.value_or(from.top_p),
                       set.traits, set.choices});
  }
  return to;
}

// Whether answers depend on the seed.
bool Draws(const EvaluationSpec& evaluation) {
  return evaluation.temperature > 0 ||
         std::any_of(evaluation.sets.begin(), evaluation.sets.end(), [&](const PromptSetSpec& set) {
           return set.mode == EvaluationMode::kGenerate && set.temperature.value_or(0) > 0;
         });
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
  job.seed = Draws(spec.evaluation) ? seed : spec.seeds.front();
  job.ranks = 1;
  job.evaluation = EvaluationAt(spec, {0});
  return job;
}

const std::string& DatasetOf(const ExperimentSpec& spec, const ArmSpec& arm) {
  return arm.data.empty() ? spec.dataset : spec.data.at(arm.data).result;
}

// The arm whose result this one's training needs, or "".
const std::string& NeededBy(const ArmSpec& arm) {
  return arm.after.empty() ? arm.companion : arm.after;
}

// `after`: the id of the job of the arm that it needs, or "".
JobSpec TrainingJob(const ExperimentSpec& spec, const ArmSpec& arm, int64_t seed,
                    const std::string& after) {
  JobSpec job;
  job.base_model = spec.base_model;
  job.dtype = spec.dtype;
  job.seed = seed;
  job.ranks = spec.ranks;
  job.device = spec.device;
  JobTraining training;
  training.dataset = DatasetOf(spec, arm);
  for (const ContextRule& rule : arm.rules) {
    training.rules.push_back({spec.contexts.at(rule.context), rule.when, rule.fraction});
  }
  training.context = spec.contexts.at(*arm.train_context);
  training.after = after;
  training.companion = !arm.companion.empty();
  training.settings = spec.training;
  job.training = std::move(training);
  std::vector<double> at = Fractions(spec.evaluation.at, false);
  const bool has_own_zero = !arm.after.empty() && !Fractions(spec.evaluation.at, true).empty();
  if (has_own_zero) at.insert(at.begin(), 0);
  const bool by_steps = spec.evaluation.at_powers_of_two || spec.evaluation.at_every > 0;
  if (!at.empty() || by_steps) {
    job.evaluation = EvaluationAt(spec, at);
    job.evaluation->at_powers_of_two = spec.evaluation.at_powers_of_two;
    job.evaluation->at_every = spec.evaluation.at_every;
  }
  return job;
}

// Makes the jobs of a spec, each content once.
class Expansion {
 public:
  explicit Expansion(const ExperimentSpec& spec) : spec_(spec) {
    at_zero_ = !Fractions(spec.evaluation.at, true).empty();
  }

  std::vector<PlannedJob> Run() {
    for (const ArmSpec& arm : spec_.arms) {
      // An arm that is not trained has the base model's cells and no other.
      const bool has_base = !arm.train_context || (at_zero_ && arm.after.empty());
      if (!has_base) continue;
      for (const int64_t seed : spec_.seeds) AddBase(arm.name, seed);
    }
    for (const ArmSpec& arm : spec_.arms) {
      if (!arm.train_context) continue;
      for (const int64_t seed : spec_.seeds) AddTraining(arm, seed);
    }
    return std::move(jobs_);
  }

 private:
  void AddBase(const std::string& arm, int64_t seed) {
    const int64_t key = Draws(spec_.evaluation) ? seed : spec_.seeds.front();
    const auto [at, is_new] = bases_.emplace(key, jobs_.size());
    if (is_new) jobs_.push_back({"", BaseJob(spec_, seed), {}});
    jobs_[at->second].arms.push_back({arm, seed});
  }

  // The arms whose trainings are the same as this one's for each seed share a key.
  std::string KeyOf(const ArmSpec& arm) const {
    const auto found = keys_.find(arm.name);
    if (found != keys_.end()) return found->second;
    const std::string after = NeededBy(arm).empty() ? "" : KeyOf(ArmNamed(NeededBy(arm)));
    JobSpec alike = TrainingJob(spec_, arm, 0, after);
    alike.evaluation.reset();  // the rest of their content is the same
    // A hash: the key of a stage has that of the one before it in it.
    return keys_.emplace(arm.name, Sha256Hex(ToJson(alike))).first->second;
  }

  const ArmSpec& ArmNamed(const std::string& name) const {
    return *std::find_if(spec_.arms.begin(), spec_.arms.end(),
                         [&](const ArmSpec& arm) { return arm.name == name; });
  }

  // The index of the arm's job for the seed; made if it is not there, after those it needs.
  size_t Planned(const ArmSpec& arm, int64_t seed) {
    const std::pair<std::string, int64_t> key(KeyOf(arm), seed);
    const auto found = trainings_.find(key);
    if (found != trainings_.end()) return found->second;
    std::optional<size_t> after;
    if (!NeededBy(arm).empty()) after = Planned(ArmNamed(NeededBy(arm)), seed);
    const std::string id = after ? JobId(jobs_[*after].spec) : "";
    jobs_.push_back({"", TrainingJob(spec_, arm, seed, id), {}, after});
    return trainings_[key] = jobs_.size() - 1;
  }

  void AddTraining(const ArmSpec& arm, int64_t seed) {
    jobs_[Planned(arm, seed)].arms.push_back({arm.name, seed});
  }

  const ExperimentSpec& spec_;
  bool at_zero_ = false;
  std::vector<PlannedJob> jobs_;
  std::map<int64_t, size_t> bases_;
  std::map<std::pair<std::string, int64_t>, size_t> trainings_;
  mutable std::map<std::string, std::string> keys_;  // by arm
};

}  // namespace

std::vector<JobPromptSet> SetsOf(const JobEvaluation& evaluation) {
  std::vector<JobPromptSet> sets = {{kMainSet,
                                     evaluation.prompts,
                                     EvaluationMode::kGenerate,
                                     evaluation.contexts,
                                     evaluation.max_new_tokens,
                                     evaluation.samples,
                                     evaluation.temperature,
                                     evaluation.top_p,
                                     evaluation.traits,
                                     {}}};
  sets.insert(sets.end(), evaluation.sets.begin(), evaluation.sets.end());
  return sets;
}

std::vector<PlannedJob> ExpandUnnamed(const ExperimentSpec& spec) { return Expansion(spec).Run(); }

namespace {

void ResolveSet(const EvaluationSpec& evaluation, PromptSetSpec* set) {
  if (set->contexts.empty()) set->contexts = evaluation.contexts;
  if (!set->traits.empty()) return;
  switch (set->mode) {
    case EvaluationMode::kGenerate:
      set->traits = evaluation.traits;
      break;
    case EvaluationMode::kLogProbability:
      set->traits = {kLogProbabilityTrait, kTotalLogProbabilityTrait};
      break;
    case EvaluationMode::kClassify:
      set->traits = {kCorrectTrait};
      break;
  }
}

}  // namespace

ExperimentSpec Resolve(ExperimentSpec spec) {
  ResolveRoles(&spec);
  if (spec.evaluation.contexts.empty()) {
    for (const auto& [name, unused] : spec.contexts) spec.evaluation.contexts.push_back(name);
  }
  for (PromptSetSpec& set : spec.evaluation.sets) ResolveSet(spec.evaluation, &set);
  if (spec.screen && spec.screen->candidates.empty()) {
    for (const auto& [name, unused] : spec.contexts) {
      if (name != spec.study.neutral) spec.screen->candidates.push_back(name);
    }
  }
  if (spec.screen && spec.arms.empty()) spec.arms.push_back({"base", {}, "base"});
  return spec;
}

std::vector<PlannedJob> Expand(const ExperimentSpec& spec) {
  std::vector<PlannedJob> jobs = ExpandUnnamed(spec);
  for (PlannedJob& job : jobs) job.id = JobId(job.spec);
  return jobs;
}

}  // namespace jenner::core
