// Attention of rows on any device, by ATen's operations. Legend: N packed tokens, B rows, H heads,
// K kv heads, T queries, L keys, E head dimension; G heads of queries, keys and values beside each
// other.
#ifndef JENNER_WORKER_MODEL_ATTENTION_H_
#define JENNER_WORKER_MODEL_ATTENTION_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <vector>

namespace jenner::model {

// cap tanh(x / cap); x if cap is 0.
at::Tensor Softcap(const at::Tensor& x, double cap);

// FusedRotate (fused.h) of any type on any device, differentiable in x.
at::Tensor RotateHeads(const at::Tensor& x_NGE, int64_t rotated, const at::Tensor& cos_N1F,
                       const at::Tensor& sin_N1F);

// What is added to scores: 0 where a query may look, else minus infinity. The `length` queries
// stand behind `prefix` other keys. `window` 0: all before it.
at::Tensor ScoreMask(int64_t length, int64_t prefix, int64_t window, at::TensorOptions options);

// How queries see keys. Without a mask each sees those before it, and there are no others.
struct Sight {
  std::optional<at::Tensor> mask_TL;
  double scale = 1;
  double softcap = 0;
};

// softmax(cap(scale q k^T) + mask) v of rows that see alike. REQUIRES: a mask with softcap.
at::Tensor Attend(const at::Tensor& q_BHTE, const at::Tensor& k_BKLE, const at::Tensor& v_BKLE,
                  const Sight& sight);

// Rows of unequal length side by side, each as long as the longest, T: a GPU is given all of them
// at once. What is behind a row's end repeats its last token; under a mask that lets queries look
// back only, nothing of it reaches what is before it. Differentiable, without atomic additions, for
// which what is behind an end must not count, as it does not under Unpad().
class Padding {
 public:
  // B + 1 ascending values, the first 0; on the device of what is to be padded.
  Padding(const std::vector<int64_t>& row_starts, at::Device device);
  int64_t length() const { return length_; }         // T
  at::Tensor Pad(const at::Tensor& x_NHE) const;     // [B, T, H, E]
  at::Tensor Unpad(const at::Tensor& x_BTHE) const;  // [N, H, E]

 private:
  int64_t num_rows_ = 0;
  int64_t length_ = 0;
  at::Tensor sources_M_;  // M = B T: which of N each is
  at::Tensor places_N_;   // which of M each is
};

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_ATTENTION_H_
