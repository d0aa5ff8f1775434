// Tests of paired values, and what several of them need.
#ifndef JENNER_CORE_STATISTICS_HYPOTHESIS_H_
#define JENNER_CORE_STATISTICS_HYPOTHESIS_H_

#include <cstdint>
#include <span>
#include <vector>

namespace jenner::statistics {

// McNemar's test of paired yes/no values (McNemar, Psychometrika 12 (1947) 153-157), exact: of the
// pairs that differ, half should differ either way.
struct McNemarTest {
  int64_t only_first = 0;  // pairs with 1 in the first and 0 in the second
  int64_t only_second = 0;
  double p = 1;      // two-sided, exact binomial
  double mid_p = 1;  // p less the probability of what was seen; Fagerland, Lydersen, Laake,
                     // BMC Med. Res. Methodol. 13 (2013) 91: closer to the level that is asked for
};
// Pairs with a NaN are left out. REQUIRES: equal lengths; values 0, 1 or NaN.
McNemarTest McNemar(std::span<const double> first, std::span<const double> second);
// REQUIRES: counts >= 0.
McNemarTest McNemar(int64_t only_first, int64_t only_second);

// Sign-flip (paired permutation) test that the differences are symmetrical around 0, two-sided, by
// |mean|. Exact over all 2^n sign patterns if n <= 20 nonzero differences, else `permutations`
// random ones with p = (b + 1) / (m + 1) (Phipson and Smyth, SAGMB 9 (2010) 39), so never 0.
struct PermutationTest {
  double p = 1;
  int64_t num_permutations = 0;  // how many patterns were looked at
  bool exact = true;
};
// NaNs are left out. Deterministic in `seed`. REQUIRES: permutations >= 1.
PermutationTest SignFlip(std::span<const double> differences, int64_t permutations, uint64_t seed);

// Holm's step-down adjustment (Holm, Scand. J. Stat. 6 (1979) 65-70); NaNs stay NaN and do not
// count as tests. Same order as given.
std::vector<double> Holm(std::span<const double> p_values);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_HYPOTHESIS_H_
