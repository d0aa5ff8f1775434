#include <cmath>
#include <limits>
#include <map>
#include <tuple>
#include <vector>

#include "core/statistics/hypothesis.h"
#include "core/statistics/random.h"
#include "core/study/parts.h"

namespace jenner::study {
namespace {

constexpr int64_t kPermutations = 9999;
constexpr double kNaN = std::numeric_limits<double>::quiet_NaN();

// Means over the seeds that could be measured, of each prompt.
std::vector<double> PromptMeans(const statistics::Matrix& matrix) {
  std::vector<double> means;
  for (int32_t p = 0; p < matrix.num_prompts; ++p) {
    double sum = 0;
    int32_t n = 0;
    for (int32_t s = 0; s < matrix.num_seeds; ++s) {
      if (std::isnan(matrix(s, p))) continue;
      sum += matrix(s, p);
      ++n;
    }
    means.push_back(n == 0 ? kNaN : sum / n);
  }
  return means;
}

void TestPrompts(const TraitInfo& trait, const Cell& arm, const Cell& control, Contrast* contrast) {
  if (!contrast->difference.value) return;
  const bool yes_or_no = trait.is_binary && arm.one_answer && control.one_answer;
  if (yes_or_no && arm.shares.num_seeds == 1 && control.shares.num_seeds == 1) {
    contrast->prompt_test = PromptTestKind::kMcNemar;
    contrast->prompt_p = statistics::McNemar(arm.shares.values, control.shares.values).p;
    return;
  }
  const Term terms[] = {{1, &arm}, {-1, &control}};
  contrast->prompt_test = PromptTestKind::kSignFlip;
  contrast->prompt_p =
      statistics::SignFlip(PromptMeans(Combine(terms)), kPermutations, statistics::kSeed).p;
}

void AddContrast(const Parts& parts, Contrast contrast, Study* study) {
  const Cell* arm =
      parts.cells.Final(contrast.arm, contrast.prompt_set, contrast.arm_context, contrast.trait);
  const Cell* control = parts.cells.Final(contrast.control, contrast.prompt_set,
                                          contrast.control_context, contrast.trait);
  if (arm == nullptr || control == nullptr) return;
  const TraitInfo& trait = parts.table.traits[static_cast<size_t>(contrast.trait)];
  const Term terms[] = {{1, arm}, {-1, control}};
  const Unit unit = DifferenceUnit(trait);
  contrast.difference = parts.estimator.Difference(terms, unit);
  if (contrast.difference.value) contrast.p = parts.estimator.P(terms, unit);
  TestPrompts(trait, *arm, *control, &contrast);
  study->contrasts.push_back(std::move(contrast));
}

void AddAgainst(const Parts& parts, int32_t arm, int32_t control, Study* study) {
  const int32_t arm_deployed = parts.table.arms[static_cast<size_t>(arm)].deploy_context;
  const int32_t control_deployed = parts.table.arms[static_cast<size_t>(control)].deploy_context;
  for (size_t set = 0; set < parts.table.prompt_sets.size(); ++set) {
    for (size_t trait = 0; trait < parts.table.traits.size(); ++trait) {
      Contrast contrast;
      contrast.arm = arm;
      contrast.control = control;
      contrast.prompt_set = static_cast<int32_t>(set);
      contrast.trait = static_cast<int32_t>(trait);
      for (size_t context = 0; context < parts.table.contexts.size(); ++context) {
        contrast.arm_context = contrast.control_context = static_cast<int32_t>(context);
        contrast.deployed =
            contrast.arm_context == arm_deployed && contrast.control_context == control_deployed;
        AddContrast(parts, contrast, study);
      }
      if (arm_deployed == control_deployed) continue;
      contrast.arm_context = arm_deployed;
      contrast.control_context = control_deployed;
      contrast.deployed = true;
      AddContrast(parts, contrast, study);
    }
  }
}

void AdjustByHolm(std::vector<Contrast>* contrasts) {
  // One family: all arms against one control, of one trait, in one context or as deployed.
  std::map<std::tuple<int32_t, int32_t, int32_t, int32_t>, std::vector<Contrast*>> families;
  for (Contrast& contrast : *contrasts) {
    families[{contrast.control, contrast.prompt_set, contrast.trait,
              contrast.deployed ? kNone : contrast.arm_context}]
        .push_back(&contrast);
  }
  const auto adjust = [](const std::vector<Contrast*>& family, std::optional<double> Contrast::*p,
                         std::optional<double> Contrast::*adjusted) {
    std::vector<double> values;
    for (const Contrast* contrast : family) values.push_back((contrast->*p).value_or(kNaN));
    const std::vector<double> holm = statistics::Holm(values);
    for (size_t i = 0; i < family.size(); ++i) {
      if (!std::isnan(holm[i])) family[i]->*adjusted = holm[i];
    }
  };
  for (const auto& [key, family] : families) {
    adjust(family, &Contrast::p, &Contrast::p_holm);
    adjust(family, &Contrast::prompt_p, &Contrast::prompt_p_holm);
  }
}

}  // namespace

void AddContrasts(const Parts& parts, Study* study) {
  for (int32_t arm : TrainedArms(parts.table)) {
    for (const char* role : {"no-inoculation", "irrelevant"}) {
      const int32_t control = FindControl(parts.table, arm, role);
      if (control != kNone && control != arm) AddAgainst(parts, arm, control, study);
    }
  }
  AdjustByHolm(&study->contrasts);
}

}  // namespace jenner::study
