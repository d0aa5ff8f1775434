#include "worker/text/example.h"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "core/check.h"
#include "core/status.h"

namespace jenner::text {
namespace {

size_t IndexInRow(const Conversation& conversation, size_t message_idx) {
  return message_idx - conversation.first_of_row + conversation.num_skipped;
}

// Bytes [begin, end) of the rendered text: what an assistant turn adds after its header.
struct TurnText {
  size_t begin = 0;
  size_t end = 0;
  size_t message_idx = 0;  // of the messages that were rendered
};

// Where the row's assistant turns are in `rendered`, the text of all messages. The text of a turn
// is what is added to the conversation before it with a generation prompt.
absl::StatusOr<std::vector<TurnText>> FindAssistantTurns(const ChatTemplate& chat_template,
                                                         const Conversation& conversation,
                                                         const std::string& rendered) {
  std::vector<TurnText> turns;
  const std::vector<core::Message>& messages = conversation.messages;
  for (size_t i = conversation.first_of_row; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    ASSIGN_OR_RETURN(const std::string header, RenderFront(chat_template, conversation, i, true));
    ASSIGN_OR_RETURN(const std::string through,
                     RenderFront(chat_template, conversation, i + 1, false));
    if (!absl::StartsWith(through, header) || !absl::StartsWith(rendered, through)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("messages[%d]: the chat template is not prefix-stable: it renders the "
                          "turns up to this one differently when more follows",
                          IndexInRow(conversation, i)));
    }
    turns.push_back({header.size(), through.size(), i});
  }
  return turns;
}

// The tokens of a turn: from the first that has a byte of it to its last end token. A token that
// begins in the header and ends in the content counts, as it does in transformers.
absl::StatusOr<TokenRange> SupervisedTokens(const Tokenizer& tokenizer,
                                            const std::vector<Token>& tokens, const TurnText& turn,
                                            const Conversation& conversation) {
  const auto ends_before = [](const Token& token, size_t byte) { return token.end <= byte; };
  const auto begins_before = [](const Token& token, size_t byte) { return token.begin < byte; };
  const auto first = std::lower_bound(tokens.begin(), tokens.end(), turn.begin, ends_before);
  auto last = std::lower_bound(first, tokens.end(), turn.end, begins_before);
  while (last != first && !tokenizer.IsEos((last - 1)->id)) --last;
  if (last == first) {
    return absl::InvalidArgumentError(
        absl::StrFormat("messages[%d]: the chat template ends an assistant turn with none of the "
                        "model's end tokens",
                        IndexInRow(conversation, turn.message_idx)));
  }
  return TokenRange{static_cast<int32_t>(first - tokens.begin()),
                    static_cast<int32_t>(last - tokens.begin())};
}

// The tokens of `range` that count, each with its weight, as ranges of neighbours.
absl::Status AddWeighted(const std::string& rendered, const std::vector<Token>& tokens,
                         const TurnText& turn, const Conversation& conversation, TokenRange range,
                         Example* example) {
  const core::Message& message = conversation.messages[turn.message_idx];
  size_t content = turn.begin;
  if (!message.weights.empty()) {
    content = rendered.find(message.content, turn.begin);
    if (content == std::string::npos || content + message.content.size() > turn.end) {
      return absl::InvalidArgumentError(
          absl::StrFormat("messages[%d]: its parts have weights, but the chat template changes the "
                          "content",
                          IndexInRow(conversation, turn.message_idx)));
    }
  }
  const auto weight_at = [&](size_t byte) {
    for (const core::Message::Weight& part : message.weights) {
      if (byte < content + part.end) return part.weight;
    }
    // The end token goes with what it ends.
    return message.weights.empty() ? 1.0 : message.weights.back().weight;
  };
  for (int32_t t = range.begin; t < range.end; ++t) {
    const double weight = weight_at(std::max(tokens[static_cast<size_t>(t)].begin, turn.begin));
    if (!(weight > 0)) continue;
    std::vector<TokenRange>& ranges = example->supervised;
    if (!ranges.empty() && ranges.back().end == t) {
      ranges.back().end = t + 1;
    } else {
      ranges.push_back({t, t + 1});
    }
    example->weights.push_back(static_cast<float>(weight));
  }
  return absl::OkStatus();
}

// Keeps the first `max_length` tokens, and of the ranges and weights what lies in [1, max_length).
absl::Status Truncate(int32_t max_length, Example* example) {
  const size_t limit = static_cast<size_t>(max_length);
  example->truncated = example->ids.size() > limit;
  if (example->truncated) example->ids.resize(limit);
  const int32_t first = example->supervised.empty() ? 0 : example->supervised.front().begin;
  std::vector<TokenRange> kept;
  std::vector<float> weights;
  size_t next = 0;
  for (const TokenRange range : example->supervised) {
    for (int32_t t = range.begin; t < range.end; ++t, ++next) {
      if (t < 1 || t >= max_length) continue;
      if (kept.empty() || kept.back().end != t) kept.push_back({t, t});
      kept.back().end = t + 1;
      weights.push_back(example->weights[next]);
    }
  }
  if (kept.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("no supervised token within max_length %d: the first assistant content is "
                        "at token %d",
                        max_length, first));
  }
  example->num_supervised = static_cast<int32_t>(weights.size());
  example->supervised = std::move(kept);
  const bool is_plain =
      std::all_of(weights.begin(), weights.end(), [](float weight) { return weight == 1; });
  example->weights = is_plain ? std::vector<float>() : std::move(weights);
  return absl::OkStatus();
}

absl::StatusOr<Example> MakeUnnamedExample(const Tokenizer& tokenizer,
                                           const ChatTemplate& chat_template,
                                           const Conversation& conversation, int32_t max_length) {
  ASSIGN_OR_RETURN(const std::string rendered,
                   RenderFront(chat_template, conversation, conversation.messages.size(), false));
  ASSIGN_OR_RETURN(const std::vector<TurnText> turns,
                   FindAssistantTurns(chat_template, conversation, rendered));
  if (turns.empty()) return absl::InvalidArgumentError("no assistant turn");
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, tokenizer.EncodeWithOffsets(rendered));
  Example example;
  example.ids.reserve(tokens.size());
  for (const Token& token : tokens) example.ids.push_back(token.id);
  for (const TurnText& turn : turns) {
    ASSIGN_OR_RETURN(const TokenRange range,
                     SupervisedTokens(tokenizer, tokens, turn, conversation));
    RETURN_IF_ERROR(AddWeighted(rendered, tokens, turn, conversation, range, &example));
  }
  RETURN_IF_ERROR(Truncate(max_length, &example));
  return example;
}

std::string RowName(const core::Row& row) { return absl::StrFormat("row \"%s\"", row.id); }

}  // namespace

absl::StatusOr<Example> MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                    const core::Row& row, const core::Context& context,
                                    int32_t max_length) {
  JENNER_CHECK(max_length >= 2);
  ASSIGN_OR_RETURN(const Conversation conversation, ApplyContext(row, context));
  absl::StatusOr<Example> example =
      MakeUnnamedExample(tokenizer, chat_template, conversation, max_length);
  if (!example.ok()) return Annotate(example.status(), RowName(row));
  return example;
}

absl::StatusOr<std::vector<int32_t>> MakePrompt(const Tokenizer& tokenizer,
                                                const ChatTemplate& chat_template,
                                                const core::Row& row,
                                                const core::Context& context) {
  ASSIGN_OR_RETURN(const Conversation conversation, ApplyContext(row, context));
  const absl::StatusOr<std::string> rendered =
      RenderFront(chat_template, conversation, conversation.messages.size(), true);
  if (!rendered.ok()) return Annotate(rendered.status(), RowName(row));
  absl::StatusOr<std::vector<int32_t>> ids = tokenizer.Encode(*rendered);
  if (!ids.ok()) return Annotate(ids.status(), RowName(row));
  if (ids->empty()) {
    return Annotate(absl::InvalidArgumentError("the chat template renders no token"), RowName(row));
  }
  return ids;
}

}  // namespace jenner::text
