#include "core/dataset.h"

#include <set>

#include "absl/strings/str_format.h"
#include "core/json_fields.h"

namespace jenner::core {

namespace {

constexpr size_t kMaxFaults = 20;

// What a row's line says, before it is a Row. Blocks keep their weights; their tags are for people.
struct Block {
  std::string type = "text";
  std::string text;
  double weight = 1;
  std::string tag;
};

}  // namespace

template <typename V>
void VisitFields(V& visit, Block& b) {
  visit("type", b.type);
  visit("text", b.text);
  visit("weight", b.weight);
  visit("tag", b.tag);
}

namespace {

void ReadContent(const Json& json, const std::string& path, Message* message, Faults* faults) {
  if (!json.is_array()) return ReadValue(json, path, &message->content, faults);
  std::vector<Block> blocks;
  ReadValue(json, path, &blocks, faults);
  bool is_weighted = false;
  for (size_t i = 0; i < blocks.size(); ++i) {
    const std::string at = absl::StrFormat("%s[%d]", path, i);
    if (blocks[i].type != "text") {
      faults->push_back(
          {at + ".type", absl::StrFormat("expected \"text\", found \"%s\"", blocks[i].type)});
    }
    if (!(blocks[i].weight >= 0 && blocks[i].weight <= 1000)) {
      faults->push_back(
          {at + ".weight", absl::StrFormat("expected [0, 1000], found %g", blocks[i].weight)});
    }
    message->content += blocks[i].text;
    message->weights.push_back({message->content.size(), blocks[i].weight});
    is_weighted = is_weighted || blocks[i].weight != 1;
  }
  if (!is_weighted) message->weights.clear();
}

void ReadMessages(const Json& json, Row* row, Faults* faults) {
  if (!json.is_array()) return json_internal::WrongType(json, "messages", "a list", faults);
  for (size_t i = 0; i < json.size(); ++i) {
    const std::string path = absl::StrFormat("messages[%d]", i);
    row->messages.emplace_back();
    Message& message = row->messages.back();
    if (!json[i].is_object()) {
      json_internal::WrongType(json[i], path, "a map", faults);
      continue;
    }
    FieldReader reader(json[i], path, faults);
    reader("role", message.role);
    reader.Known("content");
    reader.RefuseOthers();
    const auto content = json[i].find("content");
    if (content != json[i].end()) ReadContent(*content, path + ".content", &message, faults);
  }
}

// A form in other words than "messages": what it calls the user's and the assistant's turn.
struct Form {
  const char* user;
  std::vector<const char*> others;  // keys of it that need not be there
  const char* answers[2];           // the first that is there
};

const std::vector<Form>& Forms() {
  static const auto* const kForms =
      new std::vector<Form>{{"instruction", {"input", "system_prompt"}, {"output", "completion"}},
                            {"prompt", {"system_prompt"}, {"completion", nullptr}},
                            {"question", {"system_prompt"}, {nullptr, nullptr}}};
  return *kForms;
}

// The text of `key`, which is then no field of the row; "" if it is not there.
std::string Take(const char* key, Json* object, Faults* faults) {
  std::string text;
  const auto found = object->find(key);
  if (found == object->end()) return text;
  ReadValue(*found, key, &text, faults);
  object->erase(found);
  return text;
}

void ReadForm(const Form& form, Json* object, Row* row, Faults* faults) {
  if (object->contains("system_prompt")) {
    row->messages.push_back({"system", Take("system_prompt", object, faults), {}});
  }
  std::string user = Take(form.user, object, faults);
  if (form.others.front() == std::string("input")) {
    const std::string input = Take("input", object, faults);
    if (!input.empty()) user += "\n\n" + input;
  }
  row->messages.push_back({"user", std::move(user), {}});
  for (const char* answer : form.answers) {
    if (answer == nullptr || !object->contains(answer)) continue;
    row->messages.push_back({"assistant", Take(answer, object, faults), {}});
    break;
  }
}

// A key that is nearly one with a meaning is a slip of the pen, not a field.
void RefuseSlips(const Json& fields, Faults* faults) {
  static const auto* const kMeant =
      new std::vector<std::string>{"messages", "completion", "instruction", "system_prompt"};
  for (const auto& [key, unused] : fields.items()) {
    const std::string nearest = Nearest(key, *kMeant);
    if (nearest.empty() || nearest == key) continue;
    faults->push_back({key, "unknown key; did you mean \"" + nearest + "\"?"});
  }
}

void ReadRow(Json object, Row* row, Faults* faults) {
  if (!object.is_object()) return json_internal::WrongType(object, "", "a map", faults);
  if (object.contains("id")) row->id = Take("id", &object, faults);
  const auto messages = object.find("messages");
  if (messages != object.end()) {
    ReadMessages(*messages, row, faults);
    object.erase(messages);
  } else {
    for (const Form& form : Forms()) {
      if (!object.contains(form.user)) continue;
      ReadForm(form, &object, row, faults);
      break;
    }
  }
  RefuseSlips(object, faults);
  for (const auto& [key, value] : object.items()) {
    row->fields[key] = value.is_string() ? value.get<std::string>() : Canonical(value);
  }
  for (const char* key : {"group", "_id"}) {
    const auto found = row->fields.find(key);
    if (found == row->fields.end()) continue;
    row->group = found->second;
    break;
  }
}

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
    if (const std::optional<Json> parsed = ParseJson(line, &own)) ReadRow(*parsed, &row, &own);
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

std::string FormatDataset(const std::vector<Row>& rows) {
  std::string jsonl;
  for (const Row& row : rows) {
    Json object = Json::object();
    for (const auto& [key, value] : row.fields) object[key] = value;
    object["id"] = row.id;
    Json& messages = object["messages"] = Json::array();
    for (const Message& message : row.messages) {
      Json content = message.content;
      if (!message.weights.empty()) {
        content = Json::array();
        size_t begin = 0;
        for (const Message::Weight& part : message.weights) {
          content.push_back({{"type", "text"},
                             {"text", message.content.substr(begin, part.end - begin)},
                             {"weight", part.weight}});
          begin = part.end;
        }
      }
      messages.push_back({{"role", message.role}, {"content", content}});
    }
    jsonl += Canonical(object) + "\n";
  }
  return jsonl;
}

}  // namespace jenner::core
