// Specs and job files as JSON: what is read without a fault comes back as it was.
#include "core/resolve.h"
#include "core/spec_json.h"
#include "tests/fuzz/target.h"

JENNER_FUZZ_TARGET(spec_json) {
  using namespace jenner::core;
  Faults faults;
  const ExperimentSpec spec = ParseExperimentSpec(input, &faults);
  if (faults.empty()) {
    Faults again;
    JENNER_CHECK(ParseExperimentSpec(ToJson(spec), &again) == spec && again.empty());
    Validate(Resolve(spec));
  }
  faults.clear();
  const JobSpec job = ParseJobSpec(input, &faults);
  if (!faults.empty()) return;
  Faults again;
  JENNER_CHECK(ParseJobSpec(ToJson(job), &again) == job && again.empty());
}
