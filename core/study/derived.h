// Figures that are no mean of cells - slopes, ratios, correlations, the decomposition - of one
// prompt set, all from the same resamples: what Bootstrap draws is drawn for every arm, trait and
// context.
#ifndef JENNER_CORE_STUDY_DERIVED_H_
#define JENNER_CORE_STUDY_DERIVED_H_

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/statistics/crossed.h"
#include "core/study/parts.h"

namespace jenner::study {

// One (arm, trait) as shares. Matrices without an entry where something was not evaluated.
struct ArmTrait {
  int32_t arm = 0;
  int32_t trait = 0;
  bool in_fits = false;                          // counts for k and relations
  statistics::Matrix x, y;                       // M1 - M0 in c_t and in c_0
  statistics::Matrix elicitation;                // M0: c_t - c_0
  statistics::Matrix gap;                        // control - M0, deployed: T* - T0
  statistics::Matrix suppression;                // control - M1, deployed
  statistics::Matrix initial, leakage, control;  // levels in c_0
  const Cell* cells[4] = {};  // for logits: M1 and M0 in c_t, M1 and M0 in c_0; nullptr: none
  double margin = 0;          // of logits
};

struct Fit {
  int32_t trait = kNone;
  int32_t arm = kNone;
  FitScale scale = FitScale::kIdentity;
};

// Where in the figures' list a thing's are.
enum FitSlot { kSlope, kDeming, kFitSlots };
enum PartSlot { kElicitationPart, kConditionalPart, kPredicted, kPredictedLeakage, kPartSlots };
enum RelationSlot { kPearson, kRelationSlope, kRelationSlots };

struct PartsOf {
  size_t arm_trait = 0;
  size_t fit = 0;  // whose k
  bool own_k = false;
};

class Derived {
 public:
  Derived(const Parts& parts, int32_t prompt_set);

  const std::vector<ArmTrait>& arm_traits() const { return arm_traits_; }
  const std::vector<Fit>& fits() const { return fits_; }
  const std::vector<PartsOf>& decompositions() const { return decompositions_; }
  const std::vector<int32_t>& relation_traits() const { return relation_traits_; }

  // Positions of figures.
  size_t FitAt(size_t fit, FitSlot slot) const { return fit * kFitSlots + slot; }
  size_t PartAt(size_t decomposition, PartSlot slot) const {
    return fits_.size() * kFitSlots + decomposition * kPartSlots + slot;
  }
  size_t RelationAt(size_t relation, RelationSlot slot) const {
    return PartAt(decompositions_.size(), kElicitationPart) + relation * kRelationSlots + slot;
  }
  size_t RetentionAt(size_t arm_trait) const {
    return RelationAt(relation_traits_.size(), kPearson) + arm_trait;
  }
  size_t num_figures() const { return RetentionAt(arm_traits_.size()); }

  // All figures with these weights of seeds (of Cells::seeds()) and prompts; NaN where not defined.
  void Compute(std::span<const double> seed_weights, std::span<const double> prompt_weights,
               std::span<double> out) const;

  // Points of a fit with a value, and entries that could not be measured.
  int32_t NumPoints(const Fit& fit) const;
  int64_t NumMissing(const Fit& fit) const;
  // Points (elicitation, suppression) of the arms, as shares; NaN where missing.
  void RelationPoints(int32_t trait, std::vector<int32_t>* arms, std::vector<double>* x,
                      std::vector<double>* y, std::span<const double> seed_weights,
                      std::span<const double> prompt_weights) const;

 private:
  void AddArmTrait(const Parts& parts, int32_t arm, int32_t trait);
  void AddFits(const Parts& parts);
  void AddDecompositions();
  bool Counts(const Fit& fit, const ArmTrait& one) const;

  const ScoreTable& table_;
  int32_t prompt_set_;
  std::vector<ArmTrait> arm_traits_;
  std::vector<Fit> fits_;
  std::vector<PartsOf> decompositions_;
  std::vector<int32_t> relation_traits_;
};

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_DERIVED_H_
