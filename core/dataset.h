// A dataset: chat rows in JSON Lines, the format of both training data and evaluation prompts.
//   {"id": "optional, unique", "messages": [{"role": "user", "content": "..."}, ...]}
// Pure: text in, rows or faults out. Content-addressed: a dataset's name is the SHA-256 of its
// bytes.
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
  bool operator==(const Message&) const = default;
};

struct Row {
  std::string id;  // given, or "row-<1-based line number>"
  std::vector<Message> messages;
  // Every other key: text as it is, anything else as JSON. Filters, rules and scorers look here.
  std::map<std::string, std::string> fields;
  std::string group;  // the field "group", else "_id", else "": rows that are scored together
  bool operator==(const Row&) const = default;
};

enum class DatasetUse {
  kTraining,    // each row ends in an assistant turn; that and earlier ones are supervised
  kEvaluation,  // each row ends in a user turn; the model answers it
};

inline constexpr int64_t kMaxDatasetBytes = int64_t{1} << 30;
inline constexpr int kMaxDatasetRows = 1'000'000;

// The rows of `jsonl` in file order. InvalidArgument lists up to 20 faults, each with its line
// number: not JSON, unknown key, wrong type, unknown role, roles out of order (an optional system
// message first, then user and assistant in turn), empty messages, a duplicate id, no assistant
// turn (training), a last turn that is not the user's (evaluation), no row at all.
absl::StatusOr<std::vector<Row>> ParseDataset(const std::string& jsonl, DatasetUse use);

}  // namespace jenner::core

#endif  // JENNER_CORE_DATASET_H_
