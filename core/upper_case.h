// Upper case of Unicode text.
#ifndef JENNER_CORE_UPPER_CASE_H_
#define JENNER_CORE_UPPER_CASE_H_

#include <string>

namespace jenner::core {

// `utf8` in upper case by Unicode's full mapping in the root locale (a sharp s becomes "SS"). Bytes
// that are not UTF-8 become U+FFFD. Thread-safe.
std::string UpperCase(const std::string& utf8);

}  // namespace jenner::core

#endif  // JENNER_CORE_UPPER_CASE_H_
