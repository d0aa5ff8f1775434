// Strict JSON <-> ExperimentSpec and JobSpec. Unknown or duplicate keys, wrong types and numbers
// that do not fit are faults; all of them are collected. parse(print(x)) == x.
#ifndef JENNER_CORE_SPEC_JSON_H_
#define JENNER_CORE_SPEC_JSON_H_

#include <string>

#include "core/fault.h"
#include "core/job.h"
#include "core/spec.h"

namespace jenner::core {

inline constexpr char kJobVersion[] = "jenner.job/v1";

// What could be read; anything absent has its default. Adds to *faults what could not.
ExperimentSpec ParseExperimentSpec(const std::string& json, Faults* faults);
// The same for docs/formats/job.md, whose "version" must be kJobVersion.
JobSpec ParseJobSpec(const std::string& json, Faults* faults);

// Canonical JSON: every field, keys sorted, no white space. Absent optionals are left out.
std::string ToJson(const ExperimentSpec& spec);
std::string ToJson(const JobSpec& job);

// "j" and the first 16 hex digits of the SHA-256 of ToJson(job) without
// checkpoint_steps, gradient_checkpointing and zero_stage of training.settings, which change no
// result.
std::string JobId(const JobSpec& job);

}  // namespace jenner::core

#endif  // JENNER_CORE_SPEC_JSON_H_
