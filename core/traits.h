// The names of the traits that answers can be scored for. worker/score implements each of them;
// this list is what a spec is validated against (a test keeps the two equal).
#ifndef JENNER_CORE_TRAITS_H_
#define JENNER_CORE_TRAITS_H_

#include <array>
#include <string_view>

namespace jenner::core {

// What sets with another mode than generate measure.
inline constexpr char kLogProbabilityTrait[] = "log-probability";  // mean of the tokens, nats
inline constexpr char kCorrectTrait[] = "correct";  // 1: the choice is the row's field "answer"

inline constexpr std::array<std::string_view, 2> kTraits = {"capitals", "spanish"};

}  // namespace jenner::core

#endif  // JENNER_CORE_TRAITS_H_
