#include "core/dataset.h"

#include <set>

#include "absl/strings/str_format.h"
#include "core/json_fields.h"

namespace jenner::core {

template <typename V>
void VisitFields(V& visit, Message& m) {
  visit("role", m.role);
  visit("content", m.content);
}

template <typename V>
void VisitFields(V& visit, Row& r) {
  visit("id", r.id);
  visit("messages", r.messages);
}

namespace {

constexpr size_t kMaxFaults = 20;

void CheckRoles(const Row& row, DatasetUse use, Faults* faults) {
  const std::vector<Message>& messages = row.messages;
  if (messages.empty()) {
    faults->push_back({"messages", "expected at least one message"});
    return;
  }
  size_t first = messages[0].role == "system" ? 1 : 0;
  for (size_t i = first; i < messages.size(); ++i) {
    const char* expected = (i - first) % 2 == 0 ? "user" : "assistant";
    if (messages[i].role != expected) {
      faults->push_back(
          {absl::StrFormat("messages[%d].role", i),
           absl::StrFormat("expected \"%s\", found \"%s\"", expected, messages[i].role)});
      return;
    }
  }
  const std::string& last = messages.back().role;
  if (use == DatasetUse::kTraining && last != "assistant") {
    faults->push_back({"messages", messages.size() <= first + 1
                                       ? "no assistant turn to train on"
                                       : "the last turn is not the assistant's"});
  }
  if (use == DatasetUse::kEvaluation && last != "user") {
    faults->push_back({"messages", "the last turn is not the user's"});
  }
}

}  // namespace

absl::StatusOr<std::vector<Row>> ParseDataset(const std::string& jsonl, DatasetUse use) {
  std::vector<Row> rows;
  std::set<std::string> ids;
  Faults faults;
  int line_number = 0;
  for (size_t begin = 0; begin < jsonl.size() && faults.size() < kMaxFaults;) {
    size_t end = jsonl.find('\n', begin);
    if (end == std::string::npos) end = jsonl.size();
    const std::string line = jsonl.substr(begin, end - begin);
    begin = end + 1;
    ++line_number;
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;  // a blank line is no row
    Faults own;
    Row row;
    row.id = absl::StrFormat("row-%d", line_number);
    if (const std::optional<Json> parsed = ParseJson(line, &own))
      ReadValue(*parsed, "", &row, &own);
    if (own.empty()) CheckRoles(row, use, &own);
    if (own.empty() && !ids.insert(row.id).second)
      own.push_back({"id", "duplicate \"" + row.id + "\""});
    if (own.empty() && rows.size() >= kMaxDatasetRows) own.push_back({"", "too many rows"});
    for (Fault& fault : own) {
      const std::string where = absl::StrFormat("line %d", line_number);
      faults.push_back({fault.field.empty() ? where : where + ": " + fault.field, fault.message});
    }
    if (own.empty()) rows.push_back(std::move(row));
  }
  if (faults.empty() && rows.empty()) faults.push_back({"", "the dataset is empty: no row"});
  if (!faults.empty()) return ToStatus(faults);
  return rows;
}

}  // namespace jenner::core
