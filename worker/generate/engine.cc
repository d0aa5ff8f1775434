#include "worker/generate/engine.h"

#include <ATen/Parallel.h>

#include <algorithm>
#include <deque>
#include <map>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/status.h"
#include "worker/generate/decoder.h"
#include "worker/generate/sampler.h"
#include "worker/model/counter_rng.h"

namespace jenner::generate {
namespace {

constexpr uint64_t kSampleStream = 0x73616d706c65;  // "sample"
constexpr int64_t kMaxCacheBytes = int64_t{4} << 30;

struct Slot {
  bool active = false;
  int64_t length = 0;  // tokens in the cache
  int32_t next = 0;    // the newest token, not in the cache yet
  Answer answer;
};

// What the prompts of a group begin with: the first `length` tokens of `prompt`; each prompt has at
// least one more. It is in the cache, in `slot`.
struct Prefix {
  const std::vector<int32_t>* prompt = nullptr;
  int64_t length = 0;
  int64_t slot = 0;
};

// By group. Their slots are those from `first_slot` on.
std::map<size_t, Prefix> CommonPrefixes(const std::vector<Request>& requests, int64_t first_slot) {
  std::map<size_t, Prefix> prefixes;
  for (const Request& request : requests) {
    const std::vector<int32_t>& prompt = request.prompt;
    const auto most = static_cast<int64_t>(prompt.size()) - 1;
    const auto [at, is_new] = prefixes.try_emplace(request.group, Prefix{&prompt, most, 0});
    if (is_new) at->second.slot = first_slot++;
    Prefix& prefix = at->second;
    const auto begin = prefix.prompt->begin();
    const auto end = begin + std::min(prefix.length, most);
    prefix.length = std::mismatch(begin, end, prompt.begin()).first - begin;
  }
  return prefixes;
}

absl::Status CheckRequests(const std::vector<Request>& requests, const Options& options,
                           const model::ModelConfig& config) {
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

// One call of Generate.
class Generation {
 public:
  Generation(const Weights& weights, const std::vector<Request>& requests, const Options& options,
             const std::function<bool(Answer)>& on_answer, Totals* totals)
      : config_(weights.config),
        requests_(requests),
        options_(options),
        on_answer_(on_answer),
        totals_(*totals),
        ends_(options.end_token_ids.empty() ? config_.eos_token_ids : options.end_token_ids),
        waiting_(requests.size()),
        capacity_(
            std::min<int64_t>(Longest(requests) + options.max_new_tokens, config_.max_positions)),
        slots_(NumSlots(capacity_, requests.size(), options, config_)),
        prefixes_(CommonPrefixes(requests, static_cast<int64_t>(slots_.size()))),
        decoder_(weights, static_cast<int64_t>(slots_.size() + prefixes_.size()), capacity_) {
    std::iota(waiting_.begin(), waiting_.end(), size_t{0});
    // The longest first: the end of the run is short.
    std::stable_sort(waiting_.begin(), waiting_.end(), [&](size_t a, size_t b) {
      return requests_[a].prompt.size() > requests_[b].prompt.size();
    });
  }

  absl::Status Run() {
    FillPrefixes();
    for (;;) {
      // One token for each slot that has begun an answer, and the prompts of those that begin.
      std::vector<Row> rows;
      std::vector<size_t> owners;      // slots that get a token, and
      std::vector<int64_t> last_rows;  // of which row's logits
      for (size_t s = 0; s < slots_.size(); ++s) {
        if (!slots_[s].active && !Begin(s, &rows)) continue;
        if (slots_[s].length > 0) {
          rows.push_back({static_cast<int64_t>(s), slots_[s].length, slots_[s].next});
        }
        owners.push_back(s);
        last_rows.push_back(static_cast<int64_t>(rows.size()) - 1);
      }
      if (owners.empty()) return absl::OkStatus();
      ++totals_.steps;
      RETURN_IF_ERROR(Step(rows, owners, last_rows));
    }
  }

 private:
  static int64_t Longest(const std::vector<Request>& requests) {
    size_t longest = 0;
    for (const Request& request : requests) longest = std::max(longest, request.prompt.size());
    return static_cast<int64_t>(longest);
  }
  // As many as asked for and needed, fewer where their cache would be too large.
  static size_t NumSlots(int64_t capacity, size_t num_requests, const Options& options,
                         const model::ModelConfig& config) {
    const int64_t most = std::min<int64_t>(options.batch_size, static_cast<int64_t>(num_requests));
    const int64_t affordable = kMaxCacheBytes / Decoder::SlotBytes(config, capacity);
    return static_cast<size_t>(std::clamp<int64_t>(affordable, 1, most));
  }

  // What all prompts of a group begin with is computed once, in a slot of its own.
  void FillPrefixes() {
    std::vector<Row> rows;
    for (const auto& [group, prefix] : prefixes_)
      AddPrompt(prefix.slot, *prefix.prompt, 0, prefix.length, &rows);
    RunAll(rows, {}, [](size_t, std::span<const float>) {});
  }

  static void AddPrompt(int64_t slot, const std::vector<int32_t>& prompt, int64_t begin,
                        int64_t end, std::vector<Row>* rows) {
    for (int64_t i = begin; i < end; ++i)
      rows->push_back({slot, i, prompt[static_cast<size_t>(i)]});
  }

  // Gives a free slot to the next request, if any.
  bool Begin(size_t s, std::vector<Row>* rows) {
    if (waiting_.empty()) return false;
    const size_t request_idx = waiting_.front();
    waiting_.pop_front();
    const std::vector<int32_t>& prompt = requests_[request_idx].prompt;
    const auto length = static_cast<int64_t>(prompt.size());
    slots_[s] = Slot{true, 0, 0, {request_idx, {}, FinishReason::kStop}};
    totals_.prompt_tokens += length;
    const Prefix& prefix = prefixes_.at(requests_[request_idx].group);
    decoder_.CopyPrefix(prefix.slot, static_cast<int64_t>(s), prefix.length);
    AddPrompt(static_cast<int64_t>(s), prompt, prefix.length, length, rows);
    return true;
  }

  // Runs the rows in passes of at most kMaxRows; hands out the logits of the wanted ones, ascending
  // positions in `rows`, with their position in `wanted`, from several threads.
  template <typename Function>
  void RunAll(const std::vector<Row>& rows, const std::vector<int64_t>& wanted,
              const Function& function) {
    const auto vocab = static_cast<size_t>(config_.vocab_size);
    totals_.computed_tokens += static_cast<int64_t>(rows.size());
    size_t next = 0;
    for (size_t begin = 0; begin < rows.size(); begin += Decoder::kMaxRows) {
      const size_t count = std::min<size_t>(Decoder::kMaxRows, rows.size() - begin);
      std::vector<int64_t> here;
      const size_t first = next;
      for (; next < wanted.size() && wanted[next] < static_cast<int64_t>(begin + count); ++next)
        here.push_back(wanted[next] - static_cast<int64_t>(begin));
      const std::span<const float> logits_NV = decoder_.Run({rows.data() + begin, count}, here);
      at::parallel_for(0, static_cast<int64_t>(here.size()), 1, [&](int64_t from, int64_t to) {
        for (auto n = static_cast<size_t>(from); n < static_cast<size_t>(to); ++n)
          function(first + n, logits_NV.subspan(n * vocab, vocab));
      });
    }
  }

  absl::Status Step(const std::vector<Row>& rows, const std::vector<size_t>& owners,
                    const std::vector<int64_t>& last_rows) {
    std::vector<int32_t> tokens(owners.size(), kNoToken);
    RunAll(rows, last_rows, [&](size_t n, std::span<const float> logits_V) {
      const Answer& answer = slots_[owners[n]].answer;
      const Request& request = requests_[answer.request_idx];
      const uint64_t key = model::MakeKey({static_cast<uint64_t>(request.seed), kSampleStream,
                                           request.prompt_idx, request.sample_idx});
      tokens[n] =
          ChooseToken(logits_V, options_.temperature, options_.top_p, key, answer.token_ids.size());
    });
    for (size_t n = 0; n < owners.size(); ++n) {
      Slot& slot = slots_[owners[n]];
      slot.length = rows[static_cast<size_t>(last_rows[n])].position + 1;
      RETURN_IF_ERROR(Take(tokens[n], &slot));
    }
    return absl::OkStatus();
  }

  // The next token of a slot, which is free again when its answer is complete.
  absl::Status Take(int32_t token, Slot* slot) {
    Answer& answer = slot->answer;
    if (token == kNoToken) {
      return absl::FailedPreconditionError(
          absl::StrFormat("prompt %d: the model's logits are not numbers", answer.request_idx));
    }
    ++totals_.new_tokens;
    const bool stops = std::find(ends_.begin(), ends_.end(), token) != ends_.end();
    if (!stops) answer.token_ids.push_back(token);
    slot->next = token;
    const bool is_full = static_cast<int32_t>(answer.token_ids.size()) >= options_.max_new_tokens ||
                         slot->length + 1 >= config_.max_positions;
    if (!stops && !is_full) return absl::OkStatus();
    slot->active = false;
    answer.finish_reason = stops ? FinishReason::kStop : FinishReason::kLength;
    if (on_answer_(std::move(answer))) return absl::OkStatus();
    return absl::CancelledError("generation was stopped");
  }

  const model::ModelConfig& config_;
  const std::vector<Request>& requests_;
  const Options& options_;
  const std::function<bool(Answer)>& on_answer_;
  Totals& totals_;
  const std::vector<int64_t>& ends_;
  std::deque<size_t> waiting_;
  const int64_t capacity_;  // positions of a slot
  std::vector<Slot> slots_;
  const std::map<size_t, Prefix> prefixes_;
  Decoder decoder_;
};

}  // namespace

struct Engine::Impl {
  explicit Impl(const model::Transformer& l) : transformer(l) {}
  // Packs anew where the model has changed.
  const Weights& Fresh() {
    const model::LoraAdapter* adapter = transformer.active_adapter();
    if (!weights || version != transformer.version() || packed_adapter != adapter) {
      weights.reset();
      weights.emplace(transformer);
      version = transformer.version();
      packed_adapter = adapter;
    }
    return *weights;
  }
  const model::Transformer& transformer;
  std::optional<Weights> weights;
  uint64_t version = 0;
  const model::LoraAdapter* packed_adapter = nullptr;
  Totals totals;
};

Engine::Engine(const model::Transformer& transformer)
    : impl_(std::make_unique<Impl>(transformer)) {}
Engine::~Engine() = default;
const Totals& Engine::totals() const { return impl_->totals; }

std::vector<float> Engine::CachedLogits(const std::vector<int32_t>& tokens,
                                        size_t prefilled) const {
  JENNER_CHECK(prefilled >= 1 && prefilled <= tokens.size());
  const Weights& weights = impl_->Fresh();
  const auto vocab = static_cast<size_t>(weights.config.vocab_size);
  std::vector<float> logits(tokens.size() * vocab, 0.0f);
  Decoder decoder(weights, 1, static_cast<int64_t>(tokens.size()));
  std::vector<Row> rows;
  for (size_t i = 0; i < tokens.size(); ++i) {
    rows.push_back({0, static_cast<int64_t>(i), tokens[i]});
    const bool is_due = i + 1 >= prefilled;
    if (!is_due && rows.size() < Decoder::kMaxRows) continue;
    const std::vector<int64_t> wanted = {static_cast<int64_t>(rows.size()) - 1};
    const std::span<const float> logits_V = decoder.Run(rows, wanted);
    if (is_due) {
      std::copy(logits_V.begin(), logits_V.end(),
                logits.begin() + static_cast<std::ptrdiff_t>(i * vocab));
    }
    rows.clear();
  }
  return logits;
}

absl::Status Engine::Generate(const std::vector<Request>& requests, const Options& options,
                              const std::function<bool(Answer)>& on_answer) {
  RETURN_IF_ERROR(CheckRequests(requests, options, impl_->transformer.config()));
  impl_->totals = {};
  if (requests.empty()) return absl::OkStatus();
  return Generation(impl_->Fresh(), requests, options, on_answer, &impl_->totals).Run();
}

}  // namespace jenner::generate
