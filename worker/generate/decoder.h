// Decoder: the forward pass of generation over a cache of keys and values, one row a token. What a
// row gives depends on its token, its position and what is in its slot before it, never on the
// other rows of the pass (kernels.h). Legend: R rows, D model, H heads, K kv heads, E head
// dimension, F intermediate, V vocabulary.
#ifndef JENNER_WORKER_GENERATE_DECODER_H_
#define JENNER_WORKER_GENERATE_DECODER_H_

#include <cstdint>
#include <span>
#include <vector>

#include "worker/generate/weights.h"

namespace jenner::generate {

// A token to be put at `position` of `slot`. REQUIRES: the positions before it are in the slot, or
// come in the same pass.
struct Row {
  int64_t slot = 0;
  int64_t position = 0;
  int32_t token = 0;
};

// Not thread-safe; works with at::get_num_threads() threads.
class Decoder {
 public:
  // Rows of one pass; more cost memory, not speed.
  static constexpr int64_t kMaxRows = 512;

  // Bytes of cache that one slot of `capacity` positions takes.
  static int64_t SlotBytes(const model::ModelConfig& config, int64_t capacity);

  // `weights` must outlive the decoder. Slots are [0, num_slots), each of `capacity` positions.
  Decoder(const Weights& weights, int64_t num_slots, int64_t capacity);

  // Makes the first `length` positions of slot `to` those of slot `from`.
  void CopyPrefix(int64_t from, int64_t to, int64_t length);

  // Puts the rows, at most kMaxRows, into the cache. Logits [n, V] of the rows that `wanted` names
  // (positions in `rows`), in its order; valid until the next call.
  std::span<const float> Run(std::span<const Row> rows, std::span<const int64_t> wanted);

 private:
  struct Cache {  // of one layer, [slots, K] of kernels::CacheView
    std::vector<float> keys;
    std::vector<float> values;
  };
  kernels::CacheView View(int64_t layer, int64_t slot, int64_t kv_head) const;

  void ApplyLayer(int64_t layer, std::span<const Row> rows);
  // out = the base's product of x (of x16_ if the base is bfloat16), low_ = that of the adapters'
  // A.
  void ApplyBase(const Linear& linear, kernels::ConstRows x, int64_t num_rows, kernels::Rows out);
  // x16_ = part of row r of x, where it is needed.
  void Round(const float* x, int64_t row, int64_t begin, int64_t size);
  // out += B low_ + bias, rows [begin, end).
  void AddRest(const Linear& linear, int64_t begin, int64_t end, kernels::Rows out) const;
  // hidden_RD_ += what `linear` gives, of which out_RD_ has the base's part, normed if there is a
  // norm; rows [begin, end).
  void AddResidual(const Linear& linear, const std::vector<float>& norm, int64_t begin,
                   int64_t end);
  void RotateAndStore(int64_t layer, const Row& row, float* qkv_P);
  void AttendAll(int64_t layer, std::span<const Row> rows);
  void Grow(int64_t num_rows);

  const Weights& weights_;
  const model::ModelConfig& config_;
  const int64_t capacity_;   // rounded up to kernels::kKeyBlock
  const int64_t slot_keys_;  // floats of one slot and kv head
  const int64_t slot_values_;
  std::vector<Cache> caches_;
  struct Rotation {
    std::vector<float> cos_LF;
    std::vector<float> sin_LF;
  };
  Rotation RotationOf(const model::Rope& rope) const;
  Rotation full_;
  Rotation sliding_;  // of sliding layers
  // Of one pass; grown as needed.
  int64_t room_rows_ = 0;
  int64_t wide_size_ = 0;
  std::vector<float> hidden_RD_;
  std::vector<float> x_;     // [R, max(D, H E)]: normed hidden states, or what attention mixed
  std::vector<float> wide_;  // [R, wide_size_]: query, key, value; or gate, up; in place activation
  std::vector<uint16_t> x16_;  // the factors of a product, if weights are bfloat16
  int64_t x16_size_ = 0;       // of a row
  std::vector<float> out_RD_;
  std::vector<float> low_;  // [R, max_low]
  std::vector<float> logits_;
};

}  // namespace jenner::generate

#endif  // JENNER_WORKER_GENERATE_DECODER_H_
