#include "core/scorer.h"

#include <re2/re2.h>

#include <string_view>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/nearest.h"

namespace jenner::core {
namespace {

std::string Shown(const std::string& text) { return "\"" + text.substr(0, 80) + "\""; }

Fault UnknownKind(const std::string& field, const std::string& kind) {
  std::vector<std::string> known;
  std::string list;
  for (const ScorerKind& one : kScorerKinds) {
    known.emplace_back(one.name);
    list += (list.empty() ? "" : ", ") + known.back();
  }
  if (kind.empty()) return {field, "required; known: " + list};
  const std::string nearest = Nearest(kind, known);
  if (!nearest.empty()) {
    return {field, "unknown " + Shown(kind) + "; did you mean \"" + nearest + "\"?"};
  }
  return {field, "unknown " + Shown(kind) + "; known: " + list};
}

// A parameter that is there and must not be, or the other way round.
void CheckParameter(const std::string& field, std::string_view kind, Takes takes, bool is_given,
                    Faults* faults) {
  if (takes == Takes::kNo && is_given) {
    faults->push_back({field, absl::StrFormat("kind \"%s\" does not take it", kind)});
  } else if (takes == Takes::kRequired && !is_given) {
    faults->push_back({field, absl::StrFormat("required with kind \"%s\"", kind)});
  }
}

void CheckPattern(const std::string& field, const ScorerSpec& spec, Faults* faults) {
  if (spec.pattern.size() > kMaxPatternBytes) {
    faults->push_back(
        {field, absl::StrFormat("%d bytes; at most %d", spec.pattern.size(), kMaxPatternBytes)});
    return;
  }
  if (spec.kind != "regex" || spec.pattern.empty()) return;
  RE2::Options options;
  options.set_log_errors(false);
  options.set_max_mem(kMaxPatternMemory);
  const RE2 regex(spec.pattern, options);
  if (!regex.ok()) {
    faults->push_back({field, "no regular expression (RE2): " + regex.error()});
  }
}

}  // namespace

Faults ValidateScorer(const std::string& path, const ScorerSpec& spec) {
  Faults faults;
  const std::string prefix = path.empty() ? "" : path + ".";
  if (!IsId(spec.name)) {
    faults.push_back(
        {prefix + "name",
         "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?, found " + Shown(spec.name)});
  }
  if (spec.name != spec.kind && FindScorerKind(spec.name) != nullptr) {
    faults.push_back({prefix + "name", "\"" + spec.name + "\" is a kind of its own"});
  }
  const ScorerKind* kind = FindScorerKind(spec.kind);
  if (kind == nullptr) {
    faults.push_back(UnknownKind(prefix + "kind", spec.kind));
    return faults;
  }
  CheckParameter(prefix + "pattern", kind->name, kind->pattern, !spec.pattern.empty(), &faults);
  CheckParameter(prefix + "ignore_case", kind->name, kind->ignore_case, spec.ignore_case, &faults);
  CheckParameter(prefix + "field", kind->name, kind->field, !spec.field.empty(), &faults);
  CheckParameter(prefix + "judge", kind->name, kind->judge, !spec.judge.empty(), &faults);
  if (!spec.judge.empty() && !IsId(spec.judge)) {
    faults.push_back(
        {prefix + "judge",
         "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?, found " + Shown(spec.judge)});
  }
  if (kind->pattern != Takes::kNo) CheckPattern(prefix + "pattern", spec, &faults);
  if (spec.field.size() > kMaxFieldNameBytes) {
    faults.push_back({prefix + "field", absl::StrFormat("%d bytes; at most %d", spec.field.size(),
                                                        kMaxFieldNameBytes)});
  }
  if (!spec.pattern.empty() && !spec.field.empty() && kind->pattern == Takes::kOptional) {
    faults.push_back({prefix + "field", "has no use beside a pattern"});
  }
  return faults;
}

}  // namespace jenner::core
