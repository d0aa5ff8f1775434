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

inline std::string ToJson(const google::protobuf::Message& message, bool pretty) {
  google::protobuf::util::JsonPrintOptions options;
  options.preserve_proto_field_names = true;
  options.always_print_primitive_fields = true;
  options.add_whitespace = pretty;
  std::string text;
  if (!google::protobuf::util::MessageToJsonString(message, &text, options).ok()) return "null";
  return text;
}

inline void PrintOne(const Globals& globals, const google::protobuf::Message& message) {
  std::cout << ToJson(message, globals.output == Output::kJson);
  if (globals.output == Output::kJsonl) std::cout << "\n";
}

// A JSON list, or one line each.
template <typename Message>
void PrintAll(const Globals& globals, const std::vector<Message>& messages) {
  const bool lines = globals.output == Output::kJsonl;
  if (!lines) std::cout << "[";
  for (size_t i = 0; i < messages.size(); ++i) {
    if (!lines) std::cout << (i == 0 ? "\n" : ",\n");
    std::cout << ToJson(messages[i], false);
    if (lines) std::cout << "\n";
  }
  if (!lines) std::cout << "\n]\n";
}

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_OUTPUT_H_
