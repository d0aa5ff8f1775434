// Weights: what a Transformer and its active adapter multiply by, packed for the kernels; made once
// per engine. The adapter stays unmerged: y = W x + (alpha / r) B (A x), the scale folded into B.
// Legend as decoder.h.
#ifndef JENNER_WORKER_GENERATE_WEIGHTS_H_
#define JENNER_WORKER_GENERATE_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <memory>
#include <vector>

#include "worker/kernels/kernels.h"
#include "worker/model/transformer.h"

namespace jenner::generate {

// The products of one input: several targets' weights one under the other, and their adapters.
struct Linear {
  // [O, I], O the sum of the targets' outputs. A frozen model's own, shared.
  std::shared_ptr<const kernels::PackedMatrix> base;
  // The adapters' A one under the other, [sum of ranks, I]; no outputs: no adapter.
  kernels::PackedMatrix low;
  // One adapted target: its B takes the columns of `low` from low_begin on and adds to the columns
  // of the output from out_begin on.
  struct Up {
    kernels::PackedMatrix b;
    int64_t low_begin = 0;
    int64_t out_begin = 0;
  };
  std::vector<Up> ups;
  std::vector<float> bias;  // [O], or empty
};

// What the norms multiply by, [D] or [E]; empty where the family has none (transformer.h).
struct PackedLayer {
  std::vector<float> attention_norm;
  Linear qkv;
  std::vector<float> q_norm;
  std::vector<float> k_norm;
  Linear o;
  std::vector<float> attention_out_norm;
  std::vector<float> mlp_norm;
  Linear gate_up;
  Linear down;
  std::vector<float> mlp_out_norm;
};

struct Weights {
  // Copies; `transformer` may change afterwards, except the embedding, which is shared.
  // bfloat16 storage of the base if that is the model's dtype; adapters are float32.
  explicit Weights(const model::Transformer& transformer);

  model::ModelConfig config;
  std::vector<PackedLayer> layers;
  at::Tensor embedding_VD;  // float32, contiguous
  std::vector<float> final_norm;
  std::shared_ptr<const kernels::PackedMatrix> head;
  int64_t max_low = 0;  // the most columns that a Linear's `low` has
};

}  // namespace jenner::generate

#endif  // JENNER_WORKER_GENERATE_WEIGHTS_H_
