// What an experiment would take, before it is submitted.
#ifndef JENNER_SERVER_RPC_PLAN_H_
#define JENNER_SERVER_RPC_PLAN_H_

#include <vector>

#include "absl/status/status.h"
#include "core/resolve.h"
#include "jenner/v1/experiment.pb.h"
#include "server/coordinator/state.h"
#include "server/rpc/prepare.h"

namespace jenner::rpc {

// No training of a valid spec is evaluated more than core::kMaxEvaluations times. InvalidArgument.
absl::Status CheckSteps(const core::ExperimentSpec& spec, const DatasetSizes& sizes);

// Of the jobs of `spec`, with the sizes of its datasets, for which CheckSteps is OK; `state` tells
// the pace of earlier trainings and how many slots there are. Pure.
v1::Plan PlanOf(const core::ExperimentSpec& spec, const std::vector<core::PlannedJob>& jobs,
                const DatasetSizes& sizes, const coordinator::State& state);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_PLAN_H_
