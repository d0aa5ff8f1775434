// JENNER_FUZZ_TARGET(name) { ... } takes `input` and must neither crash nor break what it checks.
// With clang (preset fuzz) it is a libFuzzer program of its own; in every other build
// replay_test.cc gives it the corpus tests/fuzz/corpus/<name>/ and what is near to it.
#ifndef JENNER_TESTS_FUZZ_TARGET_H_
#define JENNER_TESTS_FUZZ_TARGET_H_

#include <cstdint>
#include <map>
#include <string>

#include "core/check.h"

namespace jenner::fuzz {

using Target = void (*)(const std::string& input);

// By name.
std::map<std::string, Target>& Targets();

struct Registration {
  Registration(const char* name, Target target) { Targets()[name] = target; }
};

}  // namespace jenner::fuzz

#ifdef JENNER_FUZZ
#define JENNER_FUZZ_ENTRY(name)                                             \
  extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) { \
    Fuzz_##name(std::string(reinterpret_cast<const char*>(data), size));    \
    return 0;                                                               \
  }
#else
#define JENNER_FUZZ_ENTRY(name) \
  static const jenner::fuzz::Registration registration_##name(#name, Fuzz_##name);
#endif

#define JENNER_FUZZ_TARGET(name)                     \
  static void Fuzz_##name(const std::string& input); \
  JENNER_FUZZ_ENTRY(name)                            \
  static void Fuzz_##name(const std::string& input)

#endif  // JENNER_TESTS_FUZZ_TARGET_H_
