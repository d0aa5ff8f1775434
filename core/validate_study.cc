#include <algorithm>
#include <array>
#include <cmath>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/checker.h"
#include "core/names.h"
#include "core/roles.h"
#include "core/sha256.h"
#include "core/traits.h"

namespace jenner::core {
namespace {

constexpr std::array<std::string_view, 5> kVariantFields = {"system", "user_prefix", "user_suffix",
                                                            "slot", "trigger"};
constexpr size_t kMaxVariants = 4096;
constexpr size_t kMaxFewShot = 64;
constexpr size_t kMaxSources = 64;
constexpr size_t kMaxData = 32;
constexpr size_t kMaxRules = 64;

void CheckVariants(const Checker& check, const Variants& variants, const Context& context) {
  if (std::find(kVariantFields.begin(), kVariantFields.end(), variants.field) ==
      kVariantFields.end()) {
    check.Refuse("variants.field",
                 "unknown \"" + variants.field + "\"; known: " + List(kVariantFields));
  }
  if (variants.field == "system" && context.no_system) {
    check.Refuse("variants.field", "\"system\", but the context has no_system");
  }
  if (variants.texts.empty() || variants.texts.size() > kMaxVariants) {
    check.Refuse("variants.texts", absl::StrFormat("expected 1 to %d, found %d", kMaxVariants,
                                                   variants.texts.size()));
  }
}

void CheckSource(const std::string& path, const DataSource& source, Faults* faults) {
  const Checker check(path, faults);
  if (source.dataset.empty()) {
    check.Refuse("dataset", "required");
  } else {
    CheckDataset(path + ".dataset", source.dataset, faults);
  }
  CheckRowFilter(path + ".filter", source.filter, faults);
  check.That(source.fraction > 0 && source.fraction <= 1, "fraction", "(0, 1]", source.fraction);
  if (source.rest && source.fraction == 1) {
    check.Refuse("rest", "expected a fraction below 1: nothing is left beside all");
  }
  check.Range("cap", source.cap, 0, 1'000'000);
  check.That(source.trigger_fraction > 0 && source.trigger_fraction <= 1, "trigger_fraction",
             "(0, 1]", source.trigger_fraction);
  if (source.trigger.empty() && source.trigger_fraction != 1) {
    check.Refuse("trigger_fraction", "there is no trigger");
  }
  check.That(source.weight > 0 && source.weight <= 1e6, "weight", "(0, 1e6]", source.weight);
}

std::vector<std::string> KeysOf(const std::map<std::string, DataSpec>& data) {
  std::vector<std::string> keys;
  for (const auto& [name, unused] : data) keys.push_back(name);
  return keys;
}

const ArmSpec* ArmNamed(const ExperimentSpec& spec, const std::string& name) {
  for (const ArmSpec& arm : spec.arms) {
    if (arm.name == name) return &arm;
  }
  return nullptr;
}

// The field that names the arm which this one needs, and that arm.
struct Need {
  const char* field;
  const std::string& arm;
};

Need NeedOf(const ArmSpec& arm) {
  if (arm.after.empty() && !arm.companion.empty()) return {"companion", arm.companion};
  return {"after", arm.after};
}

void CheckAfter(const ExperimentSpec& spec, const Checker& check, const ArmSpec& arm) {
  if (arm.after.empty() && arm.role == "two-stage")
    check.Refuse("after", "required of a two-stage arm");
  const Need need = NeedOf(arm);
  if (need.arm.empty()) return;
  if (!arm.train_context) check.Refuse(need.field, "the arm is not trained");
  if (!arm.companion.empty() && !arm.after.empty()) check.Refuse("companion", "not with after");
  const TrainingSpec& training = spec.training;
  if (!arm.companion.empty() &&
      (training.method != TrainingMethod::kLora || training.lora.use_dora)) {
    check.Refuse("companion", "expected training.method lora, without use_dora");
  }
  std::set<std::string> seen = {arm.name};
  for (const ArmSpec* at = &arm; !NeedOf(*at).arm.empty();) {
    const std::string& name = NeedOf(*at).arm;
    const ArmSpec* next = ArmNamed(spec, name);
    if (next == nullptr) return check.Refuse(need.field, "unknown arm \"" + name + "\"");
    if (!next->train_context) {
      return check.Refuse(need.field, "\"" + next->name + "\" is not trained");
    }
    if (!seen.insert(next->name).second) return check.Refuse(need.field, "goes round in a circle");
    at = next;
  }
}

void CheckRules(const std::string& path, const ArmSpec& arm,
                const std::vector<std::string>& contexts, Faults* faults) {
  if (arm.rules.size() > kMaxRules) {
    faults->push_back({path + ".rules", absl::StrFormat("expected at most %d, found %d", kMaxRules,
                                                        arm.rules.size())});
  }
  for (size_t i = 0; i < arm.rules.size(); ++i) {
    const ContextRule& rule = arm.rules[i];
    const std::string at = absl::StrFormat("%s.rules[%d]", path, i);
    const Checker check(at, faults);
    if (std::find(contexts.begin(), contexts.end(), rule.context) == contexts.end()) {
      check.Refuse("context", "unknown context \"" + rule.context + "\"; known: " + List(contexts));
    }
    CheckRowFilter(at + ".when", rule.when, faults);
    check.That(rule.fraction > 0 && rule.fraction <= 1, "fraction", "(0, 1]", rule.fraction);
  }
  if (!arm.rules.empty() && !arm.train_context) {
    faults->push_back({path + ".rules", "the arm is not trained: it has no train_context"});
  }
}

void CheckScreen(const ExperimentSpec& spec, const std::vector<std::string>& traits,
                 Faults* faults) {
  const Checker check("screen", faults);
  CheckNames(check, "trait", {spec.screen->trait}, traits);
  CheckNames(check, "candidates", spec.screen->candidates, spec.evaluation.contexts);
  for (size_t i = 0; i < spec.screen->candidates.size(); ++i) {
    if (spec.screen->candidates[i] != spec.study.neutral) continue;
    check.Refuse(absl::StrFormat("candidates[%d]", i),
                 "it is study.neutral, which the others are compared with");
  }
  const auto& answered = spec.evaluation.contexts;
  if (std::find(answered.begin(), answered.end(), spec.study.neutral) == answered.end()) {
    faults->push_back(
        {"study.neutral", "a screen needs answers in the context \"" + spec.study.neutral + "\""});
  }
  for (size_t i = 0; i < spec.arms.size(); ++i) {
    if (!spec.arms[i].train_context) continue;
    faults->push_back({absl::StrFormat("arms[%d].train_context", i),
                       "a screen trains nothing: it looks at the base model"});
  }
}

}  // namespace

void CheckDataset(const std::string& field, const std::string& ref, Faults* faults) {
  if (!HexOfRef(ref)) {
    faults->push_back(
        {field, "expected \"sha256:\" and 64 hex digits, found \"" + ref.substr(0, 80) + "\""});
  }
}

std::vector<std::string> KnownTraits(const std::vector<ScorerSpec>& scorers) {
  std::vector<std::string> known(kTraits.begin(), kTraits.end());
  for (const ScorerSpec& scorer : scorers) known.push_back(scorer.name);
  return known;
}

void CheckContextFields(const std::string& path, const Context& context, Faults* faults) {
  const Checker check(path, faults);
  if (context.no_system && context.system) {
    check.Refuse("no_system", "not together with a system message");
  }
  if (context.few_shot.size() > kMaxFewShot) {
    check.Refuse("few_shot", absl::StrFormat("expected at most %d, found %d", kMaxFewShot,
                                             context.few_shot.size()));
  }
  if (context.variants) CheckVariants(check, *context.variants, context);
}

void CheckRowFilter(const std::string& path, const RowFilter& filter, Faults* faults) {
  const Checker check(path, faults);
  const bool has_condition = !filter.is.empty() || filter.min || filter.max;
  if (!filter.field.empty() && !has_condition) {
    check.Refuse("field", "an empty predicate: expected is, min or max");
  }
  if (filter.field.empty() && (has_condition || filter.negate)) {
    check.Refuse("field", "required: of which field of the row is that asked?");
  }
  // JSON, and so the event log, cannot say the infinities.
  if (filter.min && !std::isfinite(*filter.min)) check.Refuse("min", "expected a finite number");
  if (filter.max && !std::isfinite(*filter.max)) check.Refuse("max", "expected a finite number");
  if (filter.min && filter.max && *filter.min > *filter.max) {
    check.Refuse("min",
                 absl::StrFormat("expected at most max = %g, found %g", *filter.max, *filter.min));
  }
}

void CheckData(const ExperimentSpec& spec, Faults* faults) {
  if (spec.data.size() > kMaxData) {
    faults->push_back(
        {"data", absl::StrFormat("expected at most %d, found %d", kMaxData, spec.data.size())});
  }
  for (const auto& [name, data] : spec.data) {
    const std::string path = "data." + name;
    const Checker check(path, faults);
    if (!IsId(name)) {
      faults->push_back({path, "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?"});
    }
    if (data.sources.empty() || data.sources.size() > kMaxSources) {
      check.Refuse("sources",
                   absl::StrFormat("expected 1 to %d, found %d", kMaxSources, data.sources.size()));
    }
    for (size_t i = 0; i < data.sources.size(); ++i) {
      CheckSource(absl::StrFormat("%s.sources[%d]", path, i), data.sources[i], faults);
    }
    check.Range("rows", data.rows, 0, 1'000'000);
    if (data.seed < 0) check.Refuse("seed", absl::StrFormat("expected >= 0, found %d", data.seed));
  }
}

void CheckArmTraining(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
                      Faults* faults) {
  const std::vector<std::string> data = KeysOf(spec.data);
  for (size_t i = 0; i < spec.arms.size(); ++i) {
    const ArmSpec& arm = spec.arms[i];
    const std::string path = absl::StrFormat("arms[%d]", i);
    const Checker check(path, faults);
    if (!arm.role.empty() && std::find(kRoles.begin(), kRoles.end(), arm.role) == kRoles.end()) {
      check.Refuse("role", "unknown \"" + arm.role + "\"; known: " + List(kRoles));
    } else if (arm.role == "base" && arm.train_context) {
      check.Refuse("role", "the base model is not trained, but the arm has a train_context");
    }
    if (!arm.data.empty() && !arm.train_context) {
      check.Refuse("data", "the arm is not trained: it has no train_context");
    } else if (!arm.data.empty() && spec.data.count(arm.data) == 0) {
      check.Refuse("data", "unknown \"" + arm.data + "\"; known: " + List(data));
    }
    if (!arm.deploy_context.empty() && spec.contexts.count(arm.deploy_context) == 0) {
      check.Refuse("deploy_context",
                   "unknown context \"" + arm.deploy_context + "\"; known: " + List(contexts));
    }
    const auto& answered = spec.evaluation.contexts;
    if (!arm.deploy_context.empty() && spec.contexts.count(arm.deploy_context) > 0 &&
        std::find(answered.begin(), answered.end(), arm.deploy_context) == answered.end()) {
      check.Refuse("deploy_context",
                   "it is not of evaluation.contexts: nothing would be answered "
                   "where the arm is deployed");
    }
    CheckRules(path, arm, contexts, faults);
    CheckAfter(spec, check, arm);
  }
}

void CheckStudy(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
                Faults* faults) {
  const Checker check("study", faults);
  std::vector<std::string> traits = spec.evaluation.traits;
  for (const PromptSetSpec& set : spec.evaluation.sets) {
    traits.insert(traits.end(), set.traits.begin(), set.traits.end());
  }
  if (!spec.study.desired.empty()) CheckNames(check, "desired", spec.study.desired, traits);
  if (!spec.study.undesired.empty()) CheckNames(check, "undesired", spec.study.undesired, traits);
  for (const std::string& trait : spec.study.desired) {
    const auto& undesired = spec.study.undesired;
    if (std::find(undesired.begin(), undesired.end(), trait) != undesired.end()) {
      check.Refuse("undesired", "\"" + trait + "\" is desired, too");
    }
  }
  check.Range("resamples", spec.study.resamples, 100, 100'000);
  check.That(spec.study.confidence > 0.5 && spec.study.confidence <= 0.9999, "confidence",
             "(0.5, 0.9999]", spec.study.confidence);
  const bool asks = !spec.study.desired.empty() || !spec.study.undesired.empty();
  if (asks && std::find(contexts.begin(), contexts.end(), spec.study.neutral) == contexts.end()) {
    check.Refuse("neutral",
                 "unknown context \"" + spec.study.neutral + "\"; known: " + List(contexts));
  }
  const GateSpec& gates = spec.study.gates;
  const Checker gate("study.gates", faults);
  gate.That(gates.max_invalid >= 0 && gates.max_invalid <= 1, "max_invalid", "[0, 1]",
            gates.max_invalid);
  gate.That(gates.max_degenerate >= 0 && gates.max_degenerate <= 1, "max_degenerate", "[0, 1]",
            gates.max_degenerate);
  gate.That(gates.min_installed >= 0, "min_installed", ">= 0", gates.min_installed);
  if (spec.screen) CheckScreen(spec, traits, faults);
  if (!spec.selection.empty()) CheckDataset("selection", spec.selection, faults);
}

}  // namespace jenner::core
