#include "core/module_pattern.h"

#include <re2/re2.h>

#include "core/check.h"

namespace jenner::core {

std::string FaultOfModulePattern(const std::string& key) {
  const RE2 regex(key, RE2::Quiet);
  return regex.ok() ? "" : "no regular expression (RE2): " + regex.error();
}

bool FitsModule(const std::string& key, const std::string& module_path) {
  const RE2 regex("(.*\\.)?(" + key + ")", RE2::Quiet);
  JENNER_CHECK(regex.ok());
  return RE2::FullMatch(module_path, regex);
}

}  // namespace jenner::core
