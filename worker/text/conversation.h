// A row in a context: which messages the model sees, and their text.
#ifndef JENNER_WORKER_TEXT_CONVERSATION_H_
#define JENNER_WORKER_TEXT_CONVERSATION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/dataset.h"
#include "core/spec.h"
#include "worker/text/chat_template.h"

namespace jenner::text {

struct Conversation {
  std::vector<core::Message> messages;
  // The first that is of the row: before it are the system message and few-shot turns.
  size_t first_of_row = 0;
  // messages[i] with i >= first_of_row is the row's message i - first_of_row + num_skipped.
  size_t num_skipped = 0;  // a system message of the row that was replaced or taken away
  bool no_system = false;
};

// `row` in `context`, which has no variants (core::ContextFor): its system message, if it has one
// (it may be empty), replaces that of the row or is put first; the few-shot turns follow; prefix,
// trigger, slot and suffix go into each user turn (core/spec.h). Assistant turns stay as they are.
// InvalidArgument, naming the row: the context has a slot, but no user turn of the row has the
// marker.
absl::StatusOr<Conversation> ApplyContext(const core::Row& row, const core::Context& context);

// The text of the first `count` messages, and of the beginning of an assistant turn if
// `add_generation_prompt`. With no_system what the template puts before the first turn by itself is
// cut out, all but bos_token. Errors of ChatTemplate::Render; InvalidArgument: the template's
// default system message cannot be told from the rest.
absl::StatusOr<std::string> RenderFront(const ChatTemplate& chat_template,
                                        const Conversation& conversation, size_t count,
                                        bool add_generation_prompt);

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_CONVERSATION_H_
