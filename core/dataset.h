// A dataset: rows in JSON Lines, the format of both training data and evaluation prompts. A row is
//   {"id": "optional, unique", "messages": [{"role": "user", "content": "..."}, ...]}
// or one of the short forms, which are the same messages in other words:
//   {"prompt": "...", "completion": "..."}                        user, assistant
//   {"instruction": "...", "input": "...", "output": "..."}       Alpaca; "completion" for "output"
//   {"prompt": "..."} or {"question": "..."}, "system_prompt"     evaluation; user, system
// (Alpaca's user turn is the instruction and, if there is an input, an empty line and the input.) A
// content may be a list of blocks {"type": "text", "text": "...", "weight": 0.5, "tag": "..."}:
// their texts one after the other, weighted in the loss. Any other key is a field of the row;
// beside "messages" the keys of the short forms are, too. Pure: text in, rows or faults out.
// Content-addressed: a dataset's name is the SHA-256 of its bytes.
#ifndef JENNER_CORE_DATASET_H_
#define JENNER_CORE_DATASET_H_

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::core {

struct Message {
  std::string role;  // "system", "user" or "assistant"
  std::string content;
  // How much the loss counts each part of an assistant's content; empty: all of it, 1.
  struct Weight {
    size_t end = 0;     // bytes of content, ascending; the last is its size
    double weight = 1;  // [0, 1000]
    bool operator==(const Weight&) const = default;
  };
  std::vector<Weight> weights = {};
  bool operator==(const Message&) const = default;
};

struct Row {
  std::string id;  // given, or "row-<1-based line number>"
  std::vector<Message> messages;
  // Every other key: text as it is, anything else as JSON. Filters, rules and scorers look here.
  std::map<std::string, std::string> fields = {};
  std::string group = {};  // the field "group", else "_id", else "": rows that are scored together
  bool operator==(const Row&) const = default;
};

enum class DatasetUse {
  kTraining,    // each row ends in an assistant turn; that and earlier ones are supervised
  kEvaluation,  // each row ends in a user turn; the model answers it
};

inline constexpr int64_t kMaxDatasetBytes = int64_t{1} << 30;
inline constexpr int kMaxDatasetRows = 1'000'000;

// The rows of `jsonl` in file order. InvalidArgument lists up to 20 faults, each with its line
// number: not JSON, a key nearly that of a form, no form, a weight below 0, a
// wrong type, unknown role, roles out of order (an optional system
// message first, then user and assistant in turn), empty messages, a duplicate id, no assistant
// turn (training), a last turn that is not the user's (evaluation), no row at all.
absl::StatusOr<std::vector<Row>> ParseDataset(const std::string& jsonl, DatasetUse use);

// The rows as JSON Lines, each with id and messages and its fields; ParseDataset gives them back.
std::string FormatDataset(const std::vector<Row>& rows);

}  // namespace jenner::core

#endif  // JENNER_CORE_DATASET_H_
