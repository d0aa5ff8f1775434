// Speed of greedy generation: reads {"model": folder, "prompts": [[id, ...], ...],
// "max_new_tokens": n, "batch_size": n, "threads": n, "dtype": "float32" or "bfloat16"} from
// standard input. Per further line it answers all prompts and writes one JSON line {"seconds",
// "new_tokens", "gflops" (products of weights only, LoRA and attention not counted), "limit_gflops"
// (what the library's product of large matrices of that type reaches just before),
// "answers": [[id, ...], ...]}. tests/bench/generation drives it beside transformers.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <malloc.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker/generate/engine.h"
#include "worker/model/transformer.h"

namespace jenner {
namespace {

using nlohmann::json;

double Seconds(std::chrono::steady_clock::time_point since) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - since).count();
}

// The best of some products of square matrices, GFLOP/s.
double MeasureLimit(at::ScalarType dtype) {
  constexpr int64_t kSize = 1536;
  const at::Tensor a = at::ones({kSize, kSize}, dtype);
  const at::Tensor b = at::ones({kSize, kSize}, dtype);
  double best = 0;
  for (int i = 0; i < 6; ++i) {
    const auto started = std::chrono::steady_clock::now();
    const at::Tensor c = at::linear(a, b);
    best = std::max(best, 2e-9 * kSize * kSize * kSize / Seconds(started));
  }
  return best;
}

// Operations of the weights' products for one token, in the layers and in the head.
double LayerFlops(const model::ModelConfig& c) {
  const int64_t attention = c.hidden_size * (2 * c.QueryDim() + 2 * c.KeyValueDim());
  return 2.0 * static_cast<double>(c.num_layers) *
         static_cast<double>(attention + 3 * c.hidden_size * c.intermediate_size);
}
double HeadFlops(const model::ModelConfig& c) {
  return 2.0 * static_cast<double>(c.hidden_size) * static_cast<double>(c.vocab_size);
}

int Run() {
  json input;
  std::cin >> input;  // reads no further than the object
  at::set_num_threads(input.at("threads"));
  const bool is_float = input.at("dtype") == "float32";
  const auto transformer = model::Transformer::Load(
      input.at("model"), is_float ? core::Dtype::kFloat32 : core::Dtype::kBfloat16);
  if (!transformer.ok()) {
    std::cerr << transformer.status() << "\n";
    return 1;
  }
  std::vector<generate::Request> requests;
  for (const json& prompt : input.at("prompts")) {
    requests.push_back({prompt.get<std::vector<int32_t>>(), 0, requests.size(), 0, 0});
  }
  generate::Options options;
  options.max_new_tokens = input.at("max_new_tokens");
  options.batch_size = input.at("batch_size");
  generate::Engine engine(**transformer);
  // A line from the caller starts each repeat: both sides take turns on the same machine.
  for (std::string line; std::getline(std::cin, line) && line != "end";) {
    if (line.empty()) continue;
    const double limit = MeasureLimit(is_float ? at::kFloat : at::kBFloat16);
    std::vector<std::vector<int32_t>> answers(requests.size());
    const auto started = std::chrono::steady_clock::now();
    const absl::Status status = engine.Generate(requests, options, [&](generate::Answer answer) {
      answers[answer.request_idx] = std::move(answer.token_ids);
      return true;
    });
    const double seconds = Seconds(started);
    if (!status.ok()) {
      std::cerr << status << "\n";
      return 1;
    }
    const generate::Totals& totals = engine.totals();
    const model::ModelConfig& config = (*transformer)->config();
    const double flops = LayerFlops(config) * static_cast<double>(totals.computed_tokens) +
                         HeadFlops(config) * static_cast<double>(totals.new_tokens);
    std::cout << json{{"seconds", seconds},
                      {"new_tokens", totals.new_tokens},
                      {"gflops", flops * 1e-9 / seconds},
                      {"limit_gflops", limit},
                      {"answers", answers}}
                     .dump()
              << std::endl;
  }
  return 0;
}

}  // namespace
}  // namespace jenner

int main() {
  // As the trainer: freed tensors stay with the process.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  return jenner::Run();
}
