#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include "absl/strings/str_format.h"
#include "core/cell_format.h"
#include "core/checker.h"
#include "core/module_pattern.h"
#include "core/names.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/traits.h"

namespace jenner::core {
namespace {

constexpr std::array<std::string_view, 7> kTargets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};
constexpr size_t kMaxArms = 64;
constexpr size_t kMaxSeeds = 64;
constexpr size_t kMaxContexts = 64;
constexpr size_t kMaxContextBytes = 64 << 10;
// Each job carries the contexts that it needs, so these bound what an experiment costs.
constexpr size_t kMaxContextBytesTogether = 256 << 10;
constexpr size_t kMaxTrainings = 1024;
constexpr size_t kMaxContextBytesOfAJob = 1 << 20;
constexpr size_t kMaxContextBytesOfAllJobs = 16 << 20;

size_t TextBytes(const Context& context) {
  size_t bytes = (context.system ? context.system->size() : 0) + context.user_prefix.size() +
                 context.user_suffix.size() + context.separator.size() + context.slot.size() +
                 context.trigger.size();
  for (const Exchange& exchange : context.few_shot) {
    bytes += exchange.user.size() + exchange.assistant.size();
  }
  if (context.variants) {
    for (const std::string& text : context.variants->texts) bytes += text.size();
  }
  return bytes;
}

void CheckContext(const std::string& path, const Context& context, Faults* faults) {
  const size_t bytes = TextBytes(context);
  if (bytes > kMaxContextBytes) {
    faults->push_back(
        {path, absl::StrFormat("%d bytes of text; at most %d", bytes, kMaxContextBytes)});
  }
  CheckContextFields(path, context, faults);
}

// Which layers, and patterns of module paths.
void CheckWhere(const Checker& check, const LoraSpec& lora) {
  constexpr int32_t kMaxLayers = 1024;
  std::set<int32_t> seen;
  for (size_t i = 0; i < lora.layers_to_transform.size(); ++i) {
    const std::string field = absl::StrFormat("layers_to_transform[%d]", i);
    const int32_t layer = lora.layers_to_transform[i];
    check.Range(field, layer, 0, kMaxLayers - 1);
    if (!seen.insert(layer).second)
      check.Refuse(field, absl::StrFormat("%d is there twice", layer));
  }
  const auto pattern = [&check](const char* map, const std::string& key) {
    const std::string field = absl::StrFormat("%s.%s", map, key);
    const std::string fault = FaultOfModulePattern(key);
    if (!fault.empty()) check.Refuse(field, fault);
    return field;
  };
  for (const auto& [key, rank] : lora.rank_pattern)
    check.Range(pattern("rank_pattern", key), rank, 1, 1024);
  for (const auto& [key, alpha] : lora.alpha_pattern)
    check.That(alpha > 0, pattern("alpha_pattern", key), "> 0", alpha);
}

void CheckTraining(const std::string& path, const TrainingSpec& t, int32_t ranks, Faults* faults) {
  const Checker check(path, faults);
  if (t.method == TrainingMethod::kLora) {
    const Checker lora(path + ".lora", faults);
    lora.Range("rank", t.lora.rank, 1, 1024);
    lora.That(t.lora.alpha > 0, "alpha", "> 0", t.lora.alpha);
    lora.That(t.lora.dropout >= 0 && t.lora.dropout < 1, "dropout", "[0, 1)", t.lora.dropout);
    CheckNames(lora, "targets", t.lora.targets, kTargets);
    CheckWhere(lora, t.lora);
  }
  check.Range("epochs", t.epochs, 1, 1000);
  check.Range("max_steps", t.max_steps, 0, 10'000'000);
  check.Range("batch_size", t.batch_size, 1, 65536);
  check.Range("accumulation_steps", t.accumulation_steps, 1, 65536);
  if (t.batch_size >= 1 && t.accumulation_steps >= 1 && ranks >= 1 &&
      t.batch_size % (int64_t{t.accumulation_steps} * ranks) != 0) {
    check.Refuse("batch_size",
                 absl::StrFormat("%d rows do not divide into %d ranks x %d accumulation steps",
                                 t.batch_size, ranks, t.accumulation_steps));
  }
  check.Range("max_length", t.max_length, 8, 1 << 20);
  check.That(t.learning_rate > 0 && t.learning_rate <= 10, "learning_rate", "(0, 10]",
             t.learning_rate);
  check.Range("warmup_steps", t.warmup_steps, 0, 10'000'000);
  if (t.max_steps > 0 && t.warmup_steps >= t.max_steps) {
    check.Refuse("warmup_steps", absl::StrFormat("expected fewer than max_steps = %d, found %d",
                                                 t.max_steps, t.warmup_steps));
  }
  check.That(t.weight_decay >= 0, "weight_decay", ">= 0", t.weight_decay);
  check.That(t.beta1 >= 0 && t.beta1 < 1, "beta1", "[0, 1)", t.beta1);
  check.That(t.beta2 >= 0 && t.beta2 < 1, "beta2", "[0, 1)", t.beta2);
  check.That(t.epsilon > 0, "epsilon", "> 0", t.epsilon);
  check.That(t.max_gradient_norm >= 0, "max_gradient_norm", ">= 0", t.max_gradient_norm);
  check.Range("zero_stage", t.zero_stage, 0, 1);
  check.Range("checkpoint_steps", t.checkpoint_steps, 0, 10'000'000);
}

void CheckSampling(const Checker& check, int32_t max_new_tokens, int32_t samples,
                   double temperature, double top_p) {
  check.Range("max_new_tokens", max_new_tokens, 1, 4096);
  check.Range("samples", samples, 1, 1000);
  check.That(temperature >= 0 && temperature <= 100, "temperature", "[0, 100]", temperature);
  if (samples > 1 && temperature == 0) {
    check.Refuse(
        "samples",
        "more than one answer a prompt needs a temperature above 0: greedy ones are equal");
  }
  check.That(top_p > 0 && top_p <= 1, "top_p", "(0, 1]", top_p);
}

void CheckScorers(const std::vector<ScorerSpec>& scorers, Faults* faults) {
  constexpr size_t kMaxScorers = 32;
  if (scorers.size() > kMaxScorers) {
    faults->push_back({"evaluation.scorers", absl::StrFormat("expected at most %d, found %d",
                                                             kMaxScorers, scorers.size())});
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < scorers.size(); ++i) {
    const std::string path = absl::StrFormat("evaluation.scorers[%d]", i);
    for (Fault& fault : ValidateScorer(path, scorers[i])) faults->push_back(std::move(fault));
    if (!seen.insert(scorers[i].name).second) {
      faults->push_back({path + ".name", "\"" + scorers[i].name + "\" is named twice"});
    }
  }
}

// Of a set as of a job's: what its mode wants.
template <typename Set>
void CheckMode(const Checker& check, const Set& set, const std::vector<ScorerSpec>& scorers) {
  switch (set.mode) {
    case EvaluationMode::kGenerate:
      CheckNames(check, "traits", set.traits, KnownTraits(scorers));
      break;
    case EvaluationMode::kLogProbability:
      CheckNames(check, "traits", set.traits,
                 std::vector<std::string>{kLogProbabilityTrait, kTotalLogProbabilityTrait});
      break;
    case EvaluationMode::kClassify:
      CheckNames(check, "traits", set.traits, std::vector<std::string>{kCorrectTrait});
      if (set.choices.size() < 2 || set.choices.size() > 64) {
        check.Refuse("choices", absl::StrFormat("expected 2 to 64 with mode classify, found %d",
                                                set.choices.size()));
      }
      break;
  }
  if (set.mode != EvaluationMode::kClassify && !set.choices.empty()) {
    check.Refuse("choices", "only with mode classify");
  }
}

// Names of sets: of the alphabet of arms, not "main", each once.
template <typename Set>
void CheckSetNames(const std::vector<Set>& sets, Faults* faults) {
  constexpr size_t kMaxSets = 32;
  if (sets.size() > kMaxSets) {
    faults->push_back({"evaluation.sets",
                       absl::StrFormat("expected at most %d, found %d", kMaxSets, sets.size())});
  }
  std::set<std::string> seen = {kMainSet};
  for (size_t i = 0; i < sets.size(); ++i) {
    const std::string field = absl::StrFormat("evaluation.sets[%d].name", i);
    if (!IsId(sets[i].name)) {
      faults->push_back({field, "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?, found \"" +
                                    sets[i].name + "\""});
    } else if (!seen.insert(sets[i].name).second) {
      faults->push_back({field, "\"" + sets[i].name + "\" is named twice"});
    }
  }
}

void CheckSets(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
               Faults* faults) {
  const EvaluationSpec& e = spec.evaluation;
  CheckSetNames(e.sets, faults);
  for (size_t i = 0; i < e.sets.size(); ++i) {
    const PromptSetSpec& set = e.sets[i];
    const std::string path = absl::StrFormat("evaluation.sets[%d]", i);
    const Checker check(path, faults);
    if (set.prompts.empty()) {
      check.Refuse("prompts", "required");
    } else {
      CheckDataset(path + ".prompts", set.prompts, faults);
    }
    if (!contexts.empty()) CheckNames(check, "contexts", set.contexts, contexts);
    CheckSampling(check, set.max_new_tokens.value_or(e.max_new_tokens), SamplesOf(e, set),
                  set.temperature.value_or(e.temperature), set.top_p.value_or(e.top_p));
    CheckMode(check, set, e.scorers);
  }
}

// What experiments and jobs have in common.
template <typename E>
void CheckDecoding(const E& e, Faults* faults) {
  const Checker check("evaluation", faults);
  if (e.at.empty() && !e.at_powers_of_two && e.at_every == 0) {
    check.Refuse("at", "expected at least one");
  }
  check.Range("at_every", e.at_every, 0, 10'000'000);
  for (size_t i = 0; i < e.at.size(); ++i) {
    check.That(e.at[i] >= 0 && e.at[i] <= 1, absl::StrFormat("at[%d]", i), "[0, 1]", e.at[i]);
  }
  check.Range("batch_size", e.batch_size, 1, 1024);
  CheckSampling(check, e.max_new_tokens, e.samples, e.temperature, e.top_p);
  CheckScorers(e.scorers, faults);
  CheckNames(check, "traits", e.traits, KnownTraits(e.scorers));
}

void CheckModelName(const std::string& name, Faults* faults) {
  if (name.empty()) {
    faults->push_back({"base_model", "required"});
  } else if (name.size() > 128 || name[0] == '.' || name.find('/') != std::string::npos ||
             name.find('\0') != std::string::npos) {
    faults->push_back({"base_model", "expected the name of a folder under --models-dir, found \"" +
                                         name.substr(0, 80) + "\""});
  }
}

void CheckContexts(const ExperimentSpec& spec, Faults* faults) {
  if (spec.contexts.empty() || spec.contexts.size() > kMaxContexts) {
    faults->push_back({"contexts", absl::StrFormat("expected 1 to %d, found %d", kMaxContexts,
                                                   spec.contexts.size())});
  }
  size_t together = 0;
  for (const auto& [name, context] : spec.contexts) {
    if (!IsId(name))
      faults->push_back(
          {"contexts." + name, "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?"});
    CheckContext("contexts." + name, context, faults);
    together += TextBytes(context);
  }
  if (together > kMaxContextBytesTogether) {
    faults->push_back({"contexts", absl::StrFormat("%d bytes of text together; at most %d",
                                                   together, kMaxContextBytesTogether)});
  }
}

void CheckArms(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
               Faults* faults) {
  if (spec.arms.empty() || spec.arms.size() > kMaxArms) {
    faults->push_back(
        {"arms", absl::StrFormat("expected 1 to %d, found %d", kMaxArms, spec.arms.size())});
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < spec.arms.size(); ++i) {
    const ArmSpec& arm = spec.arms[i];
    const Checker check(absl::StrFormat("arms[%d]", i), faults);
    if (!IsId(arm.name)) {
      check.Refuse("name", "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?, found \"" +
                               arm.name + "\"");
    } else if (!seen.insert(arm.name).second) {
      check.Refuse("name", "\"" + arm.name + "\" is named twice");
    }
    if (arm.train_context && spec.contexts.count(*arm.train_context) == 0) {
      check.Refuse("train_context",
                   "unknown context \"" + *arm.train_context + "\"; known: " + List(contexts));
    }
  }
}

// What the contexts of a job of the arm take: each is written down wherever it is used.
size_t JobContextBytes(const ExperimentSpec& spec, const ArmSpec& arm) {
  const auto bytes_of = [&spec](const std::string& name) {
    const auto found = spec.contexts.find(name);
    return found == spec.contexts.end() ? 0 : TextBytes(found->second);
  };
  size_t bytes = arm.train_context ? bytes_of(*arm.train_context) : 0;
  for (const ContextRule& rule : arm.rules) bytes += bytes_of(rule.context);
  for (const std::string& name : spec.evaluation.contexts) bytes += bytes_of(name);
  for (const PromptSetSpec& set : spec.evaluation.sets) {
    for (const std::string& name : set.contexts) bytes += bytes_of(name);
  }
  return bytes;
}

void CheckSeeds(const ExperimentSpec& spec, Faults* faults) {
  if (spec.seeds.empty() || spec.seeds.size() > kMaxSeeds) {
    faults->push_back(
        {"seeds", absl::StrFormat("expected 1 to %d, found %d", kMaxSeeds, spec.seeds.size())});
  }
  if (spec.arms.size() <= kMaxArms && spec.seeds.size() <= kMaxSeeds &&
      spec.arms.size() * spec.seeds.size() > kMaxTrainings) {
    faults->push_back(
        {"seeds", absl::StrFormat("%d arms x %d seeds; at most %d trainings", spec.arms.size(),
                                  spec.seeds.size(), kMaxTrainings)});
  }
  size_t largest = 0, together = 0;
  for (const ArmSpec& arm : spec.arms) {
    const size_t bytes = JobContextBytes(spec, arm);
    largest = std::max(largest, bytes);
    together += bytes * spec.seeds.size();
  }
  if (largest > kMaxContextBytesOfAJob || together > kMaxContextBytesOfAllJobs) {
    faults->push_back(
        {"contexts",
         absl::StrFormat("%d bytes of text in one job, %d in all; at most %d and %d "
                         "(each prompt set has those it is answered in)",
                         largest, together, kMaxContextBytesOfAJob, kMaxContextBytesOfAllJobs)});
  }
  std::set<int64_t> seen;
  for (size_t i = 0; i < spec.seeds.size(); ++i) {
    const std::string field = absl::StrFormat("seeds[%d]", i);
    if (spec.seeds[i] < 0)
      faults->push_back({field, absl::StrFormat("expected >= 0, found %d", spec.seeds[i])});
    if (!seen.insert(spec.seeds[i]).second) faults->push_back({field, "named twice"});
  }
}

}  // namespace

Faults Validate(const ExperimentSpec& spec) {
  Faults faults;
  std::vector<std::string> contexts;
  for (const auto& [name, unused] : spec.contexts) contexts.push_back(name);
  CheckModelName(spec.base_model, &faults);
  const bool trains = std::any_of(spec.arms.begin(), spec.arms.end(),
                                  [](const ArmSpec& arm) { return arm.train_context.has_value(); });
  const bool needs_dataset =
      std::any_of(spec.arms.begin(), spec.arms.end(),
                  [](const ArmSpec& arm) { return arm.train_context && arm.data.empty(); });
  if (needs_dataset && spec.dataset.empty()) {
    faults.push_back({"dataset", "required, since an arm is trained on it"});
  } else if (!spec.dataset.empty()) {
    CheckDataset("dataset", spec.dataset, &faults);
  }
  CheckContexts(spec, &faults);
  CheckArms(spec, contexts, &faults);
  CheckArmTraining(spec, contexts, &faults);
  CheckData(spec, &faults);
  CheckSeeds(spec, &faults);
  if (spec.ranks < 1 || spec.ranks > 64) {
    faults.push_back({"ranks", absl::StrFormat("expected 1 to 64, found %d", spec.ranks)});
  }
  if (spec.priority < 0 || spec.priority > 100) {
    faults.push_back({"priority", absl::StrFormat("expected 0 to 100, found %d", spec.priority)});
  }
  if (!trains && spec.device != Device::kCpu) {
    faults.push_back({"device", "expected cpu, since no arm is trained; evaluation runs there"});
  }
  CheckTraining("training", spec.training, spec.ranks, &faults);
  if (spec.evaluation.prompts.empty()) {
    faults.push_back({"evaluation.prompts", "required"});
  } else {
    CheckDataset("evaluation.prompts", spec.evaluation.prompts, &faults);
  }
  if (!spec.contexts.empty()) {
    CheckNames(Checker("evaluation", &faults), "contexts", spec.evaluation.contexts, contexts);
  }
  CheckDecoding(spec.evaluation, &faults);
  CheckSets(spec, contexts, &faults);
  CheckStudy(spec, contexts, &faults);
  return faults;
}

Faults Validate(const JobSpec& job) {
  Faults faults;
  CheckModelName(job.base_model, &faults);
  if (job.seed < 0)
    faults.push_back({"seed", absl::StrFormat("expected >= 0, found %d", job.seed)});
  if (job.ranks < 1 || job.ranks > 64) {
    faults.push_back({"ranks", absl::StrFormat("expected 1 to 64, found %d", job.ranks)});
  }
  if (!job.training && !job.evaluation)
    faults.push_back({"", "expected a training, an evaluation or both"});
  if (!job.training && job.device != Device::kCpu) {
    faults.push_back({"device", "expected cpu, since nothing is trained; evaluation runs there"});
  }
  if (job.training) {
    if (job.training->dataset.empty()) faults.push_back({"training.dataset", "required"});
    CheckContext("training.context", job.training->context, &faults);
    for (size_t i = 0; i < job.training->rules.size(); ++i) {
      const JobRule& rule = job.training->rules[i];
      const std::string path = absl::StrFormat("training.rules[%d]", i);
      CheckContext(path + ".context", rule.context, &faults);
      CheckRowFilter(path + ".when", rule.when, &faults);
      Checker(path, &faults)
          .That(rule.fraction > 0 && rule.fraction <= 1, "fraction", "(0, 1]", rule.fraction);
    }
    CheckTraining("training.settings", job.training->settings, job.ranks, &faults);
  }
  if (job.evaluation) {
    if (job.evaluation->prompts.empty()) faults.push_back({"evaluation.prompts", "required"});
    if (job.evaluation->contexts.empty())
      faults.push_back({"evaluation.contexts", "expected at least one"});
    for (const NamedContext& context : job.evaluation->contexts) {
      CheckContext("evaluation.contexts", context.context, &faults);
    }
    CheckDecoding(*job.evaluation, &faults);
    CheckSetNames(job.evaluation->sets, &faults);
    for (size_t i = 0; i < job.evaluation->sets.size(); ++i) {
      const JobPromptSet& set = job.evaluation->sets[i];
      const std::string path = absl::StrFormat("evaluation.sets[%d]", i);
      const Checker check(path, &faults);
      if (set.prompts.empty()) check.Refuse("prompts", "required");
      if (set.contexts.empty()) check.Refuse("contexts", "expected at least one");
      for (const NamedContext& context : set.contexts) {
        CheckContext(path + ".contexts", context.context, &faults);
      }
      CheckSampling(check, set.max_new_tokens, set.samples, set.temperature, set.top_p);
      CheckMode(check, set, job.evaluation->scorers);
    }
  }
  return faults;
}

}  // namespace jenner::core
