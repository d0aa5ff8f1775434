// Messages as JSON: proto's JSON mapping with the proto's own field names; fields without presence
// are always there.
#ifndef JENNER_CLIENT_CLI_OUTPUT_H_
#define JENNER_CLIENT_CLI_OUTPUT_H_

#include <google/protobuf/util/json_util.h>

#include <iostream>
#include <string>
#include <vector>

#include "client/cli/verbs.h"

namespace jenner::cli {

// `sparse`: without fields that have their default value.
inline std::string ToJson(const google::protobuf::Message& message, bool pretty,
                          bool sparse = false) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = !sparse;
  options.add_whitespace = pretty;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "null";
  return text;
}

inline void PrintOne(const Globals& globals, const google::protobuf::Message& message) {
  std::cout << ToJson(message, globals.output == Output::kJson);
  if (globals.output == Output::kJsonl) std::cout << "\n";
}

// Messages as they come: a JSON list, or one line each.
class MessageList {
 public:
  explicit MessageList(Output output) : lines_(output == Output::kJsonl) {}
  void Add(const google::protobuf::Message& message) {
    if (!lines_) std::cout << (is_open_ ? ",\n" : "[\n");
    std::cout << ToJson(message, false);
    if (lines_) std::cout << "\n";
    std::cout << std::flush;
    is_open_ = true;
  }
  // Closes the list, also an empty one.
  void End() {
    if (!lines_) std::cout << (is_open_ ? "\n]\n" : "[]\n");
  }
  bool is_open() const { return is_open_; }

 private:
  const bool lines_;
  bool is_open_ = false;
};

template <typename Message>
void PrintAll(const Globals& globals, const std::vector<Message>& messages) {
  MessageList list(globals.output);
  for (const Message& message : messages) list.Add(message);
  list.End();
}

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_OUTPUT_H_
