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

// Bytes [begin, end) of the rendered text: what an assistant turn adds after its header.
struct TurnText {
  size_t begin = 0;
  size_t end = 0;
  size_t message_idx = 0;  // of the messages that were rendered
};

// Where the assistant turns are in `rendered`, the text of all messages. The text of a turn is what
// is added to the conversation before it with a generation prompt. The first `num_added` messages
// are not of the row; errors count those of the row.
absl::StatusOr<std::vector<TurnText>> FindAssistantTurns(const ChatTemplate& chat_template,
                                                         const std::vector<core::Message>& messages,
                                                         size_t num_added,
                                                         const std::string& rendered) {
  std::vector<TurnText> turns;
  std::vector<core::Message> front;
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") {
      front.push_back(messages[i]);
      continue;
    }
    ASSIGN_OR_RETURN(const std::string header, chat_template.Render(front, true));
    front.push_back(messages[i]);
    ASSIGN_OR_RETURN(const std::string through, chat_template.Render(front, false));
    if (!absl::StartsWith(through, header) || !absl::StartsWith(rendered, through)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("messages[%d]: the chat template is not prefix-stable: it renders the "
                          "turns up to this one differently when more follows",
                          i - num_added));
    }
    turns.push_back({header.size(), through.size(), i});
  }
  return turns;
}

// The tokens of a turn: from the first that has a byte of it to its last end token. A token that
// begins in the header and ends in the content counts, as it does in transformers.
absl::StatusOr<TokenRange> SupervisedTokens(const Tokenizer& tokenizer,
                                            const std::vector<Token>& tokens, const TurnText& turn,
                                            size_t num_added) {
  const auto ends_before = [](const Token& token, size_t byte) { return token.end <= byte; };
  const auto begins_before = [](const Token& token, size_t byte) { return token.begin < byte; };
  const auto first = std::lower_bound(tokens.begin(), tokens.end(), turn.begin, ends_before);
  auto last = std::lower_bound(first, tokens.end(), turn.end, begins_before);
  while (last != first && !tokenizer.IsEos((last - 1)->id)) --last;
  if (last == first) {
    return absl::InvalidArgumentError(
        absl::StrFormat("messages[%d]: the chat template ends an assistant turn with none of the "
                        "model's end tokens",
                        turn.message_idx - num_added));
  }
  return TokenRange{static_cast<int32_t>(first - tokens.begin()),
                    static_cast<int32_t>(last - tokens.begin())};
}

// Keeps the first `max_length` tokens, and of the ranges what lies in [1, max_length).
absl::Status Truncate(int32_t max_length, Example* example) {
  const size_t limit = static_cast<size_t>(max_length);
  example->truncated = example->ids.size() > limit;
  if (example->truncated) example->ids.resize(limit);
  const int32_t first = example->supervised.empty() ? 0 : example->supervised.front().begin;
  std::vector<TokenRange> kept;
  for (TokenRange range : example->supervised) {
    range.begin = std::max(range.begin, 1);
    range.end = std::min(range.end, max_length);
    if (range.begin >= range.end) continue;
    example->num_supervised += range.end - range.begin;
    kept.push_back(range);
  }
  if (kept.empty()) {
    return absl::InvalidArgumentError(
        absl::StrFormat("no supervised token within max_length %d: the first assistant content is "
                        "at token %d",
                        max_length, first));
  }
  example->supervised = std::move(kept);
  return absl::OkStatus();
}

absl::StatusOr<Example> MakeUnnamedExample(const Tokenizer& tokenizer,
                                           const ChatTemplate& chat_template,
                                           const std::vector<core::Message>& messages,
                                           size_t num_added, int32_t max_length) {
  ASSIGN_OR_RETURN(const std::string rendered, chat_template.Render(messages, false));
  ASSIGN_OR_RETURN(const std::vector<TurnText> turns,
                   FindAssistantTurns(chat_template, messages, num_added, rendered));
  if (turns.empty()) return absl::InvalidArgumentError("no assistant turn");
  ASSIGN_OR_RETURN(const std::vector<Token> tokens, tokenizer.EncodeWithOffsets(rendered));
  Example example;
  example.ids.reserve(tokens.size());
  for (const Token& token : tokens) example.ids.push_back(token.id);
  for (const TurnText& turn : turns) {
    ASSIGN_OR_RETURN(const TokenRange range, SupervisedTokens(tokenizer, tokens, turn, num_added));
    example.supervised.push_back(range);
  }
  RETURN_IF_ERROR(Truncate(max_length, &example));
  return example;
}

std::string RowName(const core::Row& row) { return absl::StrFormat("row \"%s\"", row.id); }

}  // namespace

std::vector<core::Message> ApplyContext(std::vector<core::Message> messages,
                                        const core::Context& context) {
  for (core::Message& message : messages) {
    if (message.role != "user") continue;
    message.content = context.user_prefix + message.content + context.user_suffix;
  }
  if (!context.system.has_value()) return messages;
  core::Message system = {"system", *context.system};
  if (!messages.empty() && messages.front().role == "system") {
    messages.front() = std::move(system);
  } else {
    messages.insert(messages.begin(), std::move(system));
  }
  return messages;
}

absl::StatusOr<Example> MakeExample(const Tokenizer& tokenizer, const ChatTemplate& chat_template,
                                    const core::Row& row, const core::Context& context,
                                    int32_t max_length) {
  JENNER_CHECK(max_length >= 2);
  const std::vector<core::Message> messages = ApplyContext(row.messages, context);
  const size_t num_added = messages.size() - row.messages.size();
  absl::StatusOr<Example> example =
      MakeUnnamedExample(tokenizer, chat_template, messages, num_added, max_length);
  if (!example.ok()) return Annotate(example.status(), RowName(row));
  return example;
}

absl::StatusOr<std::vector<int32_t>> MakePrompt(const Tokenizer& tokenizer,
                                                const ChatTemplate& chat_template,
                                                const core::Row& row,
                                                const core::Context& context) {
  const std::vector<core::Message> messages = ApplyContext(row.messages, context);
  const absl::StatusOr<std::string> rendered = chat_template.Render(messages, true);
  if (!rendered.ok()) return Annotate(rendered.status(), RowName(row));
  absl::StatusOr<std::vector<int32_t>> ids = tokenizer.Encode(*rendered);
  if (!ids.ok()) return Annotate(ids.status(), RowName(row));
  if (ids->empty()) {
    return Annotate(absl::InvalidArgumentError("the chat template renders no token"), RowName(row));
  }
  return ids;
}

}  // namespace jenner::text
