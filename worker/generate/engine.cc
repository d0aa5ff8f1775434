// Every product is computed on blocks of a fixed number of rows (kDecodeRows, kPrefillRows; short
// ones are padded), each prompt in blocks of its own, and attention over a cache length rounded up
// to kCacheStep: so the arithmetic of an answer does not depend on what else is in the batch.
// Legend: S slots, R rows of a block, L cache length, D model, H heads, K kv heads, G heads per kv
// head, E head dimension, F half of E, V vocabulary.
#include "worker/generate/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <deque>
#include <numeric>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/status.h"
#include "worker/model/counter_rng.h"

namespace jenner::generate {
namespace {

constexpr int64_t kDecodeRows = 32;
constexpr int64_t kPrefillRows = 64;
constexpr int64_t kCacheStep = 64;
constexpr uint64_t kSampleStream = 0x73616d706c65;  // "sample"

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

struct Slot {
  bool active = false;
  size_t request_idx = 0;
  int64_t length = 0;  // tokens in the cache
  int32_t next = 0;    // the newest token, not in the cache yet
  Answer answer;
};

// A block of rows: token `ids[r]` at `positions[r]` of slot `slots[r]`.
struct Block {
  at::Tensor ids_R;        // int64
  at::Tensor slots_R;      // int64
  at::Tensor positions_R;  // int64
  at::Tensor cos_R1F;
  at::Tensor sin_R1F;
  at::Tensor mask;  // added to the scores; decode [R, 1, 1, L], prefill [1, R, L]
  int64_t cache_length = 0;
  bool is_prefill = false;
};

}  // namespace

class Decoder {
 public:
  Decoder(const model::Llama& llama, int64_t num_slots, int64_t capacity)
      : llama_(llama),
        config_(llama.config()),
        dtype_(llama.dtype() == core::Dtype::kBfloat16 ? at::kBFloat16 : at::kFloat),
        num_slots_(RoundUp(num_slots, kDecodeRows)),
        capacity_(RoundUp(capacity, kCacheStep)) {
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::vector<int64_t> shape = {num_slots_, config_.num_kv_heads, capacity_,
                                          config_.head_dim};
      keys_SKLE_.push_back(at::zeros(shape, dtype_));
      values_SKLE_.push_back(at::zeros(shape, dtype_));
      const model::LayerWeights& w = llama.layer(i);
      weights_.push_back({w.input_norm_D, w.qkv_PD.to(dtype_), w.o_DQ.to(dtype_), w.post_norm_D,
                          w.gate_up_GD.to(dtype_), w.down_DF.to(dtype_)});
    }
    const std::vector<double> frequencies = model::RopeFrequencies(config_);
    const at::Tensor angles =
        at::outer(at::arange(capacity_, at::kDouble), at::tensor(frequencies, at::kDouble));
    cos_LF_ = angles.cos().to(dtype_);
    sin_LF_ = angles.sin().to(dtype_);
  }

  // Puts `prompt` into the cache of `slot`; returns the logits [V] after its last token.
  at::Tensor Prefill(int64_t slot, const std::vector<int32_t>& prompt) {
    at::Tensor last_1D;
    const int64_t total = static_cast<int64_t>(prompt.size());
    for (int64_t begin = 0; begin < total; begin += kPrefillRows) {
      const int64_t count = std::min(kPrefillRows, total - begin);
      std::vector<int64_t> ids(kPrefillRows, 0), positions(kPrefillRows);
      for (int64_t r = 0; r < kPrefillRows; ++r) {
        if (r < count) ids[static_cast<size_t>(r)] = prompt[static_cast<size_t>(begin + r)];
        // Padding rows write to the cache behind the prompt, where decoding overwrites them.
        positions[static_cast<size_t>(r)] = std::min(begin + r, capacity_ - 1);
      }
      const at::Tensor hidden_RD = Run(MakePrefill(slot, ids, positions, begin));
      last_1D = hidden_RD.narrow(0, count - 1, 1);
    }
    // The head's product in a block of the same size as in decoding.
    const at::Tensor padded_RD = last_1D.expand({kDecodeRows, config_.hidden_size}).contiguous();
    return llama_.LogitsFromHidden(padded_RD)[0];
  }

  // One token for each of the kDecodeRows slots from `first_slot`; logits [R, V].
  at::Tensor Decode(int64_t first_slot, const std::vector<Slot>& slots) {
    std::vector<int64_t> ids(kDecodeRows, 0), positions(kDecodeRows, 0);
    int64_t longest = 1;
    for (int64_t r = 0; r < kDecodeRows; ++r) {
      const size_t s = static_cast<size_t>(first_slot + r);
      if (s >= slots.size() || !slots[s].active) continue;
      ids[static_cast<size_t>(r)] = slots[s].next;
      positions[static_cast<size_t>(r)] = slots[s].length;
      longest = std::max(longest, slots[s].length + 1);
    }
    Block block;
    block.cache_length = RoundUp(longest, kCacheStep);
    Fill(ids, positions, &block);
    block.slots_R = at::arange(first_slot, first_slot + kDecodeRows, at::kLong);
    const at::Tensor columns_L = at::arange(block.cache_length, at::kLong);
    block.mask = Mask(columns_L.unsqueeze(0) > block.positions_R.unsqueeze(1))
                     .view({kDecodeRows, 1, 1, block.cache_length});
    return llama_.LogitsFromHidden(Run(block));
  }

 private:
  void Fill(const std::vector<int64_t>& ids, const std::vector<int64_t>& positions,
            Block* block) const {
    block->ids_R = at::tensor(ids, at::kLong);
    block->positions_R = at::tensor(positions, at::kLong);
    block->cos_R1F = cos_LF_.index_select(0, block->positions_R).unsqueeze(1);
    block->sin_R1F = sin_LF_.index_select(0, block->positions_R).unsqueeze(1);
  }

  // -inf where `hidden` is true, else 0.
  at::Tensor Mask(const at::Tensor& hidden) const {
    return at::zeros(hidden.sizes(), dtype_)
        .masked_fill_(hidden, -std::numeric_limits<double>::infinity());
  }

  Block MakePrefill(int64_t slot, const std::vector<int64_t>& ids,
                    const std::vector<int64_t>& positions, int64_t begin) const {
    Block block;
    block.is_prefill = true;
    block.cache_length = std::min(capacity_, RoundUp(begin + kPrefillRows, kCacheStep));
    Fill(ids, positions, &block);
    block.slots_R = at::full({kPrefillRows}, slot, at::kLong);
    const at::Tensor columns_L = at::arange(block.cache_length, at::kLong);
    block.mask = Mask(columns_L.unsqueeze(0) > block.positions_R.unsqueeze(1)).unsqueeze(0);
    return block;
  }

  // x W^T with the adapter's parts added, one output a target.
  std::vector<at::Tensor> Project(int64_t layer, const at::Tensor& x_RI, const at::Tensor& fused_OI,
                                  std::initializer_list<model::Target> targets) const {
    const at::Tensor fused_RO = at::linear(x_RI, fused_OI);
    std::vector<at::Tensor> outputs;
    int64_t begin = 0;
    for (const model::Target target : targets) {
      const int64_t width = model::TargetOutput(config_, target);
      at::Tensor out_RO = fused_RO.narrow(1, begin, width);
      begin += width;
      const model::LoraAdapter* adapter = llama_.active_adapter();
      if (adapter != nullptr && adapter->pair(layer, target).a_RI.defined()) {
        const model::LoraPair& pair = adapter->pair(layer, target);
        const at::Tensor delta_RO =
            at::linear(at::linear(x_RI.to(at::kFloat), pair.a_RI), pair.b_OR);
        out_RO = at::add(out_RO, delta_RO.to(dtype_), adapter->scale());
      }
      outputs.push_back(std::move(out_RO));
    }
    return outputs;
  }

  at::Tensor Rotate(const at::Tensor& x_RHE, const Block& block) const {
    const int64_t half = config_.head_dim / 2;
    const at::Tensor a = x_RHE.narrow(2, 0, half);
    const at::Tensor b = x_RHE.narrow(2, half, half);
    return at::cat({a * block.cos_R1F - b * block.sin_R1F, b * block.cos_R1F + a * block.sin_R1F},
                   2);
  }

  // Attention of a block's queries over the cache; returns [R, H * E].
  at::Tensor Attend(int64_t layer, const at::Tensor& q_RHE, const Block& block) const {
    const int64_t rows = q_RHE.size(0);
    const int64_t kv = config_.num_kv_heads;
    const int64_t group = config_.num_heads / kv;
    const int64_t e = config_.head_dim;
    const double scale = 1 / std::sqrt(static_cast<double>(e));
    const at::Tensor& keys = keys_SKLE_[static_cast<size_t>(layer)];
    const at::Tensor& values = values_SKLE_[static_cast<size_t>(layer)];
    const int64_t first = block.slots_R[0].item<int64_t>();
    if (block.is_prefill) {
      const at::Tensor k_KLE = keys[first].narrow(1, 0, block.cache_length);
      const at::Tensor v_KLE = values[first].narrow(1, 0, block.cache_length);
      // [K, G * R, E]: the group's heads one after another, so that the mask repeats.
      const at::Tensor q = (q_RHE * scale)
                               .view({rows, kv, group, e})
                               .permute({1, 2, 0, 3})
                               .reshape({kv, group * rows, e});
      at::Tensor scores =
          at::bmm(q, k_KLE.transpose(1, 2)).view({kv, group, rows, block.cache_length});
      scores =
          at::softmax(scores.add_(block.mask), -1).view({kv, group * rows, block.cache_length});
      return at::bmm(scores, v_KLE)
          .view({kv, group, rows, e})
          .permute({2, 0, 1, 3})
          .reshape({rows, kv * group * e});
    }
    const at::Tensor k = keys.narrow(0, first, rows).narrow(2, 0, block.cache_length);
    const at::Tensor v = values.narrow(0, first, rows).narrow(2, 0, block.cache_length);
    const at::Tensor q_RKGE = (q_RHE * scale).view({rows, kv, group, e});
    at::Tensor scores = at::matmul(q_RKGE, k.transpose(2, 3)).add_(block.mask);
    return at::matmul(at::softmax(scores, -1), v).reshape({rows, kv * group * e});
  }

  // Final hidden states [R, D] float32 of a block; writes its keys and values.
  at::Tensor Run(const Block& block) {
    const double eps = config_.rms_norm_eps;
    const int64_t rows = block.ids_R.size(0);
    at::Tensor hidden_RD = at::embedding(llama_.embedding_VD(), block.ids_R);
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const model::LayerWeights& w = weights_[static_cast<size_t>(i)];
      const at::Tensor x_RD =
          at::rms_norm(hidden_RD, {config_.hidden_size}, w.input_norm_D, eps).to(dtype_);
      const auto qkv =
          Project(i, x_RD, w.qkv_PD, {model::Target::kQ, model::Target::kK, model::Target::kV});
      const at::Tensor q =
          Rotate(qkv[0].reshape({rows, config_.num_heads, config_.head_dim}), block);
      const at::Tensor k =
          Rotate(qkv[1].reshape({rows, config_.num_kv_heads, config_.head_dim}), block);
      const at::Tensor v = qkv[2].reshape({rows, config_.num_kv_heads, config_.head_dim});
      using at::indexing::Slice;
      keys_SKLE_[static_cast<size_t>(i)].index_put_({block.slots_R, Slice(), block.positions_R}, k);
      values_SKLE_[static_cast<size_t>(i)].index_put_({block.slots_R, Slice(), block.positions_R},
                                                      v);
      const at::Tensor mixed = Attend(i, q, block);
      hidden_RD = hidden_RD + Project(i, mixed, w.o_DQ, {model::Target::kO})[0].to(at::kFloat);
      const at::Tensor y_RD =
          at::rms_norm(hidden_RD, {config_.hidden_size}, w.post_norm_D, eps).to(dtype_);
      const auto gate_up =
          Project(i, y_RD, w.gate_up_GD, {model::Target::kGate, model::Target::kUp});
      hidden_RD =
          hidden_RD +
          Project(i, at::silu(gate_up[0]) * gate_up[1], w.down_DF, {model::Target::kDown})[0].to(
              at::kFloat);
    }
    return at::rms_norm(hidden_RD, {config_.hidden_size}, llama_.final_norm_D(), eps);
  }

  const model::Llama& llama_;
  const model::LlamaConfig& config_;
  at::ScalarType dtype_;
  int64_t num_slots_;
  int64_t capacity_;
  std::vector<at::Tensor> keys_SKLE_;
  std::vector<at::Tensor> values_SKLE_;
  std::vector<model::LayerWeights> weights_;
  at::Tensor cos_LF_;
  at::Tensor sin_LF_;
};

namespace {

// The token that follows, from float32 logits [V]. Softmax and sums in double.
int32_t Choose(const at::Tensor& logits_V, const Options& options, const Request& request,
               int64_t position) {
  const float* logits = logits_V.const_data_ptr<float>();
  const int64_t vocab = logits_V.numel();
  const int64_t best =
      std::max_element(logits, logits + vocab) - logits;  // the lowest id wins a tie
  if (options.temperature == 0) return static_cast<int32_t>(best);
  std::vector<int32_t> order(static_cast<size_t>(vocab));
  std::iota(order.begin(), order.end(), 0);
  std::vector<double> weights(static_cast<size_t>(vocab));
  double total = 0;
  for (int64_t i = 0; i < vocab; ++i) {
    weights[static_cast<size_t>(i)] =
        std::exp((static_cast<double>(logits[i]) - logits[best]) / options.temperature);
    total += weights[static_cast<size_t>(i)];
  }
  if (options.top_p < 1) {
    std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
      return weights[static_cast<size_t>(a)] > weights[static_cast<size_t>(b)];
    });
    // The fewest tokens whose probability reaches top_p.
    double kept = 0;
    size_t count = 0;
    while (count < order.size() && kept < options.top_p * total)
      kept += weights[static_cast<size_t>(order[count++])];
    order.resize(std::max<size_t>(1, count));
    total = kept;
  }
  const uint64_t key = model::MakeKey(
      {static_cast<uint64_t>(options.seed), kSampleStream, request.prompt_idx, request.sample_idx});
  double left = model::UniformDouble(key, static_cast<uint64_t>(position)) * total;
  for (const int32_t id : order) {
    left -= weights[static_cast<size_t>(id)];
    if (left < 0) return id;
  }
  return order.back();
}

absl::Status CheckRequests(const std::vector<Request>& requests, const Options& options,
                           const model::LlamaConfig& config) {
  if (options.max_new_tokens < 1 || options.batch_size < 1 || !(options.temperature >= 0) ||
      !(options.top_p > 0) || options.top_p > 1) {
    return absl::InvalidArgumentError(
        "generation: max_new_tokens, batch_size, temperature or top_p out of range");
  }
  for (size_t i = 0; i < requests.size(); ++i) {
    const std::vector<int32_t>& prompt = requests[i].prompt;
    if (prompt.empty()) return absl::InvalidArgumentError(absl::StrFormat("prompt %d is empty", i));
    if (static_cast<int64_t>(prompt.size()) >= config.max_positions) {
      return absl::InvalidArgumentError(
          absl::StrFormat("prompt %d: %d tokens; the model has %d positions", i, prompt.size(),
                          config.max_positions));
    }
    for (const int32_t id : prompt) {
      if (id < 0 || id >= config.vocab_size)
        return absl::InvalidArgumentError(
            absl::StrFormat("prompt %d: token %d is not in the vocabulary", i, id));
    }
  }
  return absl::OkStatus();
}

}  // namespace

struct Engine::Impl {
  explicit Impl(const model::Llama& l) : llama(l) {}
  const model::Llama& llama;
  Totals totals;
};

Engine::Engine(const model::Llama& llama) : impl_(std::make_unique<Impl>(llama)) {}
Engine::~Engine() = default;
const Totals& Engine::totals() const { return impl_->totals; }

std::vector<float> Engine::CachedLogits(const std::vector<int32_t>& tokens,
                                        size_t prefilled) const {
  JENNER_CHECK(prefilled >= 1 && prefilled <= tokens.size());
  at::NoGradGuard no_grad;
  const size_t vocab = static_cast<size_t>(impl_->llama.config().vocab_size);
  std::vector<float> logits(tokens.size() * vocab, 0.0f);
  const auto keep = [&](size_t row, const at::Tensor& logits_V) {
    const float* data = logits_V.const_data_ptr<float>();
    std::copy(data, data + vocab, logits.begin() + static_cast<int64_t>(row * vocab));
  };
  Decoder decoder(impl_->llama, 1, RoundUp(static_cast<int64_t>(tokens.size()), kPrefillRows));
  keep(prefilled - 1,
       decoder.Prefill(0, {tokens.begin(), tokens.begin() + static_cast<int64_t>(prefilled)}));
  std::vector<Slot> slots(1);
  slots[0].active = true;
  for (size_t i = prefilled; i < tokens.size(); ++i) {
    slots[0].next = tokens[i];
    slots[0].length = static_cast<int64_t>(i);
    keep(i, decoder.Decode(0, slots)[0]);
  }
  return logits;
}

absl::Status Engine::Generate(const std::vector<Request>& requests, const Options& options,
                              const std::function<bool(Answer)>& on_answer) {
  const model::LlamaConfig& config = impl_->llama.config();
  RETURN_IF_ERROR(CheckRequests(requests, options, config));
  impl_->totals = {};
  if (requests.empty()) return absl::OkStatus();
  at::NoGradGuard no_grad;
  const std::vector<int64_t>& ends =
      options.end_token_ids.empty() ? config.eos_token_ids : options.end_token_ids;
  // Longest prompts first: the tail of the run is short, and slots of like length share a cache
  // length.
  std::vector<size_t> waiting(requests.size());
  std::iota(waiting.begin(), waiting.end(), size_t{0});
  std::stable_sort(waiting.begin(), waiting.end(), [&](size_t a, size_t b) {
    return requests[a].prompt.size() < requests[b].prompt.size();
  });
  const int64_t longest = static_cast<int64_t>(requests[waiting.back()].prompt.size());
  const int64_t num_slots =
      std::min<int64_t>(options.batch_size, static_cast<int64_t>(requests.size()));
  Decoder decoder(impl_->llama, num_slots, RoundUp(longest, kPrefillRows) + options.max_new_tokens);
  std::vector<Slot> slots(static_cast<size_t>(num_slots));

  bool go_on = true;
  // Takes the next token of a slot; frees the slot when its answer is complete.
  const auto accept = [&](Slot& slot, const at::Tensor& logits_V) {
    const Request& request = requests[slot.request_idx];
    const int32_t id =
        Choose(logits_V, options, request, static_cast<int64_t>(slot.answer.token_ids.size()));
    ++impl_->totals.new_tokens;
    const bool stops = std::find(ends.begin(), ends.end(), id) != ends.end();
    if (!stops) slot.answer.token_ids.push_back(id);
    slot.next = id;
    const bool full =
        static_cast<int32_t>(slot.answer.token_ids.size()) >= options.max_new_tokens ||
        slot.length + 1 >= config.max_positions;
    if (!stops && !full) return;
    slot.active = false;
    slot.answer.finish_reason = stops ? FinishReason::kStop : FinishReason::kLength;
    go_on = on_answer(std::move(slot.answer)) && go_on;
  };

  while (go_on) {
    bool any_active = false;
    for (size_t s = 0; s < slots.size() && go_on; ++s) {
      while (!slots[s].active && !waiting.empty() && go_on) {
        Slot& slot = slots[s];
        slot = Slot{true,
                    waiting.back(),
                    static_cast<int64_t>(requests[waiting.back()].prompt.size()),
                    0,
                    {}};
        slot.answer.request_idx = waiting.back();
        waiting.pop_back();
        const at::Tensor logits_V =
            decoder.Prefill(static_cast<int64_t>(s), requests[slot.request_idx].prompt);
        impl_->totals.prompt_tokens += slot.length;
        accept(slot, logits_V);
      }
      any_active = any_active || slots[s].active;
    }
    if (!any_active) break;
    ++impl_->totals.steps;
    for (int64_t first = 0; first < num_slots && go_on; first += kDecodeRows) {
      bool block_active = false;
      const int64_t end = std::min(num_slots, first + kDecodeRows);
      for (int64_t s = first; s < end; ++s)
        block_active = block_active || slots[static_cast<size_t>(s)].active;
      if (!block_active) continue;
      const at::Tensor logits_RV = decoder.Decode(first, slots);
      for (int64_t s = first; s < end && go_on; ++s) {
        Slot& slot = slots[static_cast<size_t>(s)];
        if (!slot.active) continue;
        ++slot.length;
        accept(slot, logits_RV[s - first]);
      }
    }
  }
  return go_on ? absl::OkStatus() : absl::CancelledError("generation was stopped");
}

}  // namespace jenner::generate
