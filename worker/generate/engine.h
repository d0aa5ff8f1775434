// Engine: batched answers from a Transformer with its active adapter, unmerged. Continuous batching
// over a static cache of keys and values: as an answer ends, the next prompt takes its slot.
//
// Contract: an answer is a function of (weights, adapter, prompt, options that are not limits,
// keys) alone. Logits are bitwise equal whatever else is in the batch, however many rows it has and
// however many threads work: each row of every product is summed in one fixed order (kernels.h).
// They may differ between kinds of CPU (instruction set) in the last bits.
#ifndef JENNER_WORKER_GENERATE_ENGINE_H_
#define JENNER_WORKER_GENERATE_ENGINE_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "worker/model/transformer.h"

namespace jenner::generate {

struct Request {
  std::vector<int32_t> prompt;  // token ids, not empty
  // Keys of the random numbers: equal keys and prompt give an equal answer.
  int64_t seed = 0;
  uint64_t prompt_idx = 0;
  uint64_t sample_idx = 0;
  // Requests of a group begin alike (one context): what all of them begin with is computed once.
  // Changes no answer.
  size_t group = 0;
};

enum class FinishReason {
  kStop,    // an end token was produced; it is not part of the answer
  kLength,  // max_new_tokens, or the model's last position, was reached
};

struct Answer {
  size_t request_idx = 0;          // into the requests given to Generate
  std::vector<int32_t> token_ids;  // without the end token
  FinishReason finish_reason = FinishReason::kStop;
};

struct Options {
  int32_t max_new_tokens = 64;         // >= 1
  double temperature = 0;              // 0: greedy (lowest id wins a tie)
  double top_p = 1;                    // (0, 1]
  std::vector<int64_t> end_token_ids;  // empty: the model's own
  // Limits; they change speed and memory, no answer.
  int32_t batch_size = 32;  // sequences decoded together; fewer where their cache would take 4 GiB
};

struct Totals {
  int64_t prompt_tokens = 0;
  int64_t new_tokens = 0;       // end tokens included
  int64_t computed_tokens = 0;  // that went through the layers; shared beginnings count once
  int64_t steps = 0;
};

// Not thread-safe. Holds a packed copy of the weights (as large as they are; bfloat16 if the
// model's dtype is), made when it is first needed and anew where the model has changed since.
class Engine {
 public:
  // `transformer` must outlive the engine.
  explicit Engine(const model::Transformer& transformer);
  ~Engine();

  // Answers every request; `on_answer` is called once each, in order of completion. If it returns
  // false, generation stops early (a termination signal) and the result is Cancelled.
  // InvalidArgument (before any work): options out of range, an empty prompt, an id outside the
  // vocabulary, a prompt that leaves no position for an answer. FailedPrecondition: logits that are
  // not numbers.
  absl::Status Generate(const std::vector<Request>& requests, const Options& options,
                        const std::function<bool(Answer)>& on_answer);

  // Of the last Generate.
  const Totals& totals() const;

  // Logits [T, V] after each token of `tokens`, row-major: the first `prefilled` tokens as a
  // prompt, the others decoded one by one. For tests of cached decoding against the full forward
  // pass. REQUIRES: 1 <= prefilled <= tokens.size(). Rows before prefilled - 1 are zero.
  std::vector<float> CachedLogits(const std::vector<int32_t>& tokens, size_t prefilled) const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace jenner::generate

#endif  // JENNER_WORKER_GENERATE_ENGINE_H_
