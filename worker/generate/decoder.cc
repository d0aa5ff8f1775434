#include "worker/generate/decoder.h"

#include <ATen/Parallel.h>
#include <hwy/aligned_allocator.h>

#include <algorithm>
#include <cmath>

#include "core/check.h"
#include "worker/model/products.h"

namespace jenner::generate {
namespace {

int64_t RoundUp(int64_t value, int64_t step) { return (value + step - 1) / step * step; }

}  // namespace

Decoder::Decoder(const Weights& weights, int64_t num_slots, int64_t capacity)
    : weights_(weights),
      config_(weights.config),
      capacity_(RoundUp(capacity, kernels::kKeyBlock)),
      slot_keys_(capacity_ * config_.head_dim),
      slot_values_(capacity_ * kernels::ValueStride(config_.head_dim)),
      wide_size_(
          std::max(config_.QueryDim() + 2 * config_.KeyValueDim(), 2 * config_.intermediate_size)),
      x16_size_(weights.head->storage() == kernels::Storage::kFloat32
                    ? 0
                    : RoundUp(std::max({config_.hidden_size, config_.QueryDim(),
                                        config_.intermediate_size}),
                              2)) {
  const auto heads = static_cast<size_t>(num_slots * config_.num_kv_heads);
  caches_.resize(static_cast<size_t>(config_.num_layers));
  for (Cache& cache : caches_) {
    cache.keys.resize(heads * static_cast<size_t>(slot_keys_));
    cache.values.resize(heads * static_cast<size_t>(slot_values_));
  }
  full_ = RotationOf(config_.rope);
  if (config_.sliding_window > 0) sliding_ = RotationOf(config_.sliding_rope);
}

Decoder::Rotation Decoder::RotationOf(const model::Rope& rope) const {
  Rotation rotation;
  const std::vector<double> frequencies = model::RopeFrequencies(rope, config_.head_dim);
  for (int64_t l = 0; l < capacity_; ++l) {
    for (const double frequency : frequencies) {
      rotation.cos_LF.push_back(static_cast<float>(std::cos(static_cast<double>(l) * frequency)));
      rotation.sin_LF.push_back(static_cast<float>(std::sin(static_cast<double>(l) * frequency)));
    }
  }
  return rotation;
}

int64_t Decoder::SlotBytes(const model::ModelConfig& config, int64_t capacity) {
  const int64_t position = config.head_dim + kernels::ValueStride(config.head_dim);
  return config.num_layers * config.num_kv_heads * RoundUp(capacity, kernels::kKeyBlock) *
         position * static_cast<int64_t>(sizeof(float));
}

kernels::CacheView Decoder::View(int64_t layer, int64_t slot, int64_t kv_head) const {
  const Cache& cache = caches_[static_cast<size_t>(layer)];
  const int64_t idx = slot * config_.num_kv_heads + kv_head;
  return {cache.keys.data() + idx * slot_keys_, cache.values.data() + idx * slot_values_};
}

void Decoder::CopyPrefix(int64_t from, int64_t to, int64_t length) {
  // Whole blocks of keys: what is beyond `length` is written before it is read.
  const int64_t keys = RoundUp(length, kernels::kKeyBlock) * config_.head_dim;
  const int64_t values = length * kernels::ValueStride(config_.head_dim);
  for (Cache& cache : caches_) {
    for (int64_t k = 0; k < config_.num_kv_heads; ++k) {
      const int64_t from_idx = from * config_.num_kv_heads + k;
      const int64_t to_idx = to * config_.num_kv_heads + k;
      std::copy_n(cache.keys.data() + from_idx * slot_keys_, keys,
                  cache.keys.data() + to_idx * slot_keys_);
      std::copy_n(cache.values.data() + from_idx * slot_values_, values,
                  cache.values.data() + to_idx * slot_values_);
    }
  }
}

void Decoder::Grow(int64_t num_rows) {
  if (num_rows <= room_rows_) return;
  room_rows_ = num_rows;
  const auto rows = static_cast<size_t>(num_rows);
  const auto hidden = static_cast<size_t>(config_.hidden_size);
  hidden_RD_.resize(rows * hidden);
  out_RD_.resize(rows * hidden);
  x_.resize(rows * std::max(hidden, static_cast<size_t>(config_.QueryDim())));
  wide_.resize(rows * static_cast<size_t>(wide_size_));
  x16_.resize(rows * static_cast<size_t>(x16_size_));
  low_.resize(rows * static_cast<size_t>(weights_.max_low));
}

void Decoder::ApplyBase(const Linear& linear, kernels::ConstRows x, int64_t num_rows,
                        kernels::Rows out) {
  const model::Product products[] = {{linear.base.get(), out},
                                     {&linear.low, {low_.data(), weights_.max_low}}};
  model::MultiplyAll(x, {x16_.data(), x16_size_}, num_rows,
                     {products, linear.ups.empty() ? size_t{1} : size_t{2}});
}

void Decoder::Round(const float* x, int64_t row, int64_t begin, int64_t size) {
  if (x16_size_ > 0) kernels::RoundToBfloat16(x, size, x16_.data() + row * x16_size_ + begin);
}

void Decoder::AddRest(const Linear& linear, int64_t begin, int64_t end, kernels::Rows out) const {
  for (const Linear::Up& up : linear.ups) {
    kernels::Multiply({low_.data() + up.low_begin, weights_.max_low}, begin, end, up.b, 0,
                      up.b.num_panels(),
                      /*add=*/true, {out.data + up.out_begin, out.stride});
  }
  if (linear.bias.empty()) return;
  for (int64_t r = begin; r < end; ++r)
    kernels::Add(linear.bias.data(), static_cast<int64_t>(linear.bias.size()),
                 out.data + r * out.stride);
}

void Decoder::AddResidual(const Linear& linear, const std::vector<float>& norm, int64_t begin,
                          int64_t end) {
  const int64_t d = config_.hidden_size;
  AddRest(linear, begin, end, {out_RD_.data(), d});
  for (int64_t r = begin; r < end && !norm.empty(); ++r) {
    float* out = out_RD_.data() + r * d;
    kernels::RmsNorm(out, norm.data(), d, config_.rms_norm_eps, out);
  }
  kernels::Add(out_RD_.data() + begin * d, (end - begin) * d, hidden_RD_.data() + begin * d);
}

void Decoder::RotateAndStore(int64_t layer, const Row& row, float* qkv_P) {
  const int64_t e_size = config_.head_dim;
  const int64_t half = e_size / 2;
  const PackedLayer& w = weights_.layers[static_cast<size_t>(layer)];
  const Rotation& rotation = config_.IsSliding(layer) ? sliding_ : full_;
  const float* cos = rotation.cos_LF.data() + row.position * half;
  const float* sin = rotation.sin_LF.data() + row.position * half;
  for (int64_t h = 0; h < config_.num_heads + config_.num_kv_heads; ++h) {
    float* head = qkv_P + h * e_size;
    const std::vector<float>& norm = h < config_.num_heads ? w.q_norm : w.k_norm;
    if (!norm.empty()) kernels::RmsNorm(head, norm.data(), e_size, config_.rms_norm_eps, head);
    kernels::Rotate(cos, sin, half, head);
  }
  Cache& cache = caches_[static_cast<size_t>(layer)];
  for (int64_t k = 0; k < config_.num_kv_heads; ++k) {
    const float* key = qkv_P + config_.QueryDim() + k * e_size;
    const float* value = key + config_.KeyValueDim();
    const int64_t idx = row.slot * config_.num_kv_heads + k;
    float* keys = cache.keys.data() + idx * slot_keys_ +
                  row.position / kernels::kKeyBlock * kernels::kKeyBlock * e_size +
                  row.position % kernels::kKeyBlock;
    for (int64_t e = 0; e < e_size; ++e) keys[e * kernels::kKeyBlock] = key[e];
    std::copy_n(
        value, e_size,
        cache.values.data() + idx * slot_values_ + row.position * kernels::ValueStride(e_size));
  }
}

void Decoder::AttendAll(int64_t layer, std::span<const Row> rows) {
  const int64_t kv = config_.num_kv_heads;
  const int64_t group = config_.num_heads / kv;
  const int64_t e_size = config_.head_dim;
  const bool is_sliding = config_.IsSliding(layer);
  at::parallel_for(0, static_cast<int64_t>(rows.size()) * kv, 1, [&](int64_t begin, int64_t end) {
    const auto scratch = hwy::AllocateAligned<float>(
        static_cast<size_t>(kernels::AttendScratch(group, e_size, capacity_)));
    for (int64_t at = begin; at < end; ++at) {
      const int64_t r = at / kv;
      const int64_t k = at % kv;
      const Row& row = rows[static_cast<size_t>(r)];
      kernels::Sight sight;
      sight.length = row.position + 1;
      if (is_sliding) sight.first = std::max<int64_t>(0, sight.length - config_.sliding_window);
      sight.scale = static_cast<float>(config_.ScoreScale());
      sight.softcap = static_cast<float>(config_.attention_softcap);
      kernels::Attend(wide_.data() + r * wide_size_ + k * group * e_size, View(layer, row.slot, k),
                      group, e_size, sight, scratch.get(),
                      x_.data() + r * config_.QueryDim() + k * group * e_size);
      Round(x_.data() + r * config_.QueryDim() + k * group * e_size, r, k * group * e_size,
            group * e_size);
    }
  });
}

void Decoder::ApplyLayer(int64_t layer, std::span<const Row> rows) {
  const PackedLayer& w = weights_.layers[static_cast<size_t>(layer)];
  const auto num_rows = static_cast<int64_t>(rows.size());
  const int64_t d = config_.hidden_size;
  const int64_t f = config_.intermediate_size;
  const kernels::Rows wide{wide_.data(), wide_size_};
  const kernels::Rows out{out_RD_.data(), d};
  const auto norm = [&](const std::vector<float>& factor, int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      kernels::RmsNorm(hidden_RD_.data() + r * d, factor.data(), d, config_.rms_norm_eps,
                       x_.data() + r * d);
      Round(x_.data() + r * d, r, 0, d);
    }
  };
  model::ForRows(num_rows, [&](int64_t begin, int64_t end) {
    if (layer > 0) {
      const PackedLayer& before = weights_.layers[static_cast<size_t>(layer - 1)];
      AddResidual(before.down, before.mlp_out_norm, begin, end);
    }
    norm(w.attention_norm, begin, end);
  });
  ApplyBase(w.qkv, {x_.data(), d}, num_rows, wide);
  model::ForRows(num_rows, [&](int64_t begin, int64_t end) {
    AddRest(w.qkv, begin, end, wide);
    for (int64_t r = begin; r < end; ++r)
      RotateAndStore(layer, rows[static_cast<size_t>(r)], wide_.data() + r * wide_size_);
  });
  AttendAll(layer, rows);
  ApplyBase(w.o, {x_.data(), config_.QueryDim()}, num_rows, out);
  model::ForRows(num_rows, [&](int64_t begin, int64_t end) {
    AddResidual(w.o, w.attention_out_norm, begin, end);
    norm(w.mlp_norm, begin, end);
  });
  ApplyBase(w.gate_up, {x_.data(), d}, num_rows, wide);
  model::ForRows(num_rows, [&](int64_t begin, int64_t end) {
    AddRest(w.gate_up, begin, end, wide);
    for (int64_t r = begin; r < end; ++r) {
      float* gate = wide_.data() + r * wide_size_;
      if (config_.activation == model::Activation::kSilu) {
        kernels::SiluMultiply(gate, gate + f, f, gate);
      } else {
        kernels::GeluMultiply(gate, gate + f, f, gate);
      }
      Round(gate, r, 0, f);
    }
  });
  ApplyBase(w.down, {wide_.data(), wide_size_}, num_rows, out);
}

std::span<const float> Decoder::Run(std::span<const Row> rows, std::span<const int64_t> wanted) {
  const auto num_rows = static_cast<int64_t>(rows.size());
  const int64_t d = config_.hidden_size;
  JENNER_CHECK(num_rows <= kMaxRows);
  Grow(num_rows);
  const float* embedding_VD = weights_.embedding_VD.const_data_ptr<float>();
  const auto scale = static_cast<float>(config_.embedding_scale);
  for (int64_t r = 0; r < num_rows; ++r) {
    const float* from = embedding_VD + rows[static_cast<size_t>(r)].token * d;
    std::transform(from, from + d, hidden_RD_.data() + r * d,
                   [scale](float value) { return value * scale; });
  }
  for (int64_t i = 0; i < config_.num_layers; ++i) ApplyLayer(i, rows);
  const auto num_wanted = static_cast<int64_t>(wanted.size());
  if (num_wanted == 0) return {};
  // What the last layer left is added where the result goes on.
  const PackedLayer& last = weights_.layers.back();
  model::ForRows(num_rows, [&](int64_t begin, int64_t end) {
    AddResidual(last.down, last.mlp_out_norm, begin, end);
  });
  for (int64_t n = 0; n < num_wanted; ++n) {
    kernels::RmsNorm(hidden_RD_.data() + wanted[static_cast<size_t>(n)] * d,
                     weights_.final_norm.data(), d, config_.rms_norm_eps, x_.data() + n * d);
    Round(x_.data() + n * d, n, 0, d);
  }
  const int64_t vocab = config_.vocab_size;
  logits_.resize(static_cast<size_t>(num_wanted * vocab));
  const model::Product head{weights_.head.get(), {logits_.data(), vocab}};
  model::MultiplyAll({x_.data(), d}, {x16_.data(), x16_size_}, num_wanted, {&head, 1});
  if (config_.logit_softcap != 0) {
    model::ForRows(num_wanted, [&](int64_t begin, int64_t end) {
      kernels::Softcap(static_cast<float>(config_.logit_softcap), (end - begin) * vocab,
                       logits_.data() + begin * vocab);
    });
  }
  return logits_;
}

}  // namespace jenner::generate
