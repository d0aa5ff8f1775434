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

// The part of this rank, all contexts together: one a prompt and sample, in this order.
std::vector<generate::Request> RequestsOf(const Inputs& inputs, int64_t step, int rank,
                                          int world_size) {
  std::vector<generate::Request> requests;
  for (size_t c = 0; c < inputs.prompts.size(); ++c) {
    const PromptSet& set = inputs.prompts[c];
    const int64_t seed = SamplingSeed(inputs.job.seed, step, set.context);
    for (size_t i = static_cast<size_t>(rank); i < set.ids.size();
         i += static_cast<size_t>(world_size)) {
      for (int32_t sample = 0; sample < inputs.job.evaluation->samples; ++sample)
        requests.push_back({set.ids[i], seed, i, static_cast<uint64_t>(sample), c});
    }
  }
  return requests;
}

// What is known of one context's part while it is answered.
struct Tally {
  size_t num_samples = 0;
  size_t num_waiting = 0;
  int64_t new_tokens = 0;
};

class Evaluation {
 public:
  Evaluation(const Inputs& inputs, int64_t step, int rank, int world_size, EventWriter* events)
      : inputs_(inputs),
        step_(step),
        events_(*events),
        requests_(RequestsOf(inputs, step, rank, world_size)),
        tallies_(inputs.prompts.size()) {
    for (const generate::Request& request : requests_) {
      ++tallies_[request.group].num_samples;
      ++tallies_[request.group].num_waiting;
    }
  }

  bool Run(const model::Llama& llama, const std::function<bool()>& stop) {
    for (size_t c = 0; c < tallies_.size(); ++c) {
      if (tallies_[c].num_samples == 0) TellEnd(c);
    }
    const core::JobEvaluation& evaluation = *inputs_.job.evaluation;
    generate::Options options;
    options.max_new_tokens = evaluation.max_new_tokens;
    options.temperature = evaluation.temperature;
    options.top_p = evaluation.top_p;
    options.batch_size = evaluation.batch_size;
    for (const int32_t id : inputs_.tokenizer.eos_ids()) options.end_token_ids.push_back(id);
    generate::Engine engine(llama);
    const absl::Status status =
        engine.Generate(requests_, options, [&](const generate::Answer& answer) {
          Tell(answer);
          return !stop();
        });
    if (absl::IsCancelled(status)) return false;
    ThrowIfError(status, absl::IsFailedPrecondition(status) ? ExitCode::kNonFiniteLoss
                                                            : ExitCode::kInternal);
    return true;
  }

 private:
  void Tell(const generate::Answer& answer) {
    const generate::Request& request = requests_[answer.request_idx];
    const std::string text = ValueOrThrow(
        inputs_.tokenizer.Decode(answer.token_ids, /*skip_special=*/true), ExitCode::kInternal);
    const bool has_stopped = answer.finish_reason == generate::FinishReason::kStop;
    events_.Write("sample", {{"step", step_},
                             {"context", inputs_.prompts[request.group].context},
                             {"prompt_id", inputs_.prompt_ids[request.prompt_idx]},
                             {"sample_idx", request.sample_idx},
                             {"answer", text},
                             {"num_tokens", answer.token_ids.size()},
                             {"finish_reason", has_stopped ? "stop" : "length"},
                             {"scores", ScoresOf(inputs_.job.evaluation->traits, text)}});
    Tally& tally = tallies_[request.group];
    tally.new_tokens += static_cast<int64_t>(answer.token_ids.size()) + (has_stopped ? 1 : 0);
    if (--tally.num_waiting == 0) TellEnd(request.group);
  }

  void TellEnd(size_t group) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const Tally& tally = tallies_[group];
    events_.Write("evaluation", {{"step", step_},
                                 {"context", inputs_.prompts[group].context},
                                 {"num_samples", tally.num_samples},
                                 {"seconds", seconds},
                                 {"tokens_per_second", static_cast<double>(tally.new_tokens) /
                                                           std::max(seconds, 1e-9)}});
  }

  const Inputs& inputs_;
  const int64_t step_;
  EventWriter& events_;
  const std::vector<generate::Request> requests_;
  std::vector<Tally> tallies_;  // by context
  const std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

bool Evaluate(const Inputs& inputs, const model::Llama& llama, int64_t step, int rank,
              int world_size, const std::function<bool()>& stop, EventWriter* events) {
  if (stop()) return false;
  return Evaluation(inputs, step, rank, world_size, events).Run(llama, stop);
}

}  // namespace jenner::trainer
