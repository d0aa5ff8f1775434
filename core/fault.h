// Faults: what is wrong with an input, collected so that all of them are reported at once.
#ifndef JENNER_CORE_FAULT_H_
#define JENNER_CORE_FAULT_H_

#include <string>
#include <vector>

#include "absl/status/status.h"

namespace jenner::core {

struct Fault {
  std::string field;    // path, e.g. "arms[1].train_context"; "" is the whole
  std::string message;  // what was found and what was expected
  bool operator==(const Fault&) const = default;
};
using Faults = std::vector<Fault>;

// OK without faults; else InvalidArgument with one line a fault, "field: message".
inline absl::Status ToStatus(const Faults& faults) {
  if (faults.empty()) return absl::OkStatus();
  std::string text;
  for (const Fault& fault : faults) {
    if (!text.empty()) text += '\n';
    text += fault.field.empty() ? fault.message : fault.field + ": " + fault.message;
  }
  return absl::InvalidArgumentError(text);
}

}  // namespace jenner::core

#endif  // JENNER_CORE_FAULT_H_
