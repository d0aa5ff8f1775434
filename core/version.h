// Versions of the programs, and which of them work together: docs/operations.md, "Version skew".
// Pure.
#ifndef JENNER_CORE_VERSION_H_
#define JENNER_CORE_VERSION_H_

#include <cstdint>
#include <optional>
#include <string_view>

namespace jenner::core {

// "0.1.0": MAJOR.MINOR.PATCH. What a release changes: the patch nothing that another program sees,
// the minor the protocol by fields and calls that are added, the major anything.
struct Version {
  int32_t major_number = 0;
  int32_t minor_number = 0;
  int32_t patch_number = 0;
  bool operator==(const Version&) const = default;
};

// Nothing: not three numbers of at most six digits.
std::optional<Version> ParseVersion(std::string_view text);

enum class VersionSkew {
  kNone,  // of one minor version, or one of the two is not a version
  kNear,  // of adjacent minor versions of one major: they work together, for the time of an upgrade
  kFar,   // anything else: they do not
};

VersionSkew SkewOf(std::string_view one, std::string_view other);

// The metadata in which a server tells its version with the answer to each call.
inline constexpr char kVersionMetadata[] = "jenner-version";

}  // namespace jenner::core

#endif  // JENNER_CORE_VERSION_H_
