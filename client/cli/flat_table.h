// Messages as a flat table, to be read by any program: a row a message, a column a field. Which
// columns there are follows from the message's type alone, so they are the same in every file.
#ifndef JENNER_CLIENT_CLI_FLAT_TABLE_H_
#define JENNER_CLIENT_CLI_FLAT_TABLE_H_

#include <google/protobuf/message.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace jenner::cli {

struct FlatTable {
  struct Column {
    std::string name;
    std::string type;  // "string", "int64", "float64" or "bool"
  };
  std::string name;
  std::vector<Column> columns;
  // A value a column: null, text, a whole number, a finite number or a truth value.
  std::vector<std::vector<nlohmann::ordered_json>> rows;
};

// The fields of `type` in their order: scalars as they are, those of a message in it as
// "field.inner"; enums are text (their proto names), times RFC 3339 in UTC, a list of scalars is
// text joined by "; ". Lists of messages and maps are left out.
std::vector<FlatTable::Column> ColumnsOf(const google::protobuf::Descriptor& type);

// The values of these columns. What is unset and has presence is null, as is a number that is not
// finite.
std::vector<nlohmann::ordered_json> ValuesOf(const google::protobuf::Message& message);

// The lists of messages in `type`, also those in messages in it: "points", "cell.traits".
std::vector<std::string> ListsOf(const google::protobuf::Descriptor& type);

// The type and the messages of the list at such a path.
const google::protobuf::Descriptor& TypeOfList(const google::protobuf::Descriptor& type,
                                               const std::string& path);
std::vector<const google::protobuf::Message*> MessagesOf(const google::protobuf::Message& message,
                                                         const std::string& path);

// A table of one row a message of `messages`; with `each`, one of its lists, of one row a message
// of that list: the columns of both, those of the list named after it.
FlatTable Flatten(std::string name, const google::protobuf::Descriptor& type,
                  const std::vector<const google::protobuf::Message*>& messages,
                  const std::string& each = "");

// RFC 4180 with a header line: null is nothing, an empty text "". Numbers are the shortest that
// read back as the same.
std::string ToCsv(const FlatTable& table);
// A list with an object a row, a line each; keys are the columns.
std::string ToJsonRows(const FlatTable& table);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_FLAT_TABLE_H_
