// Speed of generation: reads {"model": folder, "prompts": [[id, ...], ...], "max_new_tokens": n,
// "batch_size": n, "threads": n, "repeats": n} from standard input and, per repeat, writes one JSON
// line
// {"seconds", "new_tokens", "answers": [[id, ...], ...]} (greedy, float32). tests/bench/generation
// drives it beside transformers.
#include <ATen/Parallel.h>
#include <malloc.h>

#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker/generate/engine.h"
#include "worker/model/llama.h"

namespace jenner {
namespace {

using nlohmann::json;

int Run() {
  json input;
  std::cin >> input;  // reads no further than the object
  at::set_num_threads(input.at("threads"));
  const auto llama = model::Llama::Load(input.at("model"), core::Dtype::kFloat32);
  if (!llama.ok()) {
    std::cerr << llama.status() << "\n";
    return 1;
  }
  std::vector<generate::Request> requests;
  for (const json& prompt : input.at("prompts")) {
    requests.push_back({prompt.get<std::vector<int32_t>>(), 0, requests.size(), 0, 0});
  }
  generate::Options options;
  options.max_new_tokens = input.at("max_new_tokens");
  options.batch_size = input.at("batch_size");
  generate::Engine engine(**llama);
  // A line from the caller starts each repeat: both sides take turns on the same machine.
  for (std::string line; std::getline(std::cin, line) && line != "end";) {
    if (line.empty()) continue;
    std::vector<std::vector<int32_t>> answers(requests.size());
    const auto started = std::chrono::steady_clock::now();
    const absl::Status status = engine.Generate(requests, options, [&](generate::Answer answer) {
      answers[answer.request_idx] = std::move(answer.token_ids);
      return true;
    });
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    if (!status.ok()) {
      std::cerr << status << "\n";
      return 1;
    }
    std::cout << json{{"seconds", seconds},
                      {"new_tokens", engine.totals().new_tokens},
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
