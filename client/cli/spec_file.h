// The experiment spec as a person writes it: YAML or JSON, strictly. YAML is turned into JSON
// first: plain scalars become null, true, false, integers and numbers by YAML 1.2's core schema,
// quoted ones text.
#ifndef JENNER_CLIENT_CLI_SPEC_FILE_H_
#define JENNER_CLIENT_CLI_SPEC_FILE_H_

#include <map>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "core/fault.h"
#include "core/spec.h"

namespace jenner::cli {

inline constexpr size_t kMaxSpecBytes = size_t{1} << 20;

// A spec and the datasets that it names by path, to be uploaded.
struct SpecFile {
  core::ExperimentSpec spec;  // paths replaced by "sha256:<hex>", resolved
  struct Dataset {
    std::string path;
    std::string bytes;
    bool is_training = false;
  };
  std::vector<Dataset> datasets;
};

// Reads `path` ("-": standard input), applies `overrides` ("training.epochs=3", "arms[0].name=x";
// values as YAML), reads the datasets relative to the file's folder. InvalidArgument lists every
// fault of the file, of the spec and of its datasets, each with its path in the spec and, where it
// is known, the line or the override.
absl::StatusOr<SpecFile> ReadSpecFile(const std::string& path,
                                      const std::vector<std::string>& overrides);

// The same from a resolved spec instead of a file; datasets are relative to the current folder.
absl::StatusOr<SpecFile> OverrideSpec(const core::ExperimentSpec& spec,
                                      const std::vector<std::string>& overrides);

// YAML as JSON text; *lines maps field paths to 1-based lines. Adds faults: malformed, duplicate
// keys, keys that are not text, too deep or too large (aliases are counted as often as they are
// used).
std::string YamlToJson(const std::string& yaml, std::map<std::string, int>* lines,
                       core::Faults* faults);

// NotFound or InvalidArgument, naming the file.
absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_SPEC_FILE_H_
