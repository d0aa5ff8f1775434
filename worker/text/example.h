// From a row of a dataset to what a model trains on or answers: the context is put around the task,
// the chat template renders it, the tokenizer encodes it, and the supervised tokens are found. Says
// which tokens count; the loss itself is worker/trainer's.
#ifndef JENNER_WORKER_TEXT_EXAMPLE_H_
#define JENNER_WORKER_TEXT_EXAMPLE_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset.h"
#include "core/spec.h"
#include "worker/text/chat_template.h"
#include "worker/text/conversation.h"
#include "worker/text/tokenizer.h"

namespace jenner::text {

// Positions [begin, end) in Example::ids; begin < end.
struct TokenRange {
  int32_t begin = 0;
  int32_t end = 0;
  bool operator==(const TokenRange&) const = default;
};

struct Example {
  std::vector<int32_t> ids;
  // The supervised tokens: of each assistant turn the content and the end-of-turn token, neither
  // the header before nor what the template writes after. In order, not overlapping, never empty,
  // never position 0. The loss at position t is that of predicting ids[t] from ids[0, t).
  std::vector<TokenRange> supervised;
  int32_t num_supervised = 0;  // tokens in `supervised`
  // One a supervised token, in order, > 0: how much the loss counts it. Empty: 1 each. Tokens of
  // weight 0 are not in `supervised`.
  std::vector<float> weights;
  bool truncated = false;  // the row was longer than max_length; its front was kept
};

// The training example of `row` in `context` (without variants), of at most `max_length` tokens.
// REQUIRES: max_length
// >= 2. All errors name the row. InvalidArgument:
//  - the template refuses the messages, or they are not UTF-8;
//  - the template is not prefix-stable: it renders the beginning of a conversation differently once
//    there is more of it (some drop earlier reasoning), so supervised text cannot be located;
//  - an assistant turn ends in none of the tokenizer's eos_ids();
//  - ApplyContext refuses the row in the context;
//  - a part of an assistant turn has a weight, and the template does not render its content as it
//  is;
//  - no supervised token is left within max_length.
// ResourceExhausted: the template ran for too long or wrote too much.
absl::StatusOr<Example> MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                    const core::Row& row, const core::Context& context,
                                    int32_t max_length);

// The prompt that asks the model to answer `row` in `context`: the ids of its messages and of the
// beginning of an assistant turn. Not truncated, never empty. Errors as above, where they apply;
// InvalidArgument also if the template renders no token.
absl::StatusOr<std::vector<int32_t>> MakePrompt(const Tokenizer& tokenizer,
                                                const ChatTemplate& chat_template,
                                                const core::Row& row, const core::Context& context);

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_EXAMPLE_H_
