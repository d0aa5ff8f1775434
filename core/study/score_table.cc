#include "core/study/score_table.h"

#include <absl/strings/str_cat.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string_view>
#include <tuple>

#include "core/scorer.h"
#include "core/traits.h"

namespace jenner::study {
namespace {

TraitInfo Describe(const core::ExperimentSpec& spec, const std::string& trait) {
  TraitInfo info;
  info.name = trait;
  if (trait == core::kCorrectTrait) return info;
  std::string_view kind = trait;
  for (const core::ScorerSpec& scorer : spec.evaluation.scorers) {
    if (scorer.name == trait) kind = scorer.kind;
  }
  const core::ScorerKind* found = core::FindScorerKind(kind);
  if (found == nullptr) {
    info.is_binary = false;
    info.range.reset();
    const bool nats =
        trait == core::kLogProbabilityTrait || trait == core::kTotalLogProbabilityTrait;
    info.unit = nats ? "nats" : "";
    return info;
  }
  info.is_binary = found->is_binary;
  info.range = statistics::Interval{found->low, found->high};
  info.unit = std::string(found->unit);
  return info;
}

template <typename List, typename Name>
int32_t Find(const List& list, const std::string& wanted, Name name) {
  for (size_t i = 0; i < list.size(); ++i) {
    if (name(list[i]) == wanted) return static_cast<int32_t>(i);
  }
  return kNone;
}

int32_t FindText(const std::vector<std::string>& list, const std::string& wanted) {
  return Find(list, wanted, [](const std::string& text) { return text; });
}

int32_t FindTrait(const ScoreTable& table, const std::string& wanted) {
  return Find(table.traits, wanted, [](const TraitInfo& trait) { return trait.name; });
}

void AddTraits(const core::ExperimentSpec& spec, const std::vector<std::string>& traits,
               ScoreTable* table) {
  for (const std::string& trait : traits) {
    if (FindTrait(*table, trait) == kNone) table->traits.push_back(Describe(spec, trait));
  }
}

auto Key(const ScoreRow& row) {
  return std::tie(row.arm, row.seed, row.step, row.prompt_set, row.context, row.trait, row.prompt,
                  row.sample);
}

std::string ValueFault(const TraitInfo& trait, double value) {
  if (std::isnan(value)) return "";
  if (trait.is_binary && value != 0 && value != 1) return "is neither 0 nor 1";
  if (!std::isfinite(value)) return "is not finite";
  if (trait.range && (value < trait.range->low || value > trait.range->high)) {
    return absl::StrCat("is outside [", trait.range->low, ", ", trait.range->high, "]");
  }
  return "";
}

template <typename List>
bool Within(int32_t position, const List& list) {
  return position >= 0 && static_cast<size_t>(position) < list.size();
}

}  // namespace

ScoreTable EmptyTable(const core::ExperimentSpec& spec) {
  ScoreTable table;
  for (const auto& [name, context] : spec.contexts) table.contexts.push_back(name);
  for (const core::ArmSpec& arm : spec.arms) {
    ArmInfo info{.name = arm.name, .role = arm.role, .has_rules = !arm.rules.empty()};
    if (arm.train_context) info.train_context = FindText(table.contexts, *arm.train_context);
    const std::string& deployed =
        arm.deploy_context.empty() ? spec.study.neutral : arm.deploy_context;
    info.deploy_context = FindText(table.contexts, deployed);
    table.arms.push_back(std::move(info));
  }
  for (size_t i = 0; i < spec.arms.size(); ++i) {
    table.arms[i].after =
        Find(table.arms, spec.arms[i].after, [](const ArmInfo& arm) { return arm.name; });
  }
  table.seeds = spec.seeds;
  table.prompt_sets = {core::kMainSet};
  AddTraits(spec, spec.evaluation.traits, &table);
  for (const core::PromptSetSpec& set : spec.evaluation.sets) {
    table.prompt_sets.push_back(set.name);
    AddTraits(spec, set.traits, &table);
  }
  table.neutral = FindText(table.contexts, spec.study.neutral);
  for (const std::string& trait : spec.study.desired) {
    if (const int32_t i = FindTrait(table, trait); i != kNone) table.desired.push_back(i);
  }
  for (const std::string& trait : spec.study.undesired) {
    if (const int32_t i = FindTrait(table, trait); i != kNone) table.undesired.push_back(i);
  }
  table.resamples = spec.study.resamples;
  table.confidence = spec.study.confidence;
  return table;
}

absl::Status ValidateTable(const ScoreTable& table) {
  for (size_t i = 0; i < table.rows.size(); ++i) {
    const ScoreRow& row = table.rows[i];
    const auto fault = [i](const std::string& text) {
      return absl::InvalidArgumentError(absl::StrCat("scores[", i, "]: ", text));
    };
    if (!Within(row.arm, table.arms)) return fault("no such arm");
    if (!Within(row.seed, table.seeds)) return fault("no such seed");
    if (!Within(row.prompt_set, table.prompt_sets)) return fault("no such prompt set");
    if (!Within(row.context, table.contexts)) return fault("no such context");
    if (!Within(row.trait, table.traits)) return fault("no such trait");
    if (!Within(row.prompt, table.prompts)) return fault("no such prompt");
    const TraitInfo& trait = table.traits[static_cast<size_t>(row.trait)];
    const std::string wrong = ValueFault(trait, row.value);
    if (!wrong.empty()) return fault(absl::StrCat(trait.name, ": ", row.value, " ", wrong));
  }
  std::vector<size_t> order(table.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(),
            [&](size_t a, size_t b) { return Key(table.rows[a]) < Key(table.rows[b]); });
  for (size_t i = 1; i < order.size(); ++i) {
    if (Key(table.rows[order[i]]) == Key(table.rows[order[i - 1]])) {
      const auto [first, second] = std::minmax(order[i - 1], order[i]);
      return absl::InvalidArgumentError(
          absl::StrCat("scores[", second, "]: the same answer and trait as scores[", first, "]"));
    }
  }
  return absl::OkStatus();
}

}  // namespace jenner::study
