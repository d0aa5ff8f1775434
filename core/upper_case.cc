#include "core/upper_case.h"

#include <unicode/locid.h>
#include <unicode/unistr.h>

namespace jenner::core {

std::string UpperCase(const std::string& utf8) {
  std::string upper;
  icu::UnicodeString::fromUTF8(utf8).toUpper(icu::Locale::getRoot()).toUTF8String(upper);
  return upper;
}

}  // namespace jenner::core
