#include "core/module_pattern.h"

#include <re2/re2.h>

#include "core/check.h"

namespace jenner::core {

namespace {

// A whole path, or the end of it behind a dot.
std::string Whole(const std::string& key) { return "(.*\\.)?(" + key + ")"; }

}  // namespace

std::string FaultOfModulePattern(const std::string& key) {
  // The key by itself first: its fault is the one to read. What is well may be not in brackets: \Q
  // without its end.
  for (const std::string& pattern : {key, Whole(key)}) {
    const RE2 regex(pattern, RE2::Quiet);
    if (!regex.ok()) return "no regular expression (RE2): " + regex.error();
  }
  return "";
}

bool FitsModule(const std::string& key, const std::string& module_path) {
  const RE2 regex(Whole(key), RE2::Quiet);
  JENNER_CHECK(regex.ok());
  return RE2::FullMatch(module_path, regex);
}

}  // namespace jenner::core
