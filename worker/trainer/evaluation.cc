#include "worker/trainer/evaluation.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <map>
#include <tuple>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/traits.h"
#include "worker/generate/engine.h"
#include "worker/model/counter_rng.h"
#include "worker/score/scorer.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/forced.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;
using nlohmann::json;

// Each step and context has a stream of its own, in each set.
int64_t SamplingSeed(int64_t seed, int64_t step, const std::string& set,
                     const std::string& context) {
  const auto first = static_cast<uint64_t>(seed);
  const uint64_t stream = model::NameKey("sampling"), at = static_cast<uint64_t>(step);
  const uint64_t key =
      set == core::kMainSet
          ? model::MakeKey({first, stream, at, model::NameKey(context)})
          : model::MakeKey({first, stream, at, model::NameKey(context), model::NameKey(set)});
  return static_cast<int64_t>(key >> 1);
}

json ScoreOf(double score) { return std::isnan(score) ? json(nullptr) : json(score); }

// What is known of one context's part while it is answered.
struct Tally {
  size_t num_samples = 0;
  size_t num_waiting = 0;
  int64_t new_tokens = 0;
};

// The answers to a unit of rows, until the last of them is there and all can be scored.
struct UnitAnswers {
  struct One {
    size_t row = 0;
    std::string text;
    size_t num_tokens = 0;
    bool has_stopped = false;
  };
  std::vector<One> answers;
  size_t num_waiting = 0;
};

// One set at one step on one rank.
class SetEvaluation {
 public:
  SetEvaluation(const Inputs& inputs, const EvaluationSet& set, int64_t step, int rank,
                int world_size, EventWriter* events)
      : inputs_(inputs),
        set_(set),
        step_(step),
        events_(*events),
        tallies_(set.spec.contexts.size()) {
    for (const score::Scorer& scorer : set.scorers) {
      has_judge_ = has_judge_ || scorer.kind().judge != core::Takes::kNo;
    }
    for (size_t row = 0; row < set.rows.size(); ++row) {
      if (set.unit_of_row[row] % static_cast<size_t>(world_size) == static_cast<size_t>(rank)) {
        rows_.push_back(row);
      }
    }
  }

  // False: `stop` said so.
  bool Run(const model::Transformer& transformer, generate::Engine* engine,
           const std::function<bool()>& stop) {
    const auto per_row = static_cast<size_t>(set_.spec.samples);
    for (Tally& tally : tallies_) {
      tally.num_samples = tally.num_waiting = rows_.size() * per_row;
    }
    for (size_t c = 0; c < tallies_.size(); ++c) {
      if (rows_.empty()) TellEnd(c);
    }
    switch (set_.spec.mode) {
      case core::EvaluationMode::kGenerate:
        return Generate(engine, stop);
      case core::EvaluationMode::kLogProbability:
        return Given(stop, [&](size_t c) { TellLogProbabilities(transformer, c); });
      case core::EvaluationMode::kClassify:
        return Given(stop, [&](size_t c) { TellChoices(transformer, c); });
    }
    return true;
  }

 private:
  // This rank's part, all contexts together: one a row and sample, in this order.
  std::vector<generate::Request> Requests() const {
    std::vector<generate::Request> requests;
    for (size_t c = 0; c < set_.prompts.size(); ++c) {
      const int64_t seed =
          SamplingSeed(inputs_.job.seed, step_, set_.spec.name, set_.spec.contexts[c].name);
      for (const size_t row : rows_) {
        for (int32_t sample = 0; sample < set_.spec.samples; ++sample)
          requests.push_back({set_.prompts[c][row], seed, row, static_cast<uint64_t>(sample), c});
      }
    }
    return requests;
  }

  bool Generate(generate::Engine* engine, const std::function<bool()>& stop) {
    requests_ = Requests();
    for (const size_t row : rows_) ++rows_of_unit_[set_.unit_of_row[row]];
    generate::Options options;
    options.max_new_tokens = set_.spec.max_new_tokens;
    options.temperature = set_.spec.temperature;
    options.top_p = set_.spec.top_p;
    options.batch_size = inputs_.job.evaluation->batch_size;
    for (const int32_t id : inputs_.tokenizer.eos_ids()) options.end_token_ids.push_back(id);
    const absl::Status status =
        engine->Generate(requests_, options, [&](const generate::Answer& answer) {
          Take(answer);
          return !stop();
        });
    if (absl::IsCancelled(status)) return false;
    ThrowIfError(status, absl::IsFailedPrecondition(status) ? ExitCode::kNonFiniteLoss
                                                            : ExitCode::kInternal);
    return true;
  }

  // Keeps an answer; with the last one of its unit, all of them are scored and told.
  void Take(const generate::Answer& answer) {
    const generate::Request& request = requests_[answer.request_idx];
    const size_t unit = set_.unit_of_row[request.prompt_idx];
    const auto [at, is_new] =
        units_.try_emplace(std::make_tuple(request.group, unit, request.sample_idx));
    if (is_new) at->second.num_waiting = rows_of_unit_.at(unit);
    const bool has_stopped = answer.finish_reason == generate::FinishReason::kStop;
    at->second.answers.push_back(
        {request.prompt_idx,
         ValueOrThrow(inputs_.tokenizer.Decode(answer.token_ids, /*skip_special=*/true),
                      ExitCode::kInternal),
         answer.token_ids.size(), has_stopped});
    tallies_[request.group].new_tokens +=
        static_cast<int64_t>(answer.token_ids.size()) + (has_stopped ? 1 : 0);
    if (--at->second.num_waiting > 0) return;
    TellUnit(request.group, request.sample_idx, std::move(at->second));
    units_.erase(at);
  }

  void TellUnit(size_t context, uint64_t sample_idx, UnitAnswers unit) {
    std::sort(unit.answers.begin(), unit.answers.end(),
              [](const auto& a, const auto& b) { return a.row < b.row; });
    std::vector<score::Answer> answers;
    for (const UnitAnswers::One& one : unit.answers) {
      answers.push_back({&set_.rows[one.row], one.text});
    }
    std::vector<json> scores(answers.size(), json::object());
    for (const score::Scorer& scorer : set_.scorers) {
      const std::vector<double> values = ValueOrThrow(scorer.Score(answers), ExitCode::kInternal);
      for (size_t i = 0; i < values.size(); ++i) scores[i][scorer.spec().name] = ScoreOf(values[i]);
    }
    for (size_t i = 0; i < unit.answers.size(); ++i) {
      const UnitAnswers::One& one = unit.answers[i];
      const bool is_degenerate =
          ValueOrThrow(score::Score("degenerate", one.text), ExitCode::kInternal) == 1;
      Tell(context, {one.row, sample_idx, one.text, one.num_tokens,
                     one.has_stopped ? "stop" : "length", scores[i], is_degenerate});
    }
  }

  struct Told {
    size_t row = 0;
    uint64_t sample_idx = 0;
    std::string answer;
    size_t num_tokens = 0;
    const char* finish_reason = "";
    json scores;
    bool is_degenerate = false;
  };

  void Tell(size_t context, const Told& told) {
    json sample = {{"step", step_},
                   {"prompt_set", set_.spec.name},
                   {"context", set_.spec.contexts[context].name},
                   {"prompt_id", set_.rows[told.row].id},
                   {"sample_idx", told.sample_idx},
                   {"answer", told.answer},
                   {"num_tokens", told.num_tokens},
                   {"finish_reason", told.finish_reason},
                   {"degenerate", told.is_degenerate},
                   {"scores", told.scores}};
    if (has_judge_) {
      sample["prompt"] = absl::StrReplaceAll(set_.rows[told.row].messages.back().content,
                                             {{core::kSlotMarker, ""}});
    }
    events_.Write("sample", std::move(sample));
    if (--tallies_[context].num_waiting == 0) TellEnd(context);
  }

  void TellEnd(size_t context) {
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - started_).count();
    const Tally& tally = tallies_[context];
    events_.Write("evaluation", {{"step", step_},
                                 {"prompt_set", set_.spec.name},
                                 {"context", set_.spec.contexts[context].name},
                                 {"num_samples", tally.num_samples},
                                 {"seconds", seconds},
                                 {"tokens_per_second", static_cast<double>(tally.new_tokens) /
                                                           std::max(seconds, 1e-9)}});
  }

  template <typename TellContext>
  bool Given(const std::function<bool()>& stop, const TellContext& tell_context) {
    for (size_t c = 0; c < tallies_.size(); ++c) {
      if (!rows_.empty()) tell_context(c);
      if (stop()) return false;
    }
    return true;
  }

  void TellLogProbabilities(const model::Transformer& transformer, size_t context) {
    std::vector<const text::Example*> examples;
    for (const size_t row : rows_) examples.push_back(&set_.examples[context][row]);
    const std::vector<std::vector<double>> all = TokenLogProbabilities(transformer, examples);
    for (size_t i = 0; i < rows_.size(); ++i) {
      double sum = 0;
      for (const double value : all[i]) sum += value;
      if (!std::isfinite(sum)) {
        throw Failure(ExitCode::kNonFiniteLoss,
                      absl::StrFormat("step %d: row \"%s\" has a log probability that is no number",
                                      step_, set_.rows[rows_[i]].id));
      }
      json scores = json::object();
      for (const std::string& trait : set_.spec.traits) {
        const bool is_mean = trait == core::kLogProbabilityTrait;
        scores[trait] = is_mean ? sum / static_cast<double>(all[i].size()) : sum;
      }
      Tell(context, {rows_[i], 0, set_.rows[rows_[i]].messages.back().content, all[i].size(),
                     "given", std::move(scores), false});
    }
  }

  void TellChoices(const model::Transformer& transformer, size_t context) {
    std::vector<const std::vector<int32_t>*> prompts;
    for (const size_t row : rows_) prompts.push_back(&set_.prompts[context][row]);
    const std::vector<size_t> chosen = Classify(transformer, prompts, set_.choice_ids);
    for (size_t i = 0; i < rows_.size(); ++i) {
      const std::string& choice = set_.spec.choices[chosen[i]];
      const bool is_correct = choice == *AnswerOf(set_.rows[rows_[i]]);
      Tell(context,
           {rows_[i], 0, choice, 1, "choice", {{core::kCorrectTrait, is_correct ? 1 : 0}}, false});
    }
  }

  const Inputs& inputs_;
  const EvaluationSet& set_;
  int64_t step_;
  EventWriter& events_;
  std::vector<size_t> rows_;  // this rank's
  bool has_judge_ = false;    // the agent asks one about the answers: it is told the task, too
  std::vector<generate::Request> requests_;
  std::vector<Tally> tallies_;  // by context
  std::map<size_t, size_t> rows_of_unit_;
  // By context, unit and sample.
  std::map<std::tuple<size_t, size_t, uint64_t>, UnitAnswers> units_;
  std::chrono::steady_clock::time_point started_ = std::chrono::steady_clock::now();
};

}  // namespace

bool Evaluate(const Inputs& inputs, const model::Transformer& transformer, int64_t step, int rank,
              int world_size, const std::function<bool()>& stop, EventWriter* events) {
  if (stop()) return false;
  generate::Engine engine(transformer);
  for (const EvaluationSet& set : inputs.sets) {
    SetEvaluation evaluation(inputs, set, step, rank, world_size, events);
    if (!evaluation.Run(transformer, &engine, stop)) return false;
  }
  return true;
}

}  // namespace jenner::trainer
