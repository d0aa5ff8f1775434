#include "worker/kernels/kernels_bfloat16.h"

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include <algorithm>

#include "core/check.h"

namespace jenner::kernels {

#if defined(__x86_64__)
namespace {

constexpr int kVectors = 3;
constexpr int64_t kLineBytes = 64;

// kRows rows of one panel of `pairs` pairs of inputs. One instruction adds the two products of a
// pair to a sum.
template <int kRows>
__attribute__((target("avx512f,avx512bf16"))) void Tile(ConstRows16 x, const uint8_t* panel,
                                                        int64_t pairs, const uint8_t* ahead,
                                                        int64_t lines_ahead, bool add,
                                                        int64_t columns, Rows out) {
  __m512 sums[kRows][kVectors];
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) sums[r][v] = _mm512_setzero_ps();
  }
  const auto* factors = reinterpret_cast<const float*>(x.data);
  for (int64_t i = 0; i < pairs; ++i) {
    const auto w0 = reinterpret_cast<__m512bh>(_mm512_load_ps(panel));
    const auto w1 = reinterpret_cast<__m512bh>(_mm512_load_ps(panel + 64));
    const auto w2 = reinterpret_cast<__m512bh>(_mm512_load_ps(panel + 128));
    panel += kVectors * 64;
    if (i < lines_ahead) __builtin_prefetch(ahead + i * kLineBytes, 0, 2);
#pragma GCC unroll 8
    for (int r = 0; r < kRows; ++r) {
      const auto factor =
          reinterpret_cast<__m512bh>(_mm512_set1_ps(factors[r * (x.stride / 2) + i]));
      sums[r][0] = _mm512_dpbf16_ps(sums[r][0], w0, factor);
      sums[r][1] = _mm512_dpbf16_ps(sums[r][1], w1, factor);
      sums[r][2] = _mm512_dpbf16_ps(sums[r][2], w2, factor);
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < kRows; ++r) {
#pragma GCC unroll 3
    for (int v = 0; v < kVectors; ++v) {
      float* at = out.data + r * out.stride + v * 16;
      const int64_t left = std::clamp<int64_t>(columns - v * 16, 0, 16);
      const auto mask = static_cast<__mmask16>((1u << left) - 1);
      const __m512 before = add ? _mm512_maskz_loadu_ps(mask, at) : _mm512_setzero_ps();
      _mm512_mask_storeu_ps(at, mask, _mm512_add_ps(before, sums[r][v]));
    }
  }
}

using TileFunction = void (*)(ConstRows16, const uint8_t*, int64_t, const uint8_t*, int64_t, bool,
                              int64_t, Rows);
constexpr TileFunction kTiles[] = {&Tile<1>, &Tile<2>, &Tile<3>, &Tile<4>,
                                   &Tile<5>, &Tile<6>, &Tile<7>, &Tile<8>};
constexpr int64_t kTileRows = std::size(kTiles);

}  // namespace

bool HasBfloat16Instructions() {
  return __builtin_cpu_supports("avx512f") != 0 && __builtin_cpu_supports("avx512bf16") != 0;
}

void MultiplyAvx512Bfloat16(ConstRows16 x, int64_t row_begin, int64_t row_end,
                            const PackedMatrix& weight, int64_t panel_begin, int64_t panel_end,
                            bool add, Rows out) {
  const int64_t pairs = (weight.inputs() + 1) / 2;
  for (int64_t p = panel_begin; p < panel_end; ++p) {
    const auto* panel = static_cast<const uint8_t*>(weight.Panel(p));
    const uint8_t* next = panel + weight.panel_bytes();
    int64_t lines_left =
        p + 1 < weight.num_panels() ? weight.panel_bytes() / kLineBytes : int64_t{0};
    for (int64_t r = row_begin; r < row_end; r += kTileRows) {
      const int64_t rows = std::min(kTileRows, row_end - r);
      kTiles[rows - 1]({x.data + r * x.stride, x.stride}, panel, pairs, next, lines_left, add,
                       weight.outputs() - p * kAvx512PanelWidth,
                       {out.data + r * out.stride + p * kAvx512PanelWidth, out.stride});
      const int64_t asked = std::min(lines_left, pairs);
      next += asked * kLineBytes;
      lines_left -= asked;
    }
  }
}
#else
bool HasBfloat16Instructions() { return false; }

void MultiplyAvx512Bfloat16(ConstRows16, int64_t, int64_t, const PackedMatrix&, int64_t, int64_t,
                            bool, Rows) {
  JENNER_CHECK(false);
}
#endif

}  // namespace jenner::kernels
