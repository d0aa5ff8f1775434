// Spec files as a person writes them: YAML that is taken becomes JSON that can be read.
#include <nlohmann/json.hpp>

#include "client/cli/spec_file.h"
#include "core/spec_json.h"
#include "tests/fuzz/target.h"

JENNER_FUZZ_TARGET(spec_yaml) {
  if (input.size() > jenner::cli::kMaxSpecBytes) return;
  jenner::core::Faults faults;
  std::map<std::string, int> lines;
  const std::string json = jenner::cli::YamlToJson(input, &lines, &faults);
  if (!faults.empty()) return;
  JENNER_CHECK(nlohmann::json::accept(json));
  jenner::core::ParseExperimentSpec(json, &faults);
}
