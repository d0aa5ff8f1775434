// Every product is computed on blocks of a fixed number of rows (kDecodeRows, kPrefillRows; short
// ones are padded), attention on chunks of kChunkRows tokens that a prompt alone determines, over a
// cache length rounded up to kCacheStep: so the arithmetic of an answer does not depend on what
// else is in the batch. Chunks that all prompts begin with are computed once. Legend: S slots, R
// rows of a block, L cache length, D model, H heads, K kv heads, G heads per kv head, E head
// dimension, F half of E, V vocabulary.
#include "worker/generate/engine.h"

#include <ATen/ATen.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/status.h"
#include "worker/model/counter_rng.h"

namespace jenner::generate {
namespace {

constexpr int64_t kDecodeRows = 32;
constexpr int64_t kPrefillRows = 128;
constexpr int64_t kChunkRows = 8;
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

// The tokens `ids` of a prompt from position `begin` (a multiple of kChunkRows) on; at most
// kChunkRows.
struct Chunk {
  int64_t slot = 0;
  int64_t begin = 0;
  const int32_t* ids = nullptr;
  int64_t size = 0;
  int64_t CacheLength() const { return RoundUp(begin + kChunkRows, kCacheStep); }
};

// A prompt, or the rest of one whose beginning is in the cache already, to be put into `slot`.
struct Prefill {
  int64_t slot = 0;
  const std::vector<int32_t>* prompt = nullptr;
  int64_t begin = 0;  // a multiple of kChunkRows
  int64_t end = 0;
};

// A block of rows: token `ids[r]` at `positions[r]` of slot `slots[r]`.
struct Block {
  at::Tensor ids_R;        // int64
  at::Tensor slots_R;      // int64
  at::Tensor positions_R;  // int64
  at::Tensor cos_R1F;
  at::Tensor sin_R1F;
  // Decode: added to the scores, [R, 1, 1, L], of the slots from first_slot on.
  at::Tensor mask;
  int64_t cache_length = 0;
  int64_t first_slot = 0;
  // Prefill: chunk c has rows [c * kChunkRows, (c + 1) * kChunkRows); masks [1, 1, G * kChunkRows,
  // L].
  std::vector<Chunk> chunks;
  std::vector<at::Tensor> masks;
};

}  // namespace

class Decoder {
 public:
  Decoder(const model::Llama& llama, int64_t num_slots, int64_t capacity)
      : llama_(llama),
        config_(llama.config()),
        dtype_(llama.dtype() == core::Dtype::kBfloat16 ? at::kBFloat16 : at::kFloat),
        prefix_slot_(RoundUp(num_slots, kDecodeRows)),
        padding_slot_(prefix_slot_ + 1),
        capacity_(RoundUp(capacity + kChunkRows, kCacheStep)),
        head_(llama.head_VD(), kDecodeRows) {
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const std::vector<int64_t> shape = {padding_slot_ + 1, config_.num_kv_heads, capacity_,
                                          config_.head_dim};
      keys_SKLE_.push_back(at::zeros(shape, dtype_));
      values_SKLE_.push_back(at::zeros(shape, dtype_));
      const model::LayerWeights& w = llama.layer(i);
      const auto pack = [this](const at::Tensor& weight) {
        return PackedLinear(weight.to(dtype_), kPrefillRows);
      };
      weights_.push_back({w.input_norm_D, pack(w.qkv_PD), pack(w.o_DQ), w.post_norm_D,
                          pack(w.gate_up_GD), pack(w.down_DF)});
    }
    const std::vector<double> frequencies = model::RopeFrequencies(config_);
    const at::Tensor angles =
        at::outer(at::arange(capacity_, at::kDouble), at::tensor(frequencies, at::kDouble));
    cos_LF_ = angles.cos().to(dtype_);
    sin_LF_ = angles.sin().to(dtype_);
  }

  // The slot of what prompts have in common.
  int64_t prefix_slot() const { return prefix_slot_; }

  // Copies the first `length` positions of the prefix slot into `slot`.
  void CopyPrefix(int64_t slot, int64_t length) {
    if (length == 0) return;
    for (auto* cache : {&keys_SKLE_, &values_SKLE_}) {
      for (at::Tensor& layer : *cache) {
        layer[slot].narrow(1, 0, length).copy_(layer[prefix_slot_].narrow(1, 0, length));
      }
    }
  }

  // Puts prompts into the cache; returns the final hidden states [n, D] of their last tokens.
  at::Tensor Fill(const std::vector<Prefill>& prefills) {
    std::vector<Chunk> chunks;
    std::vector<int64_t> last_rows;
    for (const Prefill& one : prefills) {
      for (int64_t begin = one.begin; begin < one.end; begin += kChunkRows) {
        const int64_t size = std::min(kChunkRows, one.end - begin);
        chunks.push_back({one.slot, begin, one.prompt->data() + begin, size});
      }
      last_rows.push_back(static_cast<int64_t>(chunks.size() - 1) * kChunkRows +
                          chunks.back().size - 1);
    }
    constexpr auto kChunks = static_cast<size_t>(kPrefillRows / kChunkRows);
    std::vector<at::Tensor> hidden;
    for (size_t at = 0; at < chunks.size(); at += kChunks) {
      const auto begin = chunks.begin() + static_cast<std::ptrdiff_t>(at);
      const auto end = begin + static_cast<std::ptrdiff_t>(std::min(kChunks, chunks.size() - at));
      hidden.push_back(Run(MakePrefill({begin, end})));
    }
    return at::cat(hidden, 0).index_select(0, at::tensor(last_rows, at::kLong));
  }

  // Final hidden states [n, D] to logits [n, V].
  at::Tensor Logits(const at::Tensor& hidden_ND) const {
    std::vector<at::Tensor> logits;
    for (int64_t at = 0; at < hidden_ND.size(0); at += kDecodeRows) {
      const int64_t count = std::min(kDecodeRows, hidden_ND.size(0) - at);
      at::Tensor block_RD = at::zeros({kDecodeRows, config_.hidden_size}, at::kFloat);
      block_RD.narrow(0, 0, count).copy_(hidden_ND.narrow(0, at, count));
      logits.push_back(head_.Apply(block_RD).narrow(0, 0, count));
    }
    return at::cat(logits, 0);
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
    Place(ids, positions, &block);
    block.first_slot = first_slot;
    block.slots_R = at::arange(first_slot, first_slot + kDecodeRows, at::kLong);
    const at::Tensor columns_L = at::arange(block.cache_length, at::kLong);
    block.mask = Mask(columns_L.unsqueeze(0) > block.positions_R.unsqueeze(1))
                     .view({kDecodeRows, 1, 1, block.cache_length});
    return Logits(Run(block));
  }

 private:
  // A weight in the layout that oneDNN multiplies by fastest; as large as the weight itself.
  class PackedLinear {
   public:
    PackedLinear(const at::Tensor& weight_OI, int64_t rows)
        : packed_(ReorderOp().call(weight_OI.detach().contiguous(), c10::SymInt(rows))) {}
    // x [R, I] -> x W^T [R, O].
    at::Tensor Apply(const at::Tensor& x_RI) const {
      return LinearOp().call(x_RI, packed_, std::nullopt, "none",
                             c10::List<std::optional<at::Scalar>>(), "");
    }

   private:
    // The operators are registered, not declared in a header.
    using Reorder = at::Tensor(const at::Tensor&, std::optional<c10::SymInt>);
    using Linear = at::Tensor(const at::Tensor&, const at::Tensor&,
                              const std::optional<at::Tensor>&, c10::string_view,
                              c10::List<std::optional<at::Scalar>>,
                              std::optional<c10::string_view>);
    static const c10::TypedOperatorHandle<Reorder>& ReorderOp() {
      static const auto op = c10::Dispatcher::singleton()
                                 .findSchemaOrThrow("mkldnn::_reorder_linear_weight", "")
                                 .typed<Reorder>();
      return op;
    }
    static const c10::TypedOperatorHandle<Linear>& LinearOp() {
      static const auto op = c10::Dispatcher::singleton()
                                 .findSchemaOrThrow("mkldnn::_linear_pointwise", "")
                                 .typed<Linear>();
      return op;
    }
    at::Tensor packed_;
  };
  struct PackedLayer {
    at::Tensor input_norm_D;
    PackedLinear qkv;
    PackedLinear o;
    at::Tensor post_norm_D;
    PackedLinear gate_up;
    PackedLinear down;
  };

  void Place(const std::vector<int64_t>& ids, const std::vector<int64_t>& positions,
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

  Block MakePrefill(std::vector<Chunk> chunks) const {
    Block block;
    std::vector<int64_t> ids(kPrefillRows, 0), positions(kPrefillRows, 0);
    // What is padding writes where nobody reads.
    std::vector<int64_t> slots(kPrefillRows, padding_slot_);
    for (size_t c = 0; c < chunks.size(); ++c) {
      const Chunk& chunk = chunks[c];
      for (int64_t r = 0; r < kChunkRows; ++r) {
        const size_t row = c * static_cast<size_t>(kChunkRows) + static_cast<size_t>(r);
        positions[row] = chunk.begin + r;
        if (r >= chunk.size) continue;
        ids[row] = chunk.ids[r];
        slots[row] = chunk.slot;
      }
      const at::Tensor columns_L = at::arange(chunk.CacheLength(), at::kLong);
      const at::Tensor rows_R = at::arange(chunk.begin, chunk.begin + kChunkRows, at::kLong);
      const int64_t group = config_.num_heads / config_.num_kv_heads;
      block.masks.push_back(
          Mask(columns_L.unsqueeze(0) > rows_R.unsqueeze(1)).repeat({1, 1, group, 1}));
    }
    Place(ids, positions, &block);
    block.slots_R = at::tensor(slots, at::kLong);
    block.chunks = std::move(chunks);
    return block;
  }

  // x W^T with the adapter's parts added, one output a target.
  std::vector<at::Tensor> Project(int64_t layer, const at::Tensor& x_RI, const PackedLinear& fused,
                                  std::initializer_list<model::Target> targets) const {
    const at::Tensor fused_RO = fused.Apply(x_RI);
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

  // Attention of a block's scaled queries over the cache; returns [R, H * E].
  at::Tensor Attend(int64_t layer, const at::Tensor& q_RHE, const Block& block) const {
    const int64_t rows = q_RHE.size(0);
    const int64_t kv = config_.num_kv_heads;
    const int64_t group = config_.num_heads / kv;
    const int64_t e = config_.head_dim;
    const at::Tensor& keys = keys_SKLE_[static_cast<size_t>(layer)];
    const at::Tensor& values = values_SKLE_[static_cast<size_t>(layer)];
    if (block.chunks.empty()) {
      const at::Tensor k = keys.narrow(0, block.first_slot, rows).narrow(2, 0, block.cache_length);
      const at::Tensor v =
          values.narrow(0, block.first_slot, rows).narrow(2, 0, block.cache_length);
      // The heads of a group are the rows of one query.
      return at::scaled_dot_product_attention(q_RHE.view({rows, kv, group, e}), k, v, block.mask,
                                              0.0, false, 1.0)
          .reshape({rows, kv * group * e});
    }
    at::Tensor mixed_RQ = at::zeros({rows, kv * group * e}, dtype_);
    for (size_t c = 0; c < block.chunks.size(); ++c) {
      const int64_t first = static_cast<int64_t>(c) * kChunkRows;
      const int64_t length = block.chunks[c].CacheLength();
      const at::Tensor k_KLE = keys[block.chunks[c].slot].narrow(1, 0, length);
      const at::Tensor v_KLE = values[block.chunks[c].slot].narrow(1, 0, length);
      // [K, G * R, E]: the group's heads one after another, so that the mask repeats.
      const at::Tensor q = q_RHE.narrow(0, first, kChunkRows)
                               .reshape({kChunkRows, kv, group, e})
                               .permute({1, 2, 0, 3})
                               .reshape({kv, group * kChunkRows, e});
      mixed_RQ.narrow(0, first, kChunkRows)
          .copy_(at::scaled_dot_product_attention(q.unsqueeze(0), k_KLE.unsqueeze(0),
                                                  v_KLE.unsqueeze(0), block.masks[c], 0.0, false,
                                                  1.0)
                     .view({kv, group, kChunkRows, e})
                     .permute({2, 0, 1, 3})
                     .reshape({kChunkRows, kv * group * e}));
    }
    return mixed_RQ;
  }

  // Final hidden states [R, D] float32 of a block; writes its keys and values.
  at::Tensor Run(const Block& block) {
    const double eps = config_.rms_norm_eps;
    const double scale = 1 / std::sqrt(static_cast<double>(config_.head_dim));
    const int64_t rows = block.ids_R.size(0);
    at::Tensor hidden_RD = at::embedding(llama_.embedding_VD(), block.ids_R);
    for (int64_t i = 0; i < config_.num_layers; ++i) {
      const PackedLayer& w = weights_[static_cast<size_t>(i)];
      const at::Tensor x_RD =
          at::rms_norm(hidden_RD, {config_.hidden_size}, w.input_norm_D, eps).to(dtype_);
      const auto qkv =
          Project(i, x_RD, w.qkv, {model::Target::kQ, model::Target::kK, model::Target::kV});
      const at::Tensor q =
          Rotate(qkv[0].reshape({rows, config_.num_heads, config_.head_dim}), block);
      const at::Tensor k =
          Rotate(qkv[1].reshape({rows, config_.num_kv_heads, config_.head_dim}), block);
      const at::Tensor v = qkv[2].reshape({rows, config_.num_kv_heads, config_.head_dim});
      using at::indexing::Slice;
      keys_SKLE_[static_cast<size_t>(i)].index_put_({block.slots_R, Slice(), block.positions_R}, k);
      values_SKLE_[static_cast<size_t>(i)].index_put_({block.slots_R, Slice(), block.positions_R},
                                                      v);
      const at::Tensor mixed = Attend(i, q * scale, block);
      hidden_RD = hidden_RD + Project(i, mixed, w.o, {model::Target::kO})[0].to(at::kFloat);
      const at::Tensor y_RD =
          at::rms_norm(hidden_RD, {config_.hidden_size}, w.post_norm_D, eps).to(dtype_);
      const auto gate_up = Project(i, y_RD, w.gate_up, {model::Target::kGate, model::Target::kUp});
      hidden_RD =
          hidden_RD +
          Project(i, at::silu(gate_up[0]) * gate_up[1], w.down, {model::Target::kDown})[0].to(
              at::kFloat);
    }
    return at::rms_norm(hidden_RD, {config_.hidden_size}, llama_.final_norm_D(), eps);
  }

  const model::Llama& llama_;
  const model::LlamaConfig& config_;
  at::ScalarType dtype_;
  int64_t prefix_slot_;
  int64_t padding_slot_;
  int64_t capacity_;
  PackedLinear head_;
  std::vector<at::Tensor> keys_SKLE_;
  std::vector<at::Tensor> values_SKLE_;
  std::vector<PackedLayer> weights_;
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

// How many tokens, in whole chunks, all prompts begin with; each has at least one more.
int64_t CommonPrefix(const std::vector<Request>& requests) {
  const std::vector<int32_t>& first = requests.front().prompt;
  size_t common = first.size() - 1;
  for (const Request& request : requests) {
    const std::vector<int32_t>& prompt = request.prompt;
    common = std::min(common, prompt.size() - 1);
    common = static_cast<size_t>(std::mismatch(first.begin(),
                                               first.begin() + static_cast<std::ptrdiff_t>(common),
                                               prompt.begin())
                                     .first -
                                 first.begin());
  }
  return static_cast<int64_t>(common) / kChunkRows * kChunkRows;
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
  Decoder decoder(impl_->llama, 1, static_cast<int64_t>(tokens.size()));
  const Prefill prefill{0, &tokens, 0, static_cast<int64_t>(prefilled)};
  keep(prefilled - 1, decoder.Logits(decoder.Fill({prefill}))[0]);
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
  Decoder decoder(impl_->llama, num_slots, longest + options.max_new_tokens);
  std::vector<Slot> slots(static_cast<size_t>(num_slots));

  const int64_t prefix = CommonPrefix(requests);
  if (prefix > 0) decoder.Fill({{decoder.prefix_slot(), &requests.front().prompt, 0, prefix}});

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

  // Gives the free slots to waiting requests. True if any got one.
  const auto admit = [&] {
    std::vector<Prefill> prefills;
    for (size_t s = 0; s < slots.size() && !waiting.empty(); ++s) {
      if (slots[s].active) continue;
      const std::vector<int32_t>& prompt = requests[waiting.back()].prompt;
      const auto length = static_cast<int64_t>(prompt.size());
      slots[s] = Slot{true, waiting.back(), length, 0, {}};
      slots[s].answer.request_idx = waiting.back();
      waiting.pop_back();
      impl_->totals.prompt_tokens += length;
      decoder.CopyPrefix(static_cast<int64_t>(s), prefix);
      prefills.push_back({static_cast<int64_t>(s), &prompt, prefix, length});
    }
    if (prefills.empty()) return false;
    const at::Tensor logits_NV = decoder.Logits(decoder.Fill(prefills));
    for (size_t i = 0; i < prefills.size() && go_on; ++i) {
      accept(slots[static_cast<size_t>(prefills[i].slot)], logits_NV[static_cast<int64_t>(i)]);
    }
    return true;
  };

  while (go_on) {
    // Answers of one token free their slots at once.
    while (go_on && admit()) continue;
    const bool any_active =
        std::any_of(slots.begin(), slots.end(), [](const Slot& slot) { return slot.active; });
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
