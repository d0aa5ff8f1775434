// A selection: the contexts that a screen found, frozen. A JSON document named by its SHA-256, so
// that an experiment that trains in them says which screen it goes back to
// (docs/formats/selection.md).
#ifndef JENNER_CORE_SELECTION_H_
#define JENNER_CORE_SELECTION_H_

#include <cstddef>
#include <string>
#include <vector>

#include "core/fault.h"
#include "core/spec.h"

namespace jenner::core {

struct SelectedContext {
  std::string name = {};
  Context context;
  double elicitation = 0;  // mean of the trait less that in the neutral context, in its unit
  double low = 0;          // of its interval
  double high = 0;
  bool operator==(const SelectedContext&) const = default;
};

struct Selection {
  std::string screen = {};       // id of the experiment
  std::string spec_sha256 = {};  // of that experiment's resolved spec
  std::string base_model = {};
  std::string trait = {};
  std::string neutral = {};                    // the name of the context they were compared with
  std::vector<SelectedContext> contexts = {};  // by elicitation, the strongest first
  bool operator==(const Selection&) const = default;
};

inline constexpr size_t kMaxSelectionBytes = size_t{4} << 20;
inline constexpr char kSelectionVersion[] = "jenner.selection/v1";

// Strict, as spec_json.h. Adds to *faults what could not be read.
Selection ParseSelection(const std::string& json, Faults* faults);
// Canonical JSON.
std::string ToJson(const Selection& selection);

// Adds the contexts to those of the spec. Faults: one of the name with another content is there
// (`contexts.<name>`), or the selection is of another base model (`selection`).
void AddSelection(const Selection& selection, ExperimentSpec* spec, Faults* faults);

}  // namespace jenner::core

#endif  // JENNER_CORE_SELECTION_H_
