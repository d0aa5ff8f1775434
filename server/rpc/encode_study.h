// Study -> the messages of study.proto. Pure.
#ifndef JENNER_SERVER_RPC_ENCODE_STUDY_H_
#define JENNER_SERVER_RPC_ENCODE_STUDY_H_

#include <vector>

#include "core/spec.h"
#include "core/study/gates.h"
#include "core/study/screen.h"
#include "core/study/study.h"
#include "jenner/v1/study.pb.h"

namespace jenner::rpc {

v1::Study Encode(const study::Study& study);
v1::GateFailure Encode(const study::GateFailure& failure, const study::Study& study);
// With the contexts' content from the spec.
v1::Screen Encode(const study::Screen& screen, const study::ScoreTable& table,
                  const core::ExperimentSpec& spec);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_ENCODE_STUDY_H_
