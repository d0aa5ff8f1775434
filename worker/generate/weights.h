// Weights: what a Llama and its active adapter multiply by, packed for the kernels; made once per
// engine. The adapter stays unmerged: y = W x + (alpha / r) B (A x), the scale folded into B.
// Legend as decoder.h.
#ifndef JENNER_WORKER_GENERATE_WEIGHTS_H_
#define JENNER_WORKER_GENERATE_WEIGHTS_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <initializer_list>
#include <vector>

#include "worker/generate/kernels.h"
#include "worker/model/llama.h"

namespace jenner::generate {

// The products of one input: several targets' weights one under the other, and their adapters.
struct Linear {
  PackedMatrix base;  // [O, I], O the sum of the targets' outputs
  // The adapters' A one under the other, [sum of ranks, I]; no outputs: no adapter.
  PackedMatrix low;
  // One adapted target: its B takes the columns of `low` from low_begin on and adds to the columns
  // of the output from out_begin on.
  struct Up {
    PackedMatrix b;
    int64_t low_begin = 0;
    int64_t out_begin = 0;
  };
  std::vector<Up> ups;
};

struct PackedLayer {
  at::Tensor input_norm_D;  // float32, contiguous
  Linear qkv;
  Linear o;
  at::Tensor post_norm_D;
  Linear gate_up;
  Linear down;
};

struct Weights {
  // Copies; `llama` may change afterwards, except the norms and the embedding, which are shared.
  // bfloat16 storage of the base if that is the model's dtype; adapters are float32.
  explicit Weights(const model::Llama& llama);

  model::LlamaConfig config;
  std::vector<PackedLayer> layers;
  at::Tensor embedding_VD;  // float32, contiguous
  at::Tensor final_norm_D;
  PackedMatrix head;
  int64_t max_low = 0;  // the most columns that a Linear's `low` has
};

}  // namespace jenner::generate

#endif  // JENNER_WORKER_GENERATE_WEIGHTS_H_
