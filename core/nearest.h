// What a mistyped name was meant to be.
#ifndef JENNER_CORE_NEAREST_H_
#define JENNER_CORE_NEAREST_H_

#include <string>
#include <vector>

namespace jenner::core {

// The name in `known` nearest to `word` (edit distance at most 2), or "".
std::string Nearest(const std::string& word, const std::vector<std::string>& known);

}  // namespace jenner::core

#endif  // JENNER_CORE_NEAREST_H_
