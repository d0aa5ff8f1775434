// What an arm is in a study: the controls that users of inoculation prompting expect, by one word.
//   base             the model as it is
//   no-inoculation   trained in the neutral context (study.neutral)
//   inoculated       trained in the inoculation context (study.inoculated)
//   neutral          trained in a context named "neutral": a neutral instruction
//   irrelevant       in a context named "irrelevant": a text that has nothing to do with the trait
//   negated          in "negated": the inoculation's opposite
//   placebo          in "placebo": of the inoculation's shape, but it names no trait
//   rephrased        in "rephrased": the inoculation in many wordings (Context::variants)
//   clean-data       in the neutral context, on data named "clean": what there is to reach
//   ptst             in the neutral context, deployed in "safe": the test prompt alone is changed
//                    ("pure tuning, safe testing", arXiv 2402.18540)
//   two-stage        in study.inoculated, from the checkpoint of the arm that `after` names
// irrelevant and placebo have texts of their own where the spec has no context of that name, put
// where the inoculation has its text, if that is one place.
#ifndef JENNER_CORE_ROLES_H_
#define JENNER_CORE_ROLES_H_

#include <array>
#include <string_view>

#include "core/spec.h"

namespace jenner::core {

inline constexpr std::array<std::string_view, 11> kRoles = {
    "base",    "no-inoculation", "inoculated", "neutral", "irrelevant", "negated",
    "placebo", "rephrased",      "clean-data", "ptst",    "two-stage"};

// Fills in what arms with a role leave out, and the contexts irrelevant and placebo where an arm
// needs them. An arm without a role whose name is one has that role, but for a trained "base".
// Nothing that is written is changed.
void ResolveRoles(ExperimentSpec* spec);

}  // namespace jenner::core

#endif  // JENNER_CORE_ROLES_H_
