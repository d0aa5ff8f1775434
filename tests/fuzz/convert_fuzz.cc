// A create request's spec as it comes over the wire: what a client can send is read, or refused
// with faults; what is read comes back as it was.
#include "core/resolve.h"
#include "core/spec_json.h"
#include "tests/fuzz/target.h"
#include "wire/convert.h"

JENNER_FUZZ_TARGET(convert) {
  jenner::v1::CreateExperimentRequest request;
  if (!request.ParseFromString(input)) return;
  jenner::core::Faults faults;
  const jenner::core::ExperimentSpec spec = jenner::wire::ToCore(request.spec(), &faults);
  const jenner::core::ExperimentSpec resolved = jenner::core::Resolve(spec);
  jenner::core::Validate(resolved);
  jenner::core::ToJson(resolved);
  if (!faults.empty()) return;
  // Not compared as values: a number that is none (NaN) is not equal to itself.
  jenner::core::Faults again;
  const auto back = jenner::wire::ToCore(jenner::wire::ToProto(spec), &again);
  JENNER_CHECK(again.empty() && jenner::core::ToJson(back) == jenner::core::ToJson(spec));
}
