// Which modules of a model a key of rank_pattern or alpha_pattern means, as PEFT's get_pattern_key
// has it: those whose path ("model.layers.0.self_attn.q_proj") ends with what the key, a regular
// expression in RE2's syntax, fits, behind a dot or from its beginning.
#ifndef JENNER_CORE_MODULE_PATTERN_H_
#define JENNER_CORE_MODULE_PATTERN_H_

#include <string>

namespace jenner::core {

// What is wrong with the key, in words; empty: nothing.
std::string FaultOfModulePattern(const std::string& key);

// REQUIRES: a key without fault.
bool FitsModule(const std::string& key, const std::string& module_path);

}  // namespace jenner::core

#endif  // JENNER_CORE_MODULE_PATTERN_H_
