// Kernels of generation and training: float32 arithmetic on plain arrays, compiled for several
// instruction sets (Highway) of which the best is chosen at run time. No torch, threads or
// allocation on the way.
//
// Contract: a number that comes out depends on the row that it belongs to, never on how many rows
// are computed together or by whom: each sum runs over its terms in one fixed order. It may differ
// between instruction sets in the last bits.
// Legend: R rows, O outputs, I inputs, E head dimension, G query heads of a kv head, L positions.
#ifndef JENNER_WORKER_KERNELS_KERNELS_H_
#define JENNER_WORKER_KERNELS_KERNELS_H_

#include <cstdint>

#include "worker/kernels/packed_matrix.h"

namespace jenner::kernels {

// Rows that a Multiply works on at once; a caller that divides rows does so at multiples of it.
inline constexpr int64_t kRowBlock = 8;
// Positions of the key cache that lie together, see Attend.
inline constexpr int64_t kKeyBlock = 16;

// Rows of a matrix, `stride` apart.
struct ConstRows {
  const float* data = nullptr;
  int64_t stride = 0;
};
struct Rows {
  float* data = nullptr;
  int64_t stride = 0;
};
// Rows of bfloat16 numbers, as RoundToBfloat16 makes them; `stride` is even.
struct ConstRows16 {
  const uint16_t* data = nullptr;
  int64_t stride = 0;
};

// Rows [row_begin, row_end) of x W^T, panels [panel_begin, panel_end) only, into (or, with `add`,
// added to) `out`; the ranges may be empty. x [R, I], out [R, O]. REQUIRES: the weight's storage is
// float32.
void Multiply(ConstRows x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
              int64_t panel_begin, int64_t panel_end, bool add, Rows out);
// Likewise with bfloat16 factors. By the machine's own instructions where it has AVX512_BF16.
void Multiply(ConstRows16 x, int64_t row_begin, int64_t row_end, const PackedMatrix& weight,
              int64_t panel_begin, int64_t panel_end, bool add, Rows out);

// `size` numbers to the nearest bfloat16, ties to even, and a zero if `size` is odd.
void RoundToBfloat16(const float* x, int64_t size, uint16_t* out);

// out = x / sqrt(mean(x^2) + eps) * weight, of one row of `size` numbers. May be in place.
void RmsNorm(const float* x, const float* weight, int64_t size, double eps, float* out);

// x += y.
void Add(const float* y, int64_t size, float* x);

// out = silu(gate) * up, silu(v) = v / (1 + exp(-v)). May be in place.
void SiluMultiply(const float* gate, const float* up, int64_t size, float* out);

// out = gelu(gate) * up, gelu(v) = v / 2 (1 + tanh(sqrt(2 / pi) (v + 0.044715 v^3))), as torch's
// "tanh" approximation. May be in place.
void GeluMultiply(const float* gate, const float* up, int64_t size, float* out);

// x = cap tanh(x / cap).
void Softcap(float cap, int64_t size, float* x);

// Rotary embedding of one head in place: halves (a, b) become (a cos - b sin, b cos + a sin).
void Rotate(const float* cos, const float* sin, int64_t half, float* x);

// The cache of one slot and kv head. Keys in blocks of kKeyBlock positions, [L / kKeyBlock, E,
// kKeyBlock]: position l of dimension e at ((l / kKeyBlock) * E + e) * kKeyBlock + l % kKeyBlock.
// Values [L, ValueStride(E)].
struct CacheView {
  const float* keys = nullptr;
  const float* values = nullptr;
};
int64_t ValueStride(int64_t head_dim);
// Floats of scratch memory that Attend needs.
int64_t AttendScratch(int64_t group, int64_t head_dim, int64_t length);

// What a query sees and how: positions [first, length), with scores scale q K^T, of which
// cap tanh(. / cap) is taken unless the cap is 0.
struct Sight {
  int64_t first = 0;
  int64_t length = 0;
  float scale = 1;
  float softcap = 0;
};

// softmax(scores) V for the G heads of one kv head. q, out [G, E], contiguous; `scratch` is aligned
// as hwy::AllocateAligned gives. REQUIRES: 0 <= first < length.
void Attend(const float* q_GE, CacheView cache, int64_t group, int64_t head_dim, Sight sight,
            float* scratch, float* out_GE);

// The position of the largest number, the lowest of a tie; with NaN among them perhaps of another,
// or -1. REQUIRES: size > 0.
int64_t Argmax(const float* x, int64_t size);

}  // namespace jenner::kernels

#endif  // JENNER_WORKER_KERNELS_KERNELS_H_
