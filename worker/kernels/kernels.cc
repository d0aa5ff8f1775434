// foreach_target.h includes this file once for each instruction set.
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "worker/kernels/kernels.cc"
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
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "core/check.h"
#include "worker/kernels/kernels.h"
#include "worker/kernels/kernels_bfloat16.h"

HWY_BEFORE_NAMESPACE();
namespace jenner::kernels {
namespace HWY_NAMESPACE {

namespace hn = hwy::HWY_NAMESPACE;
using Tag = hn::ScalableTag<float>;
using Vec = hn::Vec<Tag>;

constexpr int kPanelVectors = 3;
// Accumulators, a panel's row and a factor have to fit the registers: 32 with AVX-512, else 16.
constexpr int kTileRows = HWY_TARGET <= HWY_AVX3 ? 8 : 4;
constexpr int64_t kLineBytes = 64;
// Terms that are summed up on their own: the rounding errors of one long sum grow with its length.
constexpr int64_t kDepth = 192;

int64_t PanelWidth() { return static_cast<int64_t>(kPanelVectors * hn::Lanes(Tag())); }

// One term of the sums of a row: a weight by a factor; of bfloat16, two of each in 32 bits.
HWY_INLINE Vec Term(Vec factor, Vec weight, Vec sum, float) {
  return hn::MulAdd(factor, weight, sum);
}
HWY_INLINE Vec Term(Vec factors, Vec weights, Vec sum, uint32_t) {
  const hn::RebindToUnsigned<Tag> u;
  const auto high = hn::Set(u, 0xffff0000u);
  const auto f = hn::BitCast(u, factors);
  const auto w = hn::BitCast(u, weights);
  const auto even = [](auto bits) { return hn::BitCast(Tag(), hn::ShiftLeft<16>(bits)); };
  const auto odd = [&](auto bits) { return hn::BitCast(Tag(), hn::And(bits, high)); };
  return hn::MulAdd(odd(f), odd(w), hn::MulAdd(even(f), even(w), sum));
}
HWY_INLINE Vec Broadcast(float factor) { return hn::Set(Tag(), factor); }
HWY_INLINE Vec Broadcast(uint32_t factors) {
  return hn::BitCast(Tag(), hn::Set(hn::RebindToUnsigned<Tag>(), factors));
}

// What a tile asks the memory for while it computes: the panel that comes next.
struct Ahead {
  const uint8_t* at = nullptr;
  int64_t num_lines = 0;
};

// kRows rows of the first kVectors vectors of one panel. An element is a float or a pair of
// bfloat16, of factors and of weights; `size` of them in a row.
template <int kRows, int kVectors, typename Element>
HWY_INLINE void Tile(const Element* x, int64_t x_stride, const float* panel, int64_t size,
                     Ahead ahead, bool add, int64_t columns, Rows out) {
  const Tag d;
  const size_t lanes = hn::Lanes(d);
  Vec sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) sums[r][v] = hn::Zero(d);
  }
  for (int64_t i = 0; i < size; ++i) {
    Vec w[kVectors];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) w[v] = hn::Load(d, panel + static_cast<size_t>(v) * lanes);
    panel += kPanelVectors * lanes;
    if (i < ahead.num_lines) __builtin_prefetch(ahead.at + i * kLineBytes, 0, 2);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const Vec factor = Broadcast(x[r * x_stride + i]);
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) sums[r][v] = Term(factor, w[v], sums[r][v], Element());
    }
  }
  const bool is_whole = columns == static_cast<int64_t>(kVectors * lanes);
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
    float* row = out.data + r * out.stride;
    if (is_whole) {
#pragma GCC unroll 3
      for (int v = 0; v < kVectors; ++v) {
        float* at = row + static_cast<size_t>(v) * lanes;
        hn::StoreU(add ? hn::Add(hn::LoadU(d, at), sums[r][v]) : sums[r][v], d, at);
      }
      continue;
    }
    HWY_ALIGN float whole[kVectors * hn::MaxLanes(Tag())];
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v)
      hn::Store(sums[r][v], d, whole + static_cast<size_t>(v) * lanes);
    for (int64_t c = 0; c < columns; ++c) row[c] = add ? row[c] + whole[c] : whole[c];
  }
}

template <int kVectors, typename Element>
void TileOfRows(int64_t rows, const Element* x, int64_t x_stride, const float* panel, int64_t size,
                Ahead ahead, bool add, int64_t columns, Rows out) {
  switch (rows) {
    case 1:
      return Tile<1, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    case 2:
      return Tile<2, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    case 3:
      return Tile<3, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    case 4:
      return Tile<4, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
#if HWY_TARGET <= HWY_AVX3
    case 5:
      return Tile<5, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    case 6:
      return Tile<6, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    case 7:
      return Tile<7, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
    default:
      return Tile<8, kVectors>(x, x_stride, panel, size, ahead, add, columns, out);
#endif
  }
}

// A narrow panel, as the matrices of an adapter make, costs no more than it has columns.
template <typename Element>
void TileOf(int64_t rows, const Element* x, int64_t x_stride, const float* panel, int64_t size,
            Ahead ahead, bool add, int64_t columns, Rows out) {
  if (columns <= static_cast<int64_t>(hn::Lanes(Tag()))) {
    TileOfRows<1>(rows, x, x_stride, panel, size, ahead, add, columns, out);
  } else {
    TileOfRows<kPanelVectors>(rows, x, x_stride, panel, size, ahead, add, columns, out);
  }
}

template <typename Element>
void MultiplyBy(const Element* x, int64_t x_stride, int64_t row_begin, int64_t row_end,
                const PackedMatrix& weight, int64_t panel_begin, int64_t panel_end, bool add,
                Rows out) {
  const int64_t width = PanelWidth();
  const int64_t size = weight.panel_bytes() / (width * static_cast<int64_t>(sizeof(Element)));
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const int64_t columns = std::min(width, weight.outputs() - p * width);
    const uint8_t* next = static_cast<const uint8_t*>(weight.Panel(p + 1));
    int64_t lines_left =
        p + 1 < weight.num_panels() ? weight.panel_bytes() / kLineBytes : int64_t{0};
    const auto* panel = static_cast<const float*>(weight.Panel(p));
    for (int64_t r = row_begin; r < row_end; r += kTileRows) {
      const int64_t rows = std::min<int64_t>(kTileRows, row_end - r);
      const Rows to = {out.data + r * out.stride + p * width, out.stride};
      for (int64_t i = 0; i < size; i += kDepth) {
        const int64_t depth = std::min(kDepth, size - i);
        TileOf(rows, x + r * x_stride + i, x_stride, panel + i * width, depth, {next, lines_left},
               add || i > 0, columns, to);
        const int64_t asked = std::min(lines_left, depth);
        next += asked * kLineBytes;
        lines_left -= asked;
      }
    }
  }
}

void MultiplyFloat32(ConstRows x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
                     int64_t panel_begin, int64_t panel_end, bool add, Rows out) {
  MultiplyBy(x.data, x.stride, row_begin, row_end, weight, panel_begin, panel_end, add, out);
}

void MultiplyBfloat16(ConstRows16 x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
                      int64_t panel_begin, int64_t panel_end, bool add, Rows out) {
  MultiplyBy(reinterpret_cast<const uint32_t*>(x.data), x.stride / 2, row_begin, row_end, weight,
             panel_begin, panel_end, add, out);
}

void RoundToBfloat16(const float* x, int64_t size, uint16_t* out) {
  for (int64_t i = 0; i < size; ++i) {
    const auto bits = std::bit_cast<uint32_t>(x[i]);
    const auto rounded = static_cast<uint16_t>((bits + 0x7fff + ((bits >> 16) & 1)) >> 16);
    // The carry must not turn a NaN into a number.
    out[i] = (bits & 0x7fffffff) > 0x7f800000 ? uint16_t{0x7fc0} : rounded;
  }
  if (size % 2 != 0) out[size] = 0;
}

void RmsNorm(const float* x, const float* weight, int64_t size, double eps, float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  Vec squares = hn::Zero(d);
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes) {
    const Vec v = hn::LoadU(d, x + i);
    squares = hn::MulAdd(v, v, squares);
  }
  double sum = hn::GetLane(hn::SumOfLanes(d, squares));
  for (; i < size; ++i) sum += static_cast<double>(x[i]) * x[i];
  const auto factor = static_cast<float>(1 / std::sqrt(sum / static_cast<double>(size) + eps));
  const Vec factors = hn::Set(d, factor);
  for (i = 0; i + lanes <= size; i += lanes) {
    hn::StoreU(hn::Mul(hn::Mul(hn::LoadU(d, x + i), factors), hn::LoadU(d, weight + i)), d,
               out + i);
  }
  for (; i < size; ++i) out[i] = x[i] * factor * weight[i];
}

void Add(const float* y, int64_t size, float* x) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    hn::StoreU(hn::Add(hn::LoadU(d, x + i), hn::LoadU(d, y + i)), d, x + i);
  for (; i < size; ++i) x[i] += y[i];
}

HWY_INLINE Vec Silu(Vec v) {
  const Tag d;
  // Highway's Exp is wrong where the result overflows; beyond 88 the quotient is nearly 0 anyway.
  const Vec exp = hn::Exp(d, hn::Min(hn::Neg(v), hn::Set(d, 88.0f)));
  return hn::Div(v, hn::Add(hn::Set(d, 1.0f), exp));
}

HWY_INLINE float SiluOf(float v) { return v / (1 + std::exp(-v)); }

// out = activation(gate) * up; the activation of vectors, and of the numbers that are left.
template <Vec (*kActivation)(Vec), float (*kActivationOf)(float)>
void ActivateMultiply(const float* gate, const float* up, int64_t size, float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    hn::StoreU(hn::Mul(kActivation(hn::LoadU(d, gate + i)), hn::LoadU(d, up + i)), d, out + i);
  for (; i < size; ++i) out[i] = kActivationOf(gate[i]) * up[i];
}

void SiluMultiply(const float* gate, const float* up, int64_t size, float* out) {
  ActivateMultiply<Silu, SiluOf>(gate, up, size, out);
}

HWY_INLINE Vec Gelu(Vec v) {
  const Tag d;
  const Vec cubic = hn::Mul(hn::Mul(v, v), hn::Set(d, 0.044715f));
  const Vec inner = hn::Mul(hn::MulAdd(cubic, v, v), hn::Set(d, 0.79788456f));
  return hn::Mul(hn::Mul(v, hn::Set(d, 0.5f)), hn::Add(hn::Set(d, 1.0f), hn::Tanh(d, inner)));
}

HWY_INLINE float GeluOf(float v) {
  return v * 0.5f * (1 + std::tanh(0.79788456f * (v + 0.044715f * v * v * v)));
}

void GeluMultiply(const float* gate, const float* up, int64_t size, float* out) {
  ActivateMultiply<Gelu, GeluOf>(gate, up, size, out);
}

HWY_INLINE Vec SoftcapOf(Vec cap, Vec inverse, Vec v) {
  return hn::Mul(cap, hn::Tanh(Tag(), hn::Mul(v, inverse)));
}

void Softcap(float cap, int64_t size, float* x) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const Vec caps = hn::Set(d, cap);
  const Vec inverses = hn::Set(d, 1 / cap);
  int64_t i = 0;
  for (; i + lanes <= size; i += lanes)
    hn::StoreU(SoftcapOf(caps, inverses, hn::LoadU(d, x + i)), d, x + i);
  for (; i < size; ++i) x[i] = cap * std::tanh(x[i] / cap);
}

void Rotate(const float* cos, const float* sin, int64_t half, float* x) {
  for (int64_t i = 0; i < half; ++i) {
    const float a = x[i];
    const float b = x[half + i];
    x[i] = a * cos[i] - b * sin[i];
    x[half + i] = b * cos[i] + a * sin[i];
  }
}

// Scores of kHeads heads over one block of keys, unscaled; `scores` of the heads are `stride`
// apart.
template <int kHeads>
HWY_INLINE void ScoreBlock(const float* q_GE, const float* block, int64_t head_dim, float scale,
                           float* scores, int64_t stride) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t step = std::min(lanes, kKeyBlock);
  for (int64_t l = 0; l < kKeyBlock; l += step) {
    // Even and odd dimensions apart: twice as many sums in flight.
    Vec sums[kHeads][2];
#pragma GCC unroll 4
    for (int g = 0; g < kHeads; ++g) sums[g][0] = sums[g][1] = hn::Zero(d);
    for (int64_t e = 0; e < head_dim; e += 2) {
      const Vec k0 = hn::LoadU(d, block + e * kKeyBlock + l);
      const Vec k1 = hn::LoadU(d, block + (e + 1) * kKeyBlock + l);
#pragma GCC unroll 4
      for (int g = 0; g < kHeads; ++g) {
        const float* q = q_GE + g * head_dim + e;
        sums[g][0] = hn::MulAdd(hn::Set(d, q[0]), k0, sums[g][0]);
        sums[g][1] = hn::MulAdd(hn::Set(d, q[1]), k1, sums[g][1]);
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < kHeads; ++g) {
      hn::StoreU(hn::Mul(hn::Add(sums[g][0], sums[g][1]), hn::Set(d, scale)), d,
                 scores + g * stride + l);
    }
  }
}

// Scores to probabilities, not divided by their sum, which is returned. Those below `first` and
// from `length` up to the end of the last block become 0.
float Exponentiate(float* scores, int64_t first, int64_t length) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  const int64_t padded = (length + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  std::fill(scores, scores + first, -std::numeric_limits<float>::infinity());
  std::fill(scores + length, scores + padded, -std::numeric_limits<float>::infinity());
  Vec highest = hn::LoadU(d, scores);
  for (int64_t l = lanes; l < padded; l += lanes)
    highest = hn::Max(highest, hn::LoadU(d, scores + l));
  const Vec top = hn::MaxOfLanes(d, highest);
  Vec sums = hn::Zero(d);
  for (int64_t l = 0; l < padded; l += lanes) {
    const Vec p = hn::Exp(d, hn::Sub(hn::LoadU(d, scores + l), top));
    sums = hn::Add(sums, p);
    hn::StoreU(p, d, scores + l);
  }
  return hn::GetLane(hn::SumOfLanes(d, sums));
}

// Mixes values of kHeads heads by their probabilities; `out` of the heads are `value_stride` apart.
template <int kHeads>
HWY_INLINE void Mix(const float* scores, int64_t stride, const float* values, int64_t value_stride,
                    int64_t length, float* out) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  for (int64_t e = 0; e < value_stride; e += 2 * lanes) {
    const int64_t second = e + lanes < value_stride ? lanes : 0;
    Vec sums[kHeads][2];
#pragma GCC unroll 4
    for (int g = 0; g < kHeads; ++g) sums[g][0] = sums[g][1] = hn::Zero(d);
    for (int64_t l = 0; l < length; ++l) {
      const Vec v0 = hn::LoadU(d, values + l * value_stride + e);
      const Vec v1 = hn::LoadU(d, values + l * value_stride + e + second);
#pragma GCC unroll 4
      for (int g = 0; g < kHeads; ++g) {
        const Vec p = hn::Set(d, scores[g * stride + l]);
        sums[g][0] = hn::MulAdd(p, v0, sums[g][0]);
        sums[g][1] = hn::MulAdd(p, v1, sums[g][1]);
      }
    }
#pragma GCC unroll 4
    for (int g = 0; g < kHeads; ++g) {
      hn::StoreU(sums[g][0], d, out + g * value_stride + e);
      if (second > 0) hn::StoreU(sums[g][1], d, out + g * value_stride + e + lanes);
    }
  }
}

template <int kHeads>
void AttendHeads(const float* q_GE, CacheView cache, int64_t head_dim, int64_t value_stride,
                 Sight sight, float* scratch, float* out_GE) {
  // Whole blocks from the one in which the first position lies.
  const int64_t begin = sight.first / kKeyBlock * kKeyBlock;
  const int64_t length = sight.length - begin;
  const int64_t padded = (length + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  const float* keys = cache.keys + begin * head_dim;
  float* mixed = scratch + kHeads * padded;
  for (int64_t l = 0; l < padded; l += kKeyBlock)
    ScoreBlock<kHeads>(q_GE, keys + l * head_dim, head_dim, sight.scale, scratch + l, padded);
  if (sight.softcap != 0) Softcap(sight.softcap, kHeads * padded, scratch);
  float sums[kHeads];
  for (int g = 0; g < kHeads; ++g)
    sums[g] = Exponentiate(scratch + g * padded, sight.first - begin, length);
  Mix<kHeads>(scratch, padded, cache.values + begin * value_stride, value_stride, length, mixed);
  for (int g = 0; g < kHeads; ++g) {
    for (int64_t e = 0; e < head_dim; ++e)
      out_GE[g * head_dim + e] = mixed[g * value_stride + e] / sums[g];
  }
}

void Attend(const float* q_GE, CacheView cache, int64_t group, int64_t head_dim, Sight sight,
            float* scratch, float* out_GE) {
  const int64_t value_stride = kernels::ValueStride(head_dim);
  for (int64_t g = 0; g < group;) {
    const float* q = q_GE + g * head_dim;
    float* out = out_GE + g * head_dim;
    const int64_t heads = std::min<int64_t>(4, group - g);
    g += heads;
    switch (heads) {
      case 1:
        AttendHeads<1>(q, cache, head_dim, value_stride, sight, scratch, out);
        break;
      case 2:
        AttendHeads<2>(q, cache, head_dim, value_stride, sight, scratch, out);
        break;
      case 3:
        AttendHeads<3>(q, cache, head_dim, value_stride, sight, scratch, out);
        break;
      default:
        AttendHeads<4>(q, cache, head_dim, value_stride, sight, scratch, out);
    }
  }
}

int64_t Argmax(const float* x, int64_t size) {
  const Tag d;
  const auto lanes = static_cast<int64_t>(hn::Lanes(d));
  float top = x[0];
  int64_t i = 0;
  if (size >= lanes) {
    Vec highest = hn::LoadU(d, x);
    for (i = lanes; i + lanes <= size; i += lanes) highest = hn::Max(highest, hn::LoadU(d, x + i));
    top = hn::GetLane(hn::MaxOfLanes(d, highest));
  }
  for (; i < size; ++i) top = std::max(top, x[i]);
  const float* at = std::find(x, x + size, top);
  return at == x + size ? -1 : at - x;
}

}  // namespace HWY_NAMESPACE
}  // namespace jenner::kernels
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace jenner::kernels {

HWY_EXPORT(PanelWidth);
HWY_EXPORT(MultiplyFloat32);
HWY_EXPORT(MultiplyBfloat16);
HWY_EXPORT(RoundToBfloat16);
HWY_EXPORT(RmsNorm);
HWY_EXPORT(Add);
HWY_EXPORT(SiluMultiply);
HWY_EXPORT(GeluMultiply);
HWY_EXPORT(Softcap);
HWY_EXPORT(Rotate);
HWY_EXPORT(Attend);
HWY_EXPORT(Argmax);

int64_t PackedMatrix::PanelWidth() { return HWY_DYNAMIC_DISPATCH(PanelWidth)(); }

void Multiply(ConstRows x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
              int64_t panel_begin, int64_t panel_end, bool add, Rows out) {
  JENNER_CHECK(weight.storage() == Storage::kFloat32);
  HWY_DYNAMIC_DISPATCH(MultiplyFloat32)
  (x, row_begin, row_end, weight, panel_begin, panel_end, add, out);
}

void Multiply(ConstRows16 x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
              int64_t panel_begin, int64_t panel_end, bool add, Rows out) {
  JENNER_CHECK(weight.storage() == Storage::kBfloat16);
  // Highway 1.0.3 has no products of bfloat16.
  static const bool has_instructions = HasBfloat16Instructions();
  if (has_instructions && PackedMatrix::PanelWidth() == kAvx512PanelWidth) {
    MultiplyAvx512Bfloat16(x, row_begin, row_end, weight, panel_begin, panel_end, add, out);
    return;
  }
  HWY_DYNAMIC_DISPATCH(MultiplyBfloat16)
  (x, row_begin, row_end, weight, panel_begin, panel_end, add, out);
}

void RoundToBfloat16(const float* x, int64_t size, uint16_t* out) {
  HWY_DYNAMIC_DISPATCH(RoundToBfloat16)(x, size, out);
}

void RmsNorm(const float* x, const float* weight, int64_t size, double eps, float* out) {
  HWY_DYNAMIC_DISPATCH(RmsNorm)(x, weight, size, eps, out);
}

void Add(const float* y, int64_t size, float* x) { HWY_DYNAMIC_DISPATCH(Add)(y, size, x); }

void SiluMultiply(const float* gate, const float* up, int64_t size, float* out) {
  HWY_DYNAMIC_DISPATCH(SiluMultiply)(gate, up, size, out);
}

void GeluMultiply(const float* gate, const float* up, int64_t size, float* out) {
  HWY_DYNAMIC_DISPATCH(GeluMultiply)(gate, up, size, out);
}

void Softcap(float cap, int64_t size, float* x) { HWY_DYNAMIC_DISPATCH(Softcap)(cap, size, x); }

void Rotate(const float* cos, const float* sin, int64_t half, float* x) {
  HWY_DYNAMIC_DISPATCH(Rotate)(cos, sin, half, x);
}

int64_t ValueStride(int64_t head_dim) { return (head_dim + kKeyBlock - 1) / kKeyBlock * kKeyBlock; }

int64_t AttendScratch(int64_t group, int64_t head_dim, int64_t length) {
  const int64_t padded = (length + kKeyBlock - 1) / kKeyBlock * kKeyBlock;
  return std::min<int64_t>(4, group) * (padded + ValueStride(head_dim));
}

void Attend(const float* q_GE, CacheView cache, int64_t group, int64_t head_dim, Sight sight,
            float* scratch, float* out_GE) {
  HWY_DYNAMIC_DISPATCH(Attend)(q_GE, cache, group, head_dim, sight, scratch, out_GE);
}

int64_t Argmax(const float* x, int64_t size) { return HWY_DYNAMIC_DISPATCH(Argmax)(x, size); }

}  // namespace jenner::kernels
#endif  // HWY_ONCE
