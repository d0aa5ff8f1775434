// foreach_target.h includes this file once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "worker/kernels/gradients.cc"
// What is left: AVX-512, AVX2, SSE4 and plain code.
#ifndef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SSSE3 | HWY_AVX3_DL)
#endif
#include <hwy/foreach_target.h>
// clang-format off: this order is Highway's.
#include <hwy/contrib/math/math-inl.h>
#include <hwy/highway.h>
// clang-format on

#include <algorithm>
#include <cmath>
#include <limits>

#include "worker/kernels/gradients.h"

HWY_BEFORE_NAMESPACE();
namespace jenner::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vec = hn::Vec<Tag>;

int64_t Lanes() { return static_cast<int64_t>(hn::Lanes(Tag())); }

void RmsNormGradient(const float* x, const float* weight, const float* g, int64_t size, double eps,
                     float* d_x, float* d_weight) {
  const Tag d;
  Vec squares = hn::Zero(d);
  Vec products = hn::Zero(d);
  int64_t i = 0;
  for (; i + Lanes() <= size; i += Lanes()) {
    const Vec v = hn::LoadU(d, x + i);
    const Vec wg = hn::Mul(hn::LoadU(d, weight + i), hn::LoadU(d, g + i));
    squares = hn::MulAdd(v, v, squares);
    products = hn::MulAdd(v, wg, products);
  }
  double square_sum = hn::GetLane(hn::SumOfLanes(d, squares));
  double product_sum = hn::GetLane(hn::SumOfLanes(d, products));
  for (; i < size; ++i) {
    square_sum += static_cast<double>(x[i]) * x[i];
    product_sum += static_cast<double>(x[i]) * weight[i] * g[i];
  }
  const double n = static_cast<double>(size);
  const double r = 1 / std::sqrt(square_sum / n + eps);
  const auto scale = static_cast<float>(r);
  const auto pull = static_cast<float>(r * r * r * product_sum / n);
  for (i = 0; i + Lanes() <= size; i += Lanes()) {
    const Vec v = hn::LoadU(d, x + i);
    const Vec u = hn::LoadU(d, g + i);
    const Vec wg = hn::Mul(hn::LoadU(d, weight + i), u);
    if (d_weight != nullptr) {
      hn::StoreU(hn::MulAdd(u, hn::Mul(v, hn::Set(d, scale)), hn::LoadU(d, d_weight + i)), d,
                 d_weight + i);
    }
    hn::StoreU(hn::Sub(hn::Mul(wg, hn::Set(d, scale)), hn::Mul(v, hn::Set(d, pull))), d, d_x + i);
  }
  for (; i < size; ++i) {
    if (d_weight != nullptr) d_weight[i] += g[i] * x[i] * scale;
    d_x[i] = weight[i] * g[i] * scale - x[i] * pull;
  }
}

// A function of the gate and its slope there.
template <typename V>
struct Activated {
  V value;
  V slope;
};

HWY_INLINE Activated<Vec> Silu(Vec v) {
  const Tag d;
  const Vec one = hn::Set(d, 1.0f);
  // Highway's Exp is wrong where the result overflows; beyond 88 the quotient is nearly 0 anyway.
  const Vec exp = hn::Exp(d, hn::Min(hn::Neg(v), hn::Set(d, 88.0f)));
  const Vec sigmoid = hn::Div(one, hn::Add(one, exp));
  return {hn::Mul(v, sigmoid), hn::Mul(sigmoid, hn::MulAdd(v, hn::Sub(one, sigmoid), one))};
}

HWY_INLINE Activated<float> SiluOf(float v) {
  const float sigmoid = 1 / (1 + std::exp(-v));
  return {v * sigmoid, sigmoid * (1 + v * (1 - sigmoid))};
}

constexpr float kCubic = 0.044715f;
constexpr float kRoot = 0.79788456f;  // sqrt(2 / pi)

HWY_INLINE Activated<Vec> Gelu(Vec v) {
  const Tag d;
  const Vec one = hn::Set(d, 1.0f);
  const Vec half = hn::Mul(v, hn::Set(d, 0.5f));
  const Vec square = hn::Mul(hn::Mul(v, v), hn::Set(d, kCubic));
  const Vec tanh = hn::Tanh(d, hn::Mul(hn::MulAdd(square, v, v), hn::Set(d, kRoot)));
  const Vec inner_slope = hn::Mul(hn::MulAdd(square, hn::Set(d, 3.0f), one), hn::Set(d, kRoot));
  const Vec slope = hn::Mul(hn::Mul(half, hn::NegMulAdd(tanh, tanh, one)), inner_slope);
  return {hn::Mul(half, hn::Add(one, tanh)),
          hn::MulAdd(hn::Add(one, tanh), hn::Set(d, 0.5f), slope)};
}

HWY_INLINE Activated<float> GeluOf(float v) {
  const float tanh = std::tanh(kRoot * (v + kCubic * v * v * v));
  const float slope = 0.5f * v * (1 - tanh * tanh) * kRoot * (1 + 3 * kCubic * v * v);
  return {0.5f * v * (1 + tanh), 0.5f * (1 + tanh) + slope};
}

template <Activated<Vec> (*kActivation)(Vec), Activated<float> (*kActivationOf)(float)>
void ActivateMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                              float* d_gate, float* d_up) {
  const Tag d;
  int64_t i = 0;
  for (; i + Lanes() <= size; i += Lanes()) {
    const Activated<Vec> at = kActivation(hn::LoadU(d, gate + i));
    const Vec u = hn::LoadU(d, g + i);
    const Vec to_gate = hn::Mul(hn::Mul(u, hn::LoadU(d, up + i)), at.slope);
    hn::StoreU(hn::Mul(u, at.value), d, d_up + i);
    hn::StoreU(to_gate, d, d_gate + i);
  }
  for (; i < size; ++i) {
    const Activated<float> at = kActivationOf(gate[i]);
    const float to_gate = g[i] * up[i] * at.slope;
    d_up[i] = g[i] * at.value;
    d_gate[i] = to_gate;
  }
}

void SiluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up) {
  ActivateMultiplyGradient<Silu, SiluOf>(gate, up, g, size, d_gate, d_up);
}

void GeluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up) {
  ActivateMultiplyGradient<Gelu, GeluOf>(gate, up, g, size, d_gate, d_up);
}

float Softmax(float* x, int64_t size) {
  const Tag d;
  Vec highest = hn::Set(d, x[0]);
  Vec all = hn::Zero(d);
  int64_t i = 0;
  for (; i + Lanes() <= size; i += Lanes()) {
    const Vec v = hn::LoadU(d, x + i);
    highest = hn::Max(highest, v);
    all = hn::Add(all, v);
  }
  float top = hn::GetLane(hn::MaxOfLanes(d, highest));
  float total = hn::GetLane(hn::SumOfLanes(d, all));
  for (; i < size; ++i) {
    top = std::max(top, x[i]);
    total += x[i];
  }
  // Highway's Exp makes 0 of NaN, so that it would be lost.
  if (!std::isfinite(total)) return std::numeric_limits<float>::quiet_NaN();
  const Vec tops = hn::Set(d, top);
  // Float sums of few terms, added up in double.
  const int64_t block = 64 * Lanes();
  const int64_t whole = size / Lanes() * Lanes();
  double sum = 0;
  for (int64_t begin = 0; begin < whole; begin += block) {
    Vec sums = hn::Zero(d);
    for (i = begin; i < std::min(whole, begin + block); i += Lanes()) {
      const Vec p = hn::Exp(d, hn::Sub(hn::LoadU(d, x + i), tops));
      sums = hn::Add(sums, p);
      hn::StoreU(p, d, x + i);
    }
    sum += hn::GetLane(hn::SumOfLanes(d, sums));
  }
  for (i = whole; i < size; ++i) {
    x[i] = std::exp(x[i] - top);
    sum += x[i];
  }
  const auto factor = static_cast<float>(1 / sum);
  for (i = 0; i + Lanes() <= size; i += Lanes())
    hn::StoreU(hn::Mul(hn::LoadU(d, x + i), hn::Set(d, factor)), d, x + i);
  for (; i < size; ++i) x[i] *= factor;
  return static_cast<float>(top + std::log(sum));
}

}  // namespace HWY_NAMESPACE
}  // namespace jenner::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace jenner::kernels {

HWY_EXPORT(RmsNormGradient);
HWY_EXPORT(SiluMultiplyGradient);
HWY_EXPORT(GeluMultiplyGradient);
HWY_EXPORT(Softmax);

void RmsNormGradient(const float* x, const float* weight, const float* g, int64_t size, double eps,
                     float* d_x, float* d_weight) {
  HWY_DYNAMIC_DISPATCH(RmsNormGradient)(x, weight, g, size, eps, d_x, d_weight);
}

void SiluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up) {
  HWY_DYNAMIC_DISPATCH(SiluMultiplyGradient)(gate, up, g, size, d_gate, d_up);
}

void GeluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up) {
  HWY_DYNAMIC_DISPATCH(GeluMultiplyGradient)(gate, up, g, size, d_gate, d_up);
}

float Softmax(float* x, int64_t size) { return HWY_DYNAMIC_DISPATCH(Softmax)(x, size); }

}  // namespace jenner::kernels
#endif  // HWY_ONCE
