// The coordinator's and the store's values as messages of jenner.v1. Pure.
#ifndef JENNER_SERVER_RPC_ENCODE_H_
#define JENNER_SERVER_RPC_ENCODE_H_

#include <string>
#include <vector>

#include "core/cell_format.h"
#include "jenner/v1/experiment.pb.h"
#include "server/coordinator/state.h"
#include "server/rpc/backend.h"
#include "server/store/metric_store.h"

namespace jenner::rpc {

enum class Detail {
  kFull,
  kWithoutSpec,  // a watch update
  kListed,       // without spec and artifacts
};

v1::Experiment Encode(const coordinator::Experiment& experiment, const View& view, Detail detail);

// Why the job is in its state; for a queued one, why it waits.
coordinator::Reason ReasonOf(const coordinator::Experiment& experiment, const coordinator::Job& job,
                             const View& view);

// "arm/seed"
std::vector<std::string> ArmNames(const coordinator::Job& job);

v1::StateReason Encode(const coordinator::Reason& reason);
v1::TrainPoint Encode(const std::string& experiment, const store::TrainPoint& point);
v1::Rewind Encode(const std::string& experiment, const store::Rewind& rewind);
// With Wilson's intervals if there is one answer a prompt; `arms` is left to the caller.
v1::Cell Encode(const std::string& experiment, const store::Cell& cell,
                const core::CellFormat& format);
v1::Sample Encode(const std::string& experiment, const store::StoredSample& sample);
v1::LogLine Encode(const std::string& experiment, const store::LogLine& line);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_ENCODE_H_
