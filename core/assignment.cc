#include "core/assignment.h"

#include <algorithm>
#include <string>

#include "absl/strings/str_format.h"
#include "core/data.h"

namespace jenner::core {
namespace {

size_t VariantOf(const Variants& variants, const Row& row, int64_t row_idx, int64_t seed) {
  const size_t count = variants.texts.size();
  switch (variants.policy) {
    case VariantPolicy::kFixed:
      return 0;
    case VariantPolicy::kRotate:
      return static_cast<size_t>(row_idx) % count;
    case VariantPolicy::kSample:
      return std::min(
          static_cast<size_t>(DrawOf(seed, "variant", row.id) * static_cast<double>(count)),
          count - 1);
  }
  return 0;
}

}  // namespace

size_t RuleOf(const JobTraining& training, const Row& row, int64_t seed) {
  for (size_t i = 0; i < training.rules.size(); ++i) {
    const JobRule& rule = training.rules[i];
    if (!Matches(rule.when, row)) continue;
    if (rule.fraction >= 1) return i;
    if (DrawOf(seed, absl::StrFormat("rule/%d", i), row.id) < rule.fraction) return i;
  }
  return training.rules.size();
}

const Context& TrainContextOf(const JobTraining& training, const Row& row, int64_t seed) {
  const size_t rule = RuleOf(training, row, seed);
  return rule < training.rules.size() ? training.rules[rule].context : training.context;
}

Context ContextFor(const Context& context, const Row& row, int64_t row_idx, int64_t seed) {
  if (!context.variants) return context;
  Context chosen = context;
  chosen.variants.reset();
  const Variants& variants = *context.variants;
  const std::string& text = variants.texts[VariantOf(variants, row, row_idx, seed)];
  if (variants.field == "system") chosen.system = text;
  if (variants.field == "user_prefix") chosen.user_prefix = text;
  if (variants.field == "user_suffix") chosen.user_suffix = text;
  if (variants.field == "slot") chosen.slot = text;
  if (variants.field == "trigger") chosen.trigger = text;
  return chosen;
}

std::vector<int64_t> CountByRule(const JobTraining& training, const std::vector<Row>& rows,
                                 int64_t seed) {
  std::vector<int64_t> counts(training.rules.size() + 1);
  for (const Row& row : rows) ++counts[RuleOf(training, row, seed)];
  counts.pop_back();
  return counts;
}

}  // namespace jenner::core
