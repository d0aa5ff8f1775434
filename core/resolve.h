// From what a user wrote to jobs: Resolve fills defaults in, Validate lists every fault, Expand
// makes the jobs. All pure and deterministic.
#ifndef JENNER_CORE_RESOLVE_H_
#define JENNER_CORE_RESOLVE_H_

#include <cstddef>
#include <optional>
#include <string>
#include <vector>

#include "core/fault.h"
#include "core/job.h"
#include "core/spec.h"

namespace jenner::core {

// The same spec with everything filled in that stays implicit in a struct's defaults: no evaluation
// contexts means all of them, by name. Resolve(Resolve(x)) == Resolve(x).
ExperimentSpec Resolve(ExperimentSpec spec);

// Every fault of a resolved spec, in the order of the fields. Datasets must be "sha256:<hex>".
Faults Validate(const ExperimentSpec& spec);

// Every fault of a job, as jenner-trainer reads it; a dataset may be a path there.
Faults Validate(const JobSpec& job);

struct ArmSeed {
  std::string arm;
  int64_t seed = 0;
  bool operator==(const ArmSeed&) const = default;
};

// A job and whose it is.
struct PlannedJob {
  std::string id;
  JobSpec spec;
  std::vector<ArmSeed> arms;  // for which (arm, seed) its cells count, in the order of the spec
  // The job that it goes on from (JobTraining::after): where that is among the jobs, before it.
  std::optional<size_t> after = {};
  bool operator==(const PlannedJob&) const = default;
};

// The jobs of a resolved and valid spec, each content once: first the evaluations of the base
// model, then the trainings by arm and seed. The cells of fraction 0 of every arm are those of the
// base model's job; greedy answers do not depend on the seed, so with temperature 0 that job has
// the first seed and serves all of them.
std::vector<PlannedJob> Expand(const ExperimentSpec& spec);

// The same without the ids, for who has them already: each costs a hash of the job's whole text.
std::vector<PlannedJob> ExpandUnnamed(const ExperimentSpec& spec);

}  // namespace jenner::core

#endif  // JENNER_CORE_RESOLVE_H_
