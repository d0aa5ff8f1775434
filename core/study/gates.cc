#include "core/study/gates.h"

#include <absl/strings/str_format.h>

#include <algorithm>
#include <numeric>

namespace jenner::study {
namespace {

constexpr size_t kMinSteps = 10;

class Checker {
 public:
  Checker(const core::GateSpec& gates, const Study& study) : gates_(gates), study_(study) {}

  void CheckInvalid(const Level& level) {
    if (level.num_answers == 0) return;
    const double share =
        static_cast<double>(level.num_invalid) / static_cast<double>(level.num_answers);
    if (share <= gates_.max_invalid) return;
    GateFailure failure{
        GateKind::kInvalid, level.arm,   kNone, level.step,         level.prompt_set,
        level.context,      level.trait, share, gates_.max_invalid, ""};
    failure.message =
        absl::StrFormat("%s of %s, step %d, %s/%s: %d of %d answers are not measurable",
                        Trait(level.trait), Arm(level.arm), level.step, Set(level.prompt_set),
                        Context(level.context), level.num_invalid, level.num_answers);
    failures_.push_back(std::move(failure));
  }

  void CheckDegenerate(const DegenerateCount& count) {
    if (count.num_answers == 0) return;
    const double share =
        static_cast<double>(count.num_degenerate) / static_cast<double>(count.num_answers);
    if (share <= gates_.max_degenerate) return;
    GateFailure failure{GateKind::kDegenerate,
                        count.arm,
                        count.seed,
                        count.step,
                        count.prompt_set,
                        count.context,
                        kNone,
                        share,
                        gates_.max_degenerate,
                        ""};
    failure.message =
        absl::StrFormat("%s/%d, step %d, %s/%s: %d of %d answers are degenerate", Arm(count.arm),
                        Seed(count.seed), count.step, Set(count.prompt_set), Context(count.context),
                        count.num_degenerate, count.num_answers);
    failures_.push_back(std::move(failure));
  }

  void CheckLoss(const LossCurve& curve) {
    if (!gates_.loss_fell || curve.losses.size() < kMinSteps) return;
    const size_t tenth = curve.losses.size() / 10;
    const auto mean = [&](size_t begin) {
      const auto first = curve.losses.begin() + static_cast<std::ptrdiff_t>(begin);
      return std::accumulate(first, first + static_cast<std::ptrdiff_t>(tenth), 0.0) /
             static_cast<double>(tenth);
    };
    const double before = mean(0), after = mean(curve.losses.size() - tenth);
    if (after < before) return;
    GateFailure failure{
        GateKind::kLossFell, curve.arm, curve.seed, kNone, kNone, kNone, kNone, after, before, ""};
    failure.message = absl::StrFormat("%s/%d: the loss did not fall: %.4g at first, %.4g at last",
                                      Arm(curve.arm), Seed(curve.seed), before, after);
    failures_.push_back(std::move(failure));
  }

  void CheckInstalled(const ArmFigures& figures) {
    const auto& undesired = study_.undesired;
    const bool is_undesired =
        std::find(undesired.begin(), undesired.end(), figures.trait) != undesired.end();
    if (gates_.min_installed <= 0 || !is_undesired || !figures.in_context.value) return;
    if (*figures.in_context.value >= gates_.min_installed) return;
    GateFailure failure{GateKind::kInstalled, figures.arm, kNone,         kNone,
                        figures.prompt_set,   kNone,       figures.trait, *figures.in_context.value,
                        gates_.min_installed, ""};
    failure.message = absl::StrFormat(
        "%s: %s reaches only %.3g in its own train context (%s), below %.3g", Arm(figures.arm),
        Trait(figures.trait), failure.value, Set(figures.prompt_set), failure.limit);
    failures_.push_back(std::move(failure));
  }

  std::vector<GateFailure> Take() { return std::move(failures_); }

 private:
  const std::string& Arm(int32_t at) const { return study_.arms[static_cast<size_t>(at)].name; }
  const std::string& Trait(int32_t at) const { return study_.traits[static_cast<size_t>(at)].name; }
  const std::string& Set(int32_t at) const { return study_.prompt_sets[static_cast<size_t>(at)]; }
  const std::string& Context(int32_t at) const { return study_.contexts[static_cast<size_t>(at)]; }
  int64_t Seed(int32_t at) const { return study_.seeds[static_cast<size_t>(at)]; }

  const core::GateSpec& gates_;
  const Study& study_;
  std::vector<GateFailure> failures_;
};

}  // namespace

std::vector<GateFailure> CheckGates(const core::GateSpec& gates, const Study& study,
                                    const std::vector<DegenerateCount>& degenerate,
                                    const std::vector<LossCurve>& losses) {
  Checker checker(gates, study);
  for (const Level& level : study.levels) checker.CheckInvalid(level);
  for (const DegenerateCount& count : degenerate) checker.CheckDegenerate(count);
  for (const LossCurve& curve : losses) checker.CheckLoss(curve);
  for (const ArmFigures& figures : study.figures) checker.CheckInstalled(figures);
  return checker.Take();
}

}  // namespace jenner::study
