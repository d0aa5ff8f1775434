// How a trait is measured: a kind of traits.h and its parameters, as plain values. The scorers
// themselves are worker/score's.
#ifndef JENNER_CORE_SCORER_H_
#define JENNER_CORE_SCORER_H_

#include <cstddef>
#include <cstdint>
#include <string>

#include "core/fault.h"
#include "core/traits.h"

namespace jenner::core {

struct ScorerSpec {
  std::string name;          // the trait's name in results, [a-z]([a-z0-9-]{0,61}[a-z0-9])?
  std::string kind;          // of kScorerKinds
  std::string pattern = "";  // regex: RE2's syntax; contains: the text to find. At most 4096 bytes
  bool ignore_case = false;
  std::string field =
      "";  // which field of the row the answer is held against; "": the kind's default
  std::string judge = "";  // of kind judge: as workers' --judge NAME=ADDRESS names it
  bool operator==(const ScorerSpec&) const = default;
};

inline constexpr size_t kMaxPatternBytes = 4096;
inline constexpr size_t kMaxFieldNameBytes = 128;
// What a compiled pattern may take, RE2::Options::max_mem.
inline constexpr int64_t kMaxPatternMemory = int64_t{1} << 20;

// The trait of this name, measured by the kind of the same name.
inline ScorerSpec PlainScorer(const std::string& trait) { return {.name = trait, .kind = trait}; }

// What is wrong with `spec`, each fault at its field below `path` (`path`.kind and so on): a name
// that is none or another kind's; an unknown kind, with the nearest known one; a parameter that the
// kind lacks or does not take; a pattern that is too long or, for regex, does not compile (RE2's
// message). Pure; thread-safe.
Faults ValidateScorer(const std::string& path, const ScorerSpec& spec);

}  // namespace jenner::core

#endif  // JENNER_CORE_SCORER_H_
