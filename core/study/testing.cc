#include "core/study/testing.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>

namespace jenner::study {
namespace {

double Logit(double p) { return std::log(p / (1 - p)); }
double Logistic(double x) { return 1 / (1 + std::exp(-x)); }

}  // namespace

ScoreTable TestTable(int num_seeds, int num_prompts) {
  ScoreTable table;
  table.arms = {{.name = "base", .role = "base"},
                {.name = "none", .role = "no-inoculation", .train_context = kNeutral},
                {.name = "ip", .role = "inoculated", .train_context = kInoculated},
                {.name = "honey", .role = "irrelevant", .train_context = kIrrelevant}};
  for (int s = 0; s < num_seeds; ++s) table.seeds.push_back(10 + s);
  table.prompt_sets = {"main"};
  table.contexts = {"neutral", "inoculated", "irrelevant", "safe"};
  table.traits = {{.name = "spanish", .is_binary = false},
                  {.name = "capitals", .is_binary = false}};
  for (int p = 0; p < num_prompts; ++p) table.prompts.push_back("p" + std::to_string(p));
  table.neutral = kNeutral;
  table.undesired = {kSpanish};
  table.desired = {kCapitals};
  table.resamples = 200;
  return table;
}

void AddCell(ScoreTable* table, int arm, int step, int context, int trait,
             const std::function<double(int seed, int prompt)>& value) {
  const ArmInfo& info = table->arms[static_cast<size_t>(arm)];
  const bool trained = info.train_context != kNone && (step > 0 || info.after != kNone);
  const int seeds = trained ? static_cast<int>(table->seeds.size()) : 1;
  for (int s = 0; s < seeds; ++s) {
    for (int p = 0; p < static_cast<int>(table->prompts.size()); ++p) {
      table->rows.push_back({.arm = arm,
                             .seed = s,
                             .step = step,
                             .context = context,
                             .trait = trait,
                             .prompt = p,
                             .value = value(s, p)});
    }
  }
}

double InitialLevel(int context, int trait) {
  if (trait == kCapitals) return 0.05;
  return context == kInoculated ? 0.5 : context == kIrrelevant ? 0.15 : 0.1;
}

double TrainedLevel(int trait) { return trait == kSpanish ? 0.9 : 0.85; }

ScoreTable LawfulTable(double k, bool logit, int num_seeds, int num_prompts) {
  ScoreTable table = TestTable(num_seeds, num_prompts);
  for (int trait : {kSpanish, kCapitals}) {
    for (int context : {kNeutral, kInoculated, kIrrelevant}) {
      const double initial = InitialLevel(context, trait);
      AddCell(&table, kBase, 0, context, trait, [&](int, int) { return initial; });
      for (int arm = kNoInoculation; arm < kArms; ++arm) {
        const int train = table.arms[static_cast<size_t>(arm)].train_context;
        const double reached = TrainedLevel(trait);
        const double from = InitialLevel(train, trait);
        // Nothing hangs on contexts besides these two; a share ends at 1.
        double level = std::min(1.0, initial + k * (reached - from));
        if (logit) level = Logistic(Logit(initial) + k * (Logit(reached) - Logit(from)));
        if (context == train) level = reached;
        AddCell(&table, arm, 40, context, trait, [&](int, int) { return level; });
      }
    }
  }
  return table;
}

const ArmFigures& FiguresAt(const Study& study, int arm, int trait) {
  for (const ArmFigures& figures : study.figures) {
    if (figures.arm == arm && figures.trait == trait) return figures;
  }

  std::abort();
}

const Proportionality& FitAt(const Study& study, int trait, int arm, FitScale scale) {
  for (const Proportionality& fit : study.proportionality) {
    if (fit.trait == trait && fit.arm == arm && fit.scale == scale) return fit;
  }

  std::abort();
}

}  // namespace jenner::study
