#include "worker/text/conversation.h"

#include <utility>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/status.h"

namespace jenner::text {
namespace {

// The parts that are not empty, with the separator between them.
std::string Join(const std::vector<const std::string*>& parts, const std::string& separator) {
  std::string joined;
  bool is_first = true;
  for (const std::string* part : parts) {
    if (part->empty()) continue;
    if (!is_first) joined += separator;
    joined += *part;
    is_first = false;
  }
  return joined;
}

// What the template writes before the first turn when there is no system message, from texts that
// no template has in it.
struct Opening {
  std::string bos;             // stays
  std::string default_system;  // the default system message with all around it
};

absl::StatusOr<Opening> OpeningOf(const ChatTemplate& chat_template) {
  constexpr char kUser[] = "first-user-7e0f", kAnswer[] = "first-answer-2c41";
  constexpr char kLater[] = "second-user-b93d";
  const std::vector<core::Message> one = {{"user", kUser}, {"assistant", kAnswer}};
  std::vector<core::Message> two = one;
  two.push_back({"user", kLater});
  ASSIGN_OR_RETURN(const std::string short_text, chat_template.Render(one, false));
  ASSIGN_OR_RETURN(const std::string long_text, chat_template.Render(two, false));
  const size_t user = long_text.find(kUser);
  const size_t answer = long_text.find(kAnswer);
  const size_t later = long_text.find(kLater);
  const size_t short_answer = short_text.find(kAnswer);
  const auto refused = absl::InvalidArgumentError(
      "no_system: the chat template's default system message cannot be told from the first turn");
  if (user == std::string::npos || answer == std::string::npos || later == std::string::npos ||
      short_answer == std::string::npos || !(user < answer && answer < later)) {
    return refused;
  }
  // After the answer come the end of its turn, which the shorter text shows, and a user's header.
  const size_t answer_end = answer + sizeof(kAnswer) - 1;
  const std::string between = long_text.substr(answer_end, later - answer_end);
  const std::string turn_end = short_text.substr(short_answer + sizeof(kAnswer) - 1);
  if (!absl::StartsWith(between, turn_end)) return refused;
  const std::string header = between.substr(turn_end.size());
  std::string before = long_text.substr(0, user);
  if (!absl::EndsWith(before, header)) return refused;
  before.resize(before.size() - header.size());
  const std::string bos = chat_template.bos_token();
  if (bos.empty() || !absl::StartsWith(before, bos)) return Opening{"", before};
  return Opening{bos, before.substr(bos.size())};
}

}  // namespace

absl::StatusOr<Conversation> ApplyContext(const core::Row& row, const core::Context& context) {
  Conversation conversation;
  conversation.no_system = context.no_system;
  std::vector<core::Message>& messages = conversation.messages;
  const bool has_system = !row.messages.empty() && row.messages.front().role == "system";
  if (context.system) messages.push_back({"system", *context.system});
  const bool keeps_system = has_system && !context.system && !context.no_system;
  if (keeps_system) messages.push_back(row.messages.front());
  for (const core::Exchange& exchange : context.few_shot) {
    messages.push_back({"user", exchange.user});
    messages.push_back({"assistant", exchange.assistant});
  }
  conversation.first_of_row = messages.size();
  conversation.num_skipped = has_system ? 1 : 0;
  bool has_slot = false;
  for (size_t i = conversation.num_skipped; i < row.messages.size(); ++i) {
    core::Message message = row.messages[i];
    if (message.role == "user") {
      if (absl::StrContains(message.content, core::kSlotMarker)) {
        has_slot = true;
        message.content = absl::StrReplaceAll(message.content, {{core::kSlotMarker, context.slot}});
      }
      message.content =
          Join({&context.user_prefix, &context.trigger, &message.content, &context.user_suffix},
               context.separator);
    }
    messages.push_back(std::move(message));
  }
  if (!context.slot.empty() && !has_slot) {
    return absl::InvalidArgumentError(
        absl::StrFormat("row \"%s\": the context has a slot, but no user turn has \"%s\" in it",
                        row.id, core::kSlotMarker));
  }
  return conversation;
}

absl::StatusOr<std::string> RenderFront(const ChatTemplate& chat_template,
                                        const Conversation& conversation, size_t count,
                                        bool add_generation_prompt) {
  const std::vector<core::Message> front(
      conversation.messages.begin(),
      conversation.messages.begin() + static_cast<std::ptrdiff_t>(count));
  ASSIGN_OR_RETURN(std::string text, chat_template.Render(front, add_generation_prompt));
  if (!conversation.no_system) return text;
  ASSIGN_OR_RETURN(const Opening opening, OpeningOf(chat_template));
  if (!absl::StartsWith(text, opening.bos + opening.default_system)) {
    return absl::InvalidArgumentError(
        "no_system: the chat template begins this conversation in another way than most");
  }
  return opening.bos + text.substr(opening.bos.size() + opening.default_system.size());
}

}  // namespace jenner::text
