#include "core/statistics/distributions.h"

#include <boost/math/distributions/binomial.hpp>
#include <boost/math/distributions/fisher_f.hpp>
#include <boost/math/distributions/normal.hpp>
#include <boost/math/distributions/students_t.hpp>
#include <cmath>

#include "core/check.h"

namespace jenner::statistics {
namespace {

boost::math::binomial_distribution<double> Fair(int64_t k, int64_t n) {
  JENNER_CHECK(0 <= k && k <= n);
  return {static_cast<double>(n), 0.5};
}

}  // namespace

double NormalQuantile(double p) {
  JENNER_CHECK(p > 0 && p < 1);
  return boost::math::quantile(boost::math::normal_distribution<double>(), p);
}

double StudentQuantile(double p, double df) {
  JENNER_CHECK(p > 0 && p < 1 && df > 0);
  return boost::math::quantile(boost::math::students_t_distribution<double>(df), p);
}

double FisherQuantile(double p, double df1, double df2) {
  JENNER_CHECK(p > 0 && p < 1 && df1 > 0 && df2 > 0);
  return boost::math::quantile(boost::math::fisher_f_distribution<double>(df1, df2), p);
}

double TwoSidedNormal(double confidence) { return NormalQuantile((1 + confidence) / 2); }

double TwoSidedStudent(double confidence, double df) {
  return StudentQuantile((1 + confidence) / 2, df);
}

double NormalCdf(double x) { return std::erfc(-x / std::sqrt(2.0)) / 2; }

double StudentTwoSidedP(double t, double df) {
  JENNER_CHECK(df > 0 && !std::isnan(t));
  if (std::isinf(t)) return 0;
  const boost::math::students_t_distribution<double> student(df);
  return 2 * boost::math::cdf(boost::math::complement(student, std::abs(t)));
}

double FairBinomialCdf(int64_t k, int64_t n) {
  return boost::math::cdf(Fair(k, n), static_cast<double>(k));
}

double FairBinomialPmf(int64_t k, int64_t n) {
  return boost::math::pdf(Fair(k, n), static_cast<double>(k));
}

}  // namespace jenner::statistics
