// Distributions, by Boost.Math.
#ifndef JENNER_CORE_STATISTICS_DISTRIBUTIONS_H_
#define JENNER_CORE_STATISTICS_DISTRIBUTIONS_H_

#include <cstdint>

namespace jenner::statistics {

// Quantiles: the x with P(X <= x) = p. REQUIRES: 0 < p < 1, degrees of freedom > 0.
double NormalQuantile(double p);
double StudentQuantile(double p, double df);
double FisherQuantile(double p, double df1, double df2);
// The number that a two-sided interval takes its half-width times: NormalQuantile and
// StudentQuantile of (1 + confidence) / 2. REQUIRES: 0 < confidence < 1.
double TwoSidedNormal(double confidence);
double TwoSidedStudent(double confidence, double df);

double NormalCdf(double x);
// P(|T| >= |t|) of Student's t; t may be infinite.
double StudentTwoSidedP(double t, double df);
// P(X <= k) and P(X = k) of k heads in n fair tosses. REQUIRES: 0 <= k <= n.
double FairBinomialCdf(int64_t k, int64_t n);
double FairBinomialPmf(int64_t k, int64_t n);

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_DISTRIBUTIONS_H_
