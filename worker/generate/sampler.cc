#include "worker/generate/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>
#include <vector>

#include "worker/kernels/kernels.h"
#include "worker/model/counter_rng.h"

namespace jenner::generate {

int32_t ChooseToken(std::span<const float> logits_V, double temperature, double top_p, uint64_t key,
                    uint64_t counter) {
  const size_t vocab = logits_V.size();
  const int64_t best = kernels::Argmax(logits_V.data(), static_cast<int64_t>(vocab));
  if (best < 0) return kNoToken;
  if (temperature == 0) return static_cast<int32_t>(best);
  const double top = logits_V[static_cast<size_t>(best)];
  std::vector<int32_t> order(vocab);
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> weights(vocab);
  double total = 0;
  for (size_t i = 0; i < vocab; ++i) {
    weights[i] = std::exp((static_cast<double>(logits_V[i]) - top) / temperature);
    total += weights[i];
  }
  if (!(total > 0) || !std::isfinite(total)) return kNoToken;
  const auto weight_of = [&](int32_t id) { return weights[static_cast<size_t>(id)]; };
  if (top_p < 1) {
    std::stable_sort(order.begin(), order.end(),
                     [&](int32_t a, int32_t b) { return weight_of(a) > weight_of(b); });
    double kept = 0;
    size_t count = 0;
    while (count < order.size() && kept < top_p * total) kept += weight_of(order[count++]);
    order.resize(std::max<size_t>(1, count));
    total = kept;
  }
  double left = model::UniformDouble(key, counter) * total;
  for (const int32_t id : order) {
    left -= weight_of(id);
    if (left < 0) return id;
  }
  return order.back();
}

}  // namespace jenner::generate
