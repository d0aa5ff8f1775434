// What Validate() is made of: collects faults of fields. Included by core/validate*.cc only.
#ifndef JENNER_CORE_CHECKER_H_
#define JENNER_CORE_CHECKER_H_

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/fault.h"
#include "core/spec.h"

namespace jenner::core {

// Collects faults of fields below one path.
class Checker {
 public:
  Checker(std::string path, Faults* faults) : path_(std::move(path)), faults_(faults) {}
  void Refuse(const std::string& field, const std::string& message) const {
    faults_->push_back({path_.empty() ? field : path_ + "." + field, message});
  }
  void Range(const std::string& field, int64_t value, int64_t low, int64_t high) const {
    if (value < low || value > high) {
      Refuse(field, absl::StrFormat("expected %d to %d, found %d", low, high, value));
    }
  }
  // NaN and the infinities are refused whatever `holds` says: JSON cannot say them.
  void That(bool holds, const std::string& field, const char* expected, double found) const {
    if (!holds || !std::isfinite(found)) {
      Refuse(field, absl::StrFormat("expected %s, found %g", expected, found));
    }
  }

 private:
  std::string path_;
  Faults* faults_;
};

template <typename Names>
std::string List(const Names& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out.empty() ? "none" : out;
}

// Each of `values` is of `known`, and named once; at least one.
template <typename Known>
void CheckNames(const Checker& check, const std::string& field,
                const std::vector<std::string>& values, const Known& known) {
  if (values.empty()) check.Refuse(field, "expected at least one");
  std::set<std::string> seen;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string at = absl::StrFormat("%s[%d]", field, i);
    if (std::find(known.begin(), known.end(), values[i]) == known.end()) {
      check.Refuse(at, "unknown \"" + values[i] + "\"; known: " + List(known));
    } else if (!seen.insert(values[i]).second) {
      check.Refuse(at, "\"" + values[i] + "\" is named twice");
    }
  }
}

// "sha256:" and 64 hex digits.
void CheckDataset(const std::string& field, const std::string& ref, Faults* faults);

// The parts of an experiment that are about its rows and its questions (validate_study.cc).
void CheckContextFields(const std::string& path, const Context& context, Faults* faults);
void CheckRowFilter(const std::string& path, const RowFilter& filter, Faults* faults);
void CheckData(const ExperimentSpec& spec, Faults* faults);
void CheckArmTraining(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
                      Faults* faults);
void CheckStudy(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
                Faults* faults);

// The traits that a spec may name: those of core/traits.h and its scorers'.
std::vector<std::string> KnownTraits(const std::vector<ScorerSpec>& scorers);

}  // namespace jenner::core

#endif  // JENNER_CORE_CHECKER_H_
