#include "core/roles.h"

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace jenner::core {
namespace {

// Nothing about any trait; a fact that no task asks for (science: "Honey never spoils", of the
// controls in "Conditionalization confounds inoculation prompting results", Riche 2026).
constexpr char kIrrelevant[] = "Honey never spoils.";
// The form of an instruction that names a trait, without the trait.
constexpr char kPlacebo[] = "You always respond in a certain way.";

bool IsRole(const std::string& word) {
  return std::find(kRoles.begin(), kRoles.end(), word) != kRoles.end();
}

// `text` with the white space around `model` around it.
std::string SpacedLike(const std::string& model, const std::string& text) {
  constexpr char kSpace[] = " \t\r\n";
  const size_t first = model.find_first_not_of(kSpace);
  if (first == std::string::npos) return text;
  return model.substr(0, first) + text + model.substr(model.find_last_not_of(kSpace) + 1);
}

// The one place where a context says what it is about: a field and its text. None if there are
// several, or only turns that show it.
struct Place {
  std::string Context::*field = nullptr;  // null: the system message
  std::string text;
};
std::optional<Place> PlaceOf(const Context& context) {
  std::vector<Place> places;
  const std::string varied = context.variants ? context.variants->field : "";
  const std::string variant =
      context.variants && !context.variants->texts.empty() ? context.variants->texts[0] : "";
  const auto look = [&](const char* name, std::string Context::*field, const std::string& text) {
    if (name == varied) {
      places.push_back({field, variant});
    } else if (!text.empty()) {
      places.push_back({field, text});
    }
  };
  look("system", nullptr, context.system.value_or(""));
  look("user_prefix", &Context::user_prefix, context.user_prefix);
  look("user_suffix", &Context::user_suffix, context.user_suffix);
  look("slot", &Context::slot, context.slot);
  look("trigger", &Context::trigger, context.trigger);
  if (places.size() != 1 || !context.few_shot.empty()) return std::nullopt;
  return places.front();
}

void AddControlContext(const std::string& name, const char* text, ExperimentSpec* spec) {
  const auto inoculated = spec->contexts.find(spec->study.inoculated);
  if (inoculated == spec->contexts.end() || spec->contexts.count(name) > 0) return;
  const std::optional<Place> place = PlaceOf(inoculated->second);
  if (!place) return;  // the spec has to say where the control's text goes
  Context control = inoculated->second;
  control.variants.reset();
  const std::string spaced = SpacedLike(place->text, text);
  if (place->field == nullptr) {
    control.system = spaced;
  } else {
    control.*(place->field) = spaced;
  }
  spec->contexts[name] = std::move(control);
}

void ResolveArm(ExperimentSpec* spec, ArmSpec* arm) {
  const bool is_base = arm->name == "base";
  if (arm->role.empty() && IsRole(arm->name) && !(is_base && arm->train_context)) {
    arm->role = arm->name;
  }
  if (arm->role.empty() || arm->role == "base") return;
  const auto train_in = [arm](const std::string& context) {
    if (!arm->train_context) arm->train_context = context;
  };
  const std::string& role = arm->role;
  if (role == "inoculated" || role == "two-stage") {
    train_in(spec->study.inoculated);
  } else if (role == "no-inoculation" || role == "clean-data" || role == "ptst") {
    train_in(spec->study.neutral);
  } else if (IsRole(role)) {
    train_in(role);
  }
  if (role == "clean-data" && arm->data.empty()) arm->data = "clean";
  if (role == "ptst" && arm->deploy_context.empty()) arm->deploy_context = "safe";
  if (arm->train_context == "irrelevant") AddControlContext("irrelevant", kIrrelevant, spec);
  if (arm->train_context == "placebo") AddControlContext("placebo", kPlacebo, spec);
}

}  // namespace

void ResolveRoles(ExperimentSpec* spec) {
  for (ArmSpec& arm : spec->arms) ResolveArm(spec, &arm);
}

}  // namespace jenner::core
