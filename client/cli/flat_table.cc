#include "client/cli/flat_table.h"

#include <google/protobuf/descriptor.h>
#include <google/protobuf/timestamp.pb.h>

#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/time/time.h"

namespace jenner::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::Reflection;
using Json = nlohmann::ordered_json;
using Column = FlatTable::Column;

bool IsMessage(const FieldDescriptor& field) {
  return field.cpp_type() == FieldDescriptor::CPPTYPE_MESSAGE;
}

bool IsTime(const FieldDescriptor& field) {
  return IsMessage(field) && field.message_type()->full_name() ==
                                 google::protobuf::Timestamp::descriptor()->full_name();
}

std::string TypeName(const FieldDescriptor& field) {
  if (field.is_repeated()) return "string";
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return "bool";
    case FieldDescriptor::CPPTYPE_DOUBLE:
    case FieldDescriptor::CPPTYPE_FLOAT:
      return "float64";
    case FieldDescriptor::CPPTYPE_INT32:
    case FieldDescriptor::CPPTYPE_INT64:
    case FieldDescriptor::CPPTYPE_UINT32:
    case FieldDescriptor::CPPTYPE_UINT64:
      return "int64";
    default:
      return "string";
  }
}

void AddColumns(const Descriptor& type, const std::string& prefix, std::vector<Column>* columns) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const std::string name = absl::StrCat(prefix, field.name());
    if (!IsMessage(field) || IsTime(field)) {
      columns->push_back({name, TypeName(field)});
    } else if (!field.is_repeated()) {
      AddColumns(*field.message_type(), name + ".", columns);
    }
  }
}

Json Finite(double value) { return std::isfinite(value) ? Json(value) : Json(nullptr); }

std::string TimeText(const Message& message) {
  google::protobuf::Timestamp time;
  time.CopyFrom(message);
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E*SZ",
                          absl::FromUnixSeconds(time.seconds()) + absl::Nanoseconds(time.nanos()),
                          absl::UTCTimeZone());
}

Json Scalar(const Message& message, const FieldDescriptor& field) {
  const Reflection& get = *message.GetReflection();
  switch (field.cpp_type()) {
    case FieldDescriptor::CPPTYPE_BOOL:
      return get.GetBool(message, &field);
    case FieldDescriptor::CPPTYPE_DOUBLE:
      return Finite(get.GetDouble(message, &field));
    case FieldDescriptor::CPPTYPE_FLOAT:
      return Finite(get.GetFloat(message, &field));
    case FieldDescriptor::CPPTYPE_INT32:
      return get.GetInt32(message, &field);
    case FieldDescriptor::CPPTYPE_INT64:
      return get.GetInt64(message, &field);
    case FieldDescriptor::CPPTYPE_UINT32:
      return get.GetUInt32(message, &field);
    case FieldDescriptor::CPPTYPE_UINT64:
      return get.GetUInt64(message, &field);
    case FieldDescriptor::CPPTYPE_ENUM:
      return get.GetEnum(message, &field)->name();
    case FieldDescriptor::CPPTYPE_STRING:
      return get.GetString(message, &field);
    case FieldDescriptor::CPPTYPE_MESSAGE:
      return TimeText(get.GetMessage(message, &field));
  }
  return nullptr;
}

std::string Joined(const Message& message, const FieldDescriptor& field) {
  const Reflection& get = *message.GetReflection();
  std::vector<std::string> texts;
  for (int i = 0; i < get.FieldSize(message, &field); ++i) {
    switch (field.cpp_type()) {
      case FieldDescriptor::CPPTYPE_STRING:
        texts.push_back(get.GetRepeatedString(message, &field, i));
        break;
      case FieldDescriptor::CPPTYPE_INT32:
        texts.push_back(absl::StrCat(get.GetRepeatedInt32(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_INT64:
        texts.push_back(absl::StrCat(get.GetRepeatedInt64(message, &field, i)));
        break;
      case FieldDescriptor::CPPTYPE_DOUBLE:
        texts.push_back(Finite(get.GetRepeatedDouble(message, &field, i)).dump());
        break;
      case FieldDescriptor::CPPTYPE_ENUM:
        texts.push_back(get.GetRepeatedEnum(message, &field, i)->name());
        break;
      default:
        break;
    }
  }
  return absl::StrJoin(texts, "; ");
}

// `message` nullptr: it is unset, and so is all in it.
void AddValues(const Descriptor& type, const Message* message, std::vector<Json>* values) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    const bool is_flat = !IsMessage(field) || IsTime(field);
    if (!is_flat && field.is_repeated()) continue;
    const bool is_there =
        message != nullptr && (field.is_repeated() || !field.has_presence() ||
                               message->GetReflection()->HasField(*message, &field));
    if (!is_flat) {
      AddValues(*field.message_type(),
                is_there ? &message->GetReflection()->GetMessage(*message, &field) : nullptr,
                values);
    } else if (!is_there) {
      values->push_back(nullptr);
    } else {
      values->push_back(field.is_repeated() ? Json(Joined(*message, field))
                                            : Scalar(*message, field));
    }
  }
}

void AddLists(const Descriptor& type, const std::string& prefix, std::vector<std::string>* lists) {
  for (int i = 0; i < type.field_count(); ++i) {
    const FieldDescriptor& field = *type.field(i);
    if (!IsMessage(field) || IsTime(field) || field.is_map()) continue;
    const std::string name = absl::StrCat(prefix, field.name());
    if (field.is_repeated()) {
      lists->push_back(name);
    } else {
      AddLists(*field.message_type(), name + ".", lists);
    }
  }
}

// What comes before and after the first dot; without one all of it and "".
std::pair<std::string, std::string> Split(const std::string& path) {
  const size_t dot = path.find('.');
  if (dot == std::string::npos) return {path, ""};
  return {path.substr(0, dot), path.substr(dot + 1)};
}

std::string CsvField(const Json& value) {
  if (value.is_null()) return "";
  if (!value.is_string()) return value.dump();
  const std::string& text = value.get_ref<const std::string&>();
  if (!text.empty() && text.find_first_of("\",\r\n") == std::string::npos) return text;
  return absl::StrCat("\"", absl::StrReplaceAll(text, {{"\"", "\"\""}}), "\"");
}

}  // namespace

std::vector<Column> ColumnsOf(const Descriptor& type) {
  std::vector<Column> columns;
  AddColumns(type, "", &columns);
  return columns;
}

std::vector<Json> ValuesOf(const Message& message) {
  std::vector<Json> values;
  AddValues(*message.GetDescriptor(), &message, &values);
  return values;
}

std::vector<std::string> ListsOf(const Descriptor& type) {
  std::vector<std::string> lists;
  AddLists(type, "", &lists);
  return lists;
}

const Descriptor& TypeOfList(const Descriptor& type, const std::string& path) {
  const auto [first, rest] = Split(path);
  const Descriptor& inner = *type.FindFieldByName(first)->message_type();
  return rest.empty() ? inner : TypeOfList(inner, rest);
}

std::vector<const Message*> MessagesOf(const Message& message, const std::string& path) {
  const auto [first, rest] = Split(path);
  const FieldDescriptor* field = message.GetDescriptor()->FindFieldByName(first);
  const Reflection& get = *message.GetReflection();
  if (!rest.empty()) return MessagesOf(get.GetMessage(message, field), rest);
  std::vector<const Message*> messages;
  for (int i = 0; i < get.FieldSize(message, field); ++i) {
    messages.push_back(&get.GetRepeatedMessage(message, field, i));
  }
  return messages;
}

FlatTable Flatten(std::string name, const Descriptor& type,
                  const std::vector<const Message*>& messages, const std::string& each) {
  FlatTable table{std::move(name), ColumnsOf(type), {}};
  if (!each.empty()) {
    const std::string prefix = each.substr(each.rfind('.') + 1) + ".";
    AddColumns(TypeOfList(type, each), prefix, &table.columns);
  }
  for (const Message* message : messages) {
    const std::vector<Json> values = ValuesOf(*message);
    if (each.empty()) {
      table.rows.push_back(values);
      continue;
    }
    for (const Message* inner : MessagesOf(*message, each)) {
      std::vector<Json> row = values;
      for (Json& value : ValuesOf(*inner)) row.push_back(std::move(value));
      table.rows.push_back(std::move(row));
    }
  }
  return table;
}

std::string ToCsv(const FlatTable& table) {
  std::string text;
  const auto add_line = [&text](const auto& items, const auto& format) {
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) text += ',';
      text += format(items[i]);
    }
    text += "\r\n";
  };
  add_line(table.columns, [](const Column& column) { return CsvField(column.name); });
  for (const std::vector<Json>& row : table.rows) add_line(row, CsvField);
  return text;
}

std::string ToJsonRows(const FlatTable& table) {
  std::string text = "[";
  for (const std::vector<Json>& row : table.rows) {
    Json object = Json::object();
    for (size_t i = 0; i < row.size(); ++i) object[table.columns[i].name] = row[i];
    absl::StrAppend(&text, text.size() > 1 ? ",\n" : "\n", object.dump());
  }
  return text + (table.rows.empty() ? "]\n" : "\n]\n");
}

}  // namespace jenner::cli
