// Estimates of sums and differences of cells.
#ifndef JENNER_CORE_STUDY_ESTIMATE_H_
#define JENNER_CORE_STUDY_ESTIMATE_H_

#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "core/statistics/bootstrap.h"
#include "core/statistics/crossed.h"
#include "core/study/cells.h"
#include "core/study/study.h"

namespace jenner::study {

struct Term {
  double factor = 1;
  const Cell* cell = nullptr;  // nullptr: not evaluated
};

// sum(factor cell), entry by entry: NaN where one of them is. A cell of one row (not trained) goes
// with each seed of the others. REQUIRES: no nullptr; the same prompt set and Cells.
statistics::Matrix Combine(std::span<const Term> terms);

// How shares become what is shown: low + width * share.
struct Unit {
  double low = 0;  // 0 of differences
  double width = 1;
  bool bounded = true;  // shares are in [0, 1]
};
// An interval of shares as it is shown.
std::optional<Interval> In(const Unit& unit, const std::optional<Interval>& shares);
Unit LevelUnit(const TraitInfo& trait);
Unit DifferenceUnit(const TraitInfo& trait);

class Estimator {
 public:
  Estimator(double confidence, int32_t resamples) : confidence_(confidence) {
    bootstrap_.resamples = resamples;
    bootstrap_.confidence = confidence;
  }
  double confidence() const { return confidence_; }
  const statistics::BootstrapOptions& bootstrap() const { return bootstrap_; }

  Estimate Level(const Cell* cell, const TraitInfo& trait, bool with_bootstrap) const;
  // Of a sum of cells whose factors add up to 0, scaled by unit.width.
  Estimate Difference(std::span<const Term> terms, const Unit& unit,
                      bool with_bootstrap = true) const;
  // Of one row of it.
  Estimate DifferenceOfRun(std::span<const Term> terms, const Unit& unit, int32_t row) const;
  // The p-value that belongs to Difference's interval.
  std::optional<double> P(std::span<const Term> terms, const Unit& unit) const;

 private:
  // Of `matrix`, which is the sum of `terms` or rows of it.
  Estimate Sum(std::span<const Term> terms, statistics::Matrix matrix, const Unit& unit,
               bool with_bootstrap) const;
  Estimate Make(const statistics::Matrix& matrix, statistics::Scale scale, const Unit& unit,
                bool trained, bool with_bootstrap) const;

  double confidence_;
  statistics::BootstrapOptions bootstrap_;
};

// Without a value, for this reason.
Estimate Missing(std::string reason);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_ESTIMATE_H_
