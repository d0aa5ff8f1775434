// Speed of LoRA training steps on a model of SmolLM2-135M's shape with random weights, against the
// limit that this machine's matrix products set at the same shapes, both measured in turn in one
// run. Prints one JSON object. Step seconds are of TrainLoop::Step: data order, forward, backward,
// clipping and AdamW; nothing else.
//   train_bench [--threads N] [--steps N] [--batch N] [--length N] [--dtype float32|bfloat16]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <ctime>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker/model/counter_rng.h"
#include "worker/model/transformer.h"
#include "worker/trainer/collective.h"
#include "worker/trainer/train_loop.h"

namespace jenner::trainer {
namespace {

using nlohmann::json;

struct Flags {
  int threads = 2;
  int steps = 5;
  int batch = 8;
  int length = 72;
  std::string dtype = "float32";
};

model::ModelConfig SmolShape() {
  model::ModelConfig c;
  c.vocab_size = 49152;
  c.hidden_size = 576;
  c.intermediate_size = 1536;
  c.num_layers = 30;
  c.num_heads = 9;
  c.num_kv_heads = 3;
  c.head_dim = 64;
  c.max_positions = 2048;
  c.rope.theta = 100000;
  c.tie_word_embeddings = true;
  c.eos_token_ids = {2};
  return c;
}

// Rows of length / 2 to 3 length / 2 tokens, the latter 60 % supervised.
std::vector<text::Example> Rows(const Flags& flags, int64_t vocab) {
  std::vector<text::Example> rows;
  for (uint64_t i = 0; i < static_cast<uint64_t>(flags.batch * flags.steps); ++i) {
    text::Example row;
    const auto length = static_cast<int32_t>(
        flags.length / 2 +
        static_cast<int>(model::RandomBits(1, i) % static_cast<uint64_t>(flags.length)));
    for (int32_t t = 0; t < length; ++t) {
      row.ids.push_back(static_cast<int32_t>(model::RandomBits(i + 2, static_cast<uint64_t>(t)) %
                                             static_cast<uint64_t>(vocab)));
    }
    row.supervised = {{length * 2 / 5, length}};
    row.num_supervised = length - length * 2 / 5;
    rows.push_back(std::move(row));
  }
  return rows;
}

double ProcessSeconds() {
  timespec now{};
  clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &now);
  return static_cast<double>(now.tv_sec) + 1e-9 * static_cast<double>(now.tv_nsec);
}

template <typename Call>
double Seconds(const Call& call) {
  const auto started = std::chrono::steady_clock::now();
  call();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
}

// FLOP/s of the forward and backward products of one block, [N, in] x [in, out], weights distinct.
class GemmLimit {
 public:
  GemmLimit(const model::ModelConfig& c, int64_t tokens, at::ScalarType type) {
    const int64_t shapes[4][2] = {{c.hidden_size, c.QueryDim() + 2 * c.KeyValueDim()},
                                  {c.QueryDim(), c.hidden_size},
                                  {c.hidden_size, 2 * c.intermediate_size},
                                  {c.intermediate_size, c.hidden_size}};
    for (const auto& shape : shapes) {
      x_.push_back(at::randn({tokens, shape[0]}).to(type));
      w_.push_back(at::randn({shape[1], shape[0]}).to(type));
      y_.push_back(at::empty({tokens, shape[1]}, type));
      flops_ += 4.0 * static_cast<double>(tokens * shape[0] * shape[1]);
    }
  }
  double Measure() {
    constexpr int kRepeats = 4;
    double best = 0;
    for (int i = 0; i < kRepeats; ++i) {
      const double seconds = Seconds([&] {
        for (size_t s = 0; s < x_.size(); ++s) {
          at::mm_out(y_[s], x_[s], w_[s].t());
          at::mm_out(x_[s], y_[s], w_[s]);
          x_[s].fill_(0.01);
        }
      });
      best = std::max(best, flops_ / seconds);
    }
    return best;
  }

 private:
  std::vector<at::Tensor> x_, w_, y_;
  double flops_ = 0;
};

// FLOPs of one step: frozen blocks forward and backward (2 + 2 a weight and token), adapters 6,
// head 2 + 2 on supervised tokens only. Attention and elementwise work count as nothing.
double StepFlops(const model::ModelConfig& c, const core::LoraSpec& lora, const StepResult& step) {
  double frozen = 0, adapter = 0;
  for (int t = 0; t < model::kNumTargets; ++t) {
    const auto target = static_cast<model::Target>(t);
    const auto in = static_cast<double>(model::TargetInput(c, target));
    const auto out = static_cast<double>(model::TargetOutput(c, target));
    frozen += in * out;
    adapter += lora.rank * (in + out);
  }
  const double blocks = static_cast<double>(c.num_layers) * (4 * frozen + 6 * adapter);
  return static_cast<double>(step.tokens) * blocks +
         4.0 * static_cast<double>(step.supervised_tokens * c.hidden_size * c.vocab_size);
}

json Spread(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  return {{"min", values.front()}, {"median", values[values.size() / 2]}, {"max", values.back()}};
}

json Run(const Flags& flags) {
  const model::ModelConfig config = SmolShape();
  const bool bf16 = flags.dtype == "bfloat16";
  const auto transformer =
      model::Transformer::Random(config, bf16 ? core::Dtype::kBfloat16 : core::Dtype::kFloat32, 1);
  core::TrainingSpec settings;
  settings.batch_size = flags.batch;
  transformer->AttachAdapter(transformer->NewAdapter(settings.lora, 1).value());
  const std::vector<text::Example> rows = Rows(flags, config.vocab_size);
  const auto collective = MakeSingleCollective();
  TrainLoop loop(settings, 1, &rows, transformer.get(), collective.get());
  GemmLimit fp32(config, int64_t{flags.batch} * flags.length, at::kFloat);
  GemmLimit half(config, int64_t{flags.batch} * flags.length, at::kBFloat16);
  std::vector<double> speeds, limits, half_limits, ratios, cpu;
  for (int64_t step = 0; step < loop.total_steps(); ++step) {
    const double before = fp32.Measure(), half_before = half.Measure();
    const double cpu_before = ProcessSeconds();
    const StepResult result = *loop.Step(step, false);
    const double cpu_seconds = ProcessSeconds() - cpu_before;
    if (step == 0) continue;  // allocations
    speeds.push_back(static_cast<double>(result.tokens) / result.seconds);
    limits.push_back(before / 1e9);
    half_limits.push_back(half_before / 1e9);
    ratios.push_back(StepFlops(config, settings.lora, result) / result.seconds /
                     (bf16 ? half_before : before));
    cpu.push_back(cpu_seconds / result.seconds);
  }
  return {{"shape", "SmolLM2-135M, random weights, LoRA rank 16 on all targets"},
          {"dtype", flags.dtype},
          {"threads", flags.threads},
          {"batch", flags.batch},
          {"mean_length", flags.length},
          {"tokens_per_second", Spread(speeds)},
          {"gemm_limit_gflops", {{"float32", Spread(limits)}, {"bfloat16", Spread(half_limits)}}},
          {"flops_model", "4 frozen + 6 adapter per token, 4 V D per supervised token"},
          {"ratio_to_gemm_limit", Spread(ratios)},
          // Of `threads`: less says that other processes had the machine.
          {"cpu_seconds_per_second", Spread(cpu)}};
}

}  // namespace
}  // namespace jenner::trainer

int main(int argc, char** argv) {
  jenner::trainer::Flags flags;
  CLI::App app{"Training speed against the limit of matrix products"};
  app.add_option("--threads", flags.threads)->check(CLI::Range(1, 256));
  app.add_option("--steps", flags.steps)->check(CLI::Range(2, 1000));
  app.add_option("--batch", flags.batch)->check(CLI::Range(1, 256));
  app.add_option("--length", flags.length)->check(CLI::Range(8, 1024));
  app.add_option("--dtype", flags.dtype)->check(CLI::IsMember({"float32", "bfloat16"}));
  CLI11_PARSE(app, argc, argv);
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  at::set_num_threads(flags.threads);
  std::cout << jenner::trainer::Run(flags).dump(1) << "\n";
}
