// A study as tables for a terminal.
#ifndef JENNER_CLIENT_CLI_STUDY_TABLE_H_
#define JENNER_CLIENT_CLI_STUDY_TABLE_H_

#include <string>

#include "jenner/v1/study.pb.h"

namespace jenner::cli {

// "0.69 [0.56, 0.79]", "n/a" without a value; `digits` after the point.
std::string FormatEstimate(const v1::Estimate& estimate, int digits = 2);

// Levels (a table a prompt set and trait: arm x context), figures of the arms, contrasts where arms
// are deployed, k, the decomposition, elicitation against suppression; what failed a gate and the
// notes last. What has nothing in it is left out.
std::string FormatStudy(const v1::Study& study);

// One row a candidate.
std::string FormatScreen(const v1::Screen& screen);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_STUDY_TABLE_H_
