#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>
#include <vector>

#include "worker/generate/engine.h"
#include "worker/model/counter_rng.h"
#include "worker/score/scorer.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

// Each step and context has a stream of its own.
int64_t SamplingSeed(int64_t seed, int64_t step, const std::string& context) {
  const uint64_t key = model::MakeKey({static_cast<uint64_t>(seed), model::NameKey("sampling"),
                                       static_cast<uint64_t>(step), model::NameKey(context)});
  return static_cast<int64_t>(key >> 1);
}

json ScoresOf(const std::vector<std::string>& traits, const std::string& answer) {
  json scores = json::object();
  for (const std::string& trait : traits) {
    const double score = ValueOrThrow(score::Score(trait, answer), ExitCode::kInternal);
    if (std::isnan(score)) {
      scores[trait] = nullptr;
    } else {
      scores[trait] = static_cast<int>(score);
    }
  }
  return scores;
}

std::vector<generate::Request> RequestsOf(const PromptSet& set, int32_t samples, int rank,
                                          int world_size) {
  std::vector<generate::Request> requests;
  for (size_t i = static_cast<size_t>(rank); i < set.ids.size();
       i += static_cast<size_t>(world_size)) {
    for (int32_t sample = 0; sample < samples; ++sample) {
      requests.push_back({set.ids[i], i, static_cast<uint64_t>(sample)});
    }
  }
  return requests;
}

}  // namespace

bool Evaluate(const Inputs& inputs, const model::Llama& llama, int64_t step, int rank,
              int world_size, const std::function<bool()>& stop, EventWriter* events) {
  const core::JobEvaluation& evaluation = *inputs.job.evaluation;
  generate::Engine engine(llama);
  for (const PromptSet& set : inputs.prompts) {
    if (stop()) return false;
    const auto started = std::chrono::steady_clock::now();
    const std::vector<generate::Request> requests =
        RequestsOf(set, evaluation.samples, rank, world_size);
    generate::Options options;
    options.max_new_tokens = evaluation.max_new_tokens;
    options.temperature = evaluation.temperature;
    options.top_p = evaluation.top_p;
    options.seed = SamplingSeed(inputs.job.seed, step, set.context);
    options.batch_size = evaluation.batch_size;
    for (const int32_t id : inputs.tokenizer.eos_ids()) options.end_token_ids.push_back(id);
    const auto on_answer = [&](const generate::Answer& answer) {
      const generate::Request& request = requests[answer.request_idx];
      const std::string text = ValueOrThrow(
          inputs.tokenizer.Decode(answer.token_ids, /*skip_special=*/true), ExitCode::kInternal);
      events->Write("sample",
                    {{"step", step},
                     {"context", set.context},
                     {"prompt_id", inputs.prompt_ids[request.prompt_idx]},
                     {"sample_idx", request.sample_idx},
                     {"answer", text},
                     {"num_tokens", answer.token_ids.size()},
                     {"finish_reason",
                      answer.finish_reason == generate::FinishReason::kStop ? "stop" : "length"},
                     {"scores", ScoresOf(evaluation.traits, text)}});
      return !stop();
    };
    if (!requests.empty()) {
      const absl::Status status = engine.Generate(requests, options, on_answer);
      if (absl::IsCancelled(status)) return false;
      ThrowIfError(status, ExitCode::kInternal);
    }
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started).count();
    const int64_t new_tokens = requests.empty() ? 0 : engine.totals().new_tokens;
    events->Write("evaluation", {{"step", step},
                                 {"context", set.context},
                                 {"num_samples", requests.size()},
                                 {"seconds", seconds},
                                 {"tokens_per_second",
                                  static_cast<double>(new_tokens) / std::max(seconds, 1e-9)}});
  }
  return true;
}

}  // namespace jenner::trainer
