// Sampling: frequencies of draws against the distribution, and what top_p leaves.
#include "worker/generate/sampler.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>
#include <vector>

namespace jenner::generate {
namespace {

constexpr int kDraws = 20000;

std::map<int32_t, double> Frequencies(const std::vector<float>& logits, double temperature,
                                      double top_p) {
  std::map<int32_t, double> frequencies;
  for (int i = 0; i < kDraws; ++i) {
    frequencies[ChooseToken(logits, temperature, top_p, 17, static_cast<uint64_t>(i))] +=
        1.0 / kDraws;
  }
  return frequencies;
}

TEST(SamplerTest, DrawsByTheSoftmaxOfTheTemperature) {
  const std::vector<float> logits = {0.0f, 1.0f, -1.0f, 2.0f};
  for (const double temperature : {0.5, 1.0, 2.0}) {
    double total = 0;
    for (const float logit : logits) total += std::exp(logit / temperature);
    const auto frequencies = Frequencies(logits, temperature, 1);
    for (size_t i = 0; i < logits.size(); ++i) {
      const double p = std::exp(logits[i] / temperature) / total;
      const auto found = frequencies.find(static_cast<int32_t>(i));
      // Five standard errors.
      EXPECT_NEAR(found == frequencies.end() ? 0 : found->second, p,
                  5 * std::sqrt(p * (1 - p) / kDraws))
          << "temperature " << temperature << ", token " << i;
    }
  }
}

TEST(SamplerTest, TopPKeepsTheFewestThatReachIt) {
  // Probabilities 0.1, 0.4, 0.2, 0.3.
  const std::vector<float> logits = {std::log(0.1f), std::log(0.4f), std::log(0.2f),
                                     std::log(0.3f)};
  EXPECT_EQ(Frequencies(logits, 1, 0.3).size(), 1u);
  const auto two = Frequencies(logits, 1, 0.69);
  ASSERT_EQ(two.size(), 2u);
  EXPECT_NEAR(two.at(1), 4.0 / 7, 0.02);
  EXPECT_NEAR(two.at(3), 3.0 / 7, 0.02);
  EXPECT_EQ(Frequencies(logits, 1, 0.8).size(), 3u);
}

TEST(SamplerTest, GreedyTakesTheLargestAndTheLowestOfATie) {
  EXPECT_EQ(ChooseToken(std::vector<float>{1, 3, 3, 2}, 0, 1, 1, 1), 1);
}

TEST(SamplerTest, LogitsThatAreNoNumbersGiveNoToken) {
  const std::vector<float> none(5, std::numeric_limits<float>::quiet_NaN());
  EXPECT_EQ(ChooseToken(none, 0, 1, 1, 1), kNoToken);
  EXPECT_EQ(ChooseToken(none, 1, 1, 1, 1), kNoToken);
  EXPECT_EQ(ChooseToken(std::vector<float>{1, std::numeric_limits<float>::infinity()}, 1, 1, 1, 1),
            kNoToken);
}

}  // namespace
}  // namespace jenner::generate
