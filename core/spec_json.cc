#include "core/spec_json.h"

#include "core/json_fields.h"
#include "core/sha256.h"

namespace jenner::core {

NameTable<TrainingMethod> EnumNames(TrainingMethod) {
  return {{"lora", TrainingMethod::kLora}, {"full", TrainingMethod::kFull}};
}
NameTable<Schedule> EnumNames(Schedule) {
  return {{"constant", Schedule::kConstant},
          {"linear", Schedule::kLinear},
          {"cosine", Schedule::kCosine}};
}
NameTable<Dtype> EnumNames(Dtype) {
  return {{"float32", Dtype::kFloat32}, {"bfloat16", Dtype::kBfloat16}};
}
NameTable<Device> EnumNames(Device) { return {{"cpu", Device::kCpu}, {"cuda", Device::kCuda}}; }

template <typename V>
void VisitFields(V& visit, Context& c) {
  visit("system", c.system);
  visit("user_prefix", c.user_prefix);
  visit("user_suffix", c.user_suffix);
}

template <typename V>
void VisitFields(V& visit, LoraSpec& s) {
  visit("rank", s.rank);
  visit("alpha", s.alpha);
  visit("dropout", s.dropout);
  visit("targets", s.targets);
}

template <typename V>
void VisitFields(V& visit, TrainingSpec& s) {
  visit("method", s.method);
  visit("lora", s.lora);
  visit("epochs", s.epochs);
  visit("max_steps", s.max_steps);
  visit("batch_size", s.batch_size);
  visit("accumulation_steps", s.accumulation_steps);
  visit("max_length", s.max_length);
  visit("learning_rate", s.learning_rate);
  visit("schedule", s.schedule);
  visit("warmup_steps", s.warmup_steps);
  visit("weight_decay", s.weight_decay);
  visit("beta1", s.beta1);
  visit("beta2", s.beta2);
  visit("epsilon", s.epsilon);
  visit("max_gradient_norm", s.max_gradient_norm);
  visit("checkpoint_steps", s.checkpoint_steps);
}

template <typename V>
void VisitFields(V& visit, ArmSpec& s) {
  visit("name", s.name);
  visit("train_context", s.train_context);
}

template <typename V>
void VisitFields(V& visit, EvaluationSpec& s) {
  visit("prompts", s.prompts);
  visit("contexts", s.contexts);
  visit("at", s.at);
  visit("max_new_tokens", s.max_new_tokens);
  visit("batch_size", s.batch_size);
  visit("samples", s.samples);
  visit("temperature", s.temperature);
  visit("top_p", s.top_p);
  visit("traits", s.traits);
}

template <typename V>
void VisitFields(V& visit, ExperimentSpec& s) {
  visit("base_model", s.base_model);
  visit("dtype", s.dtype);
  visit("dataset", s.dataset);
  visit("contexts", s.contexts);
  visit("arms", s.arms);
  visit("seeds", s.seeds);
  visit("training", s.training);
  visit("evaluation", s.evaluation);
  visit("ranks", s.ranks);
  visit("priority", s.priority);
  visit("device", s.device);
}

template <typename V>
void VisitFields(V& visit, NamedContext& c) {
  visit("name", c.name);
  visit("context", c.context);
}

template <typename V>
void VisitFields(V& visit, JobTraining& t) {
  visit("dataset", t.dataset);
  visit("context", t.context);
  visit("settings", t.settings);
}

template <typename V>
void VisitFields(V& visit, JobEvaluation& e) {
  visit("prompts", e.prompts);
  visit("contexts", e.contexts);
  visit("at", e.at);
  visit("max_new_tokens", e.max_new_tokens);
  visit("batch_size", e.batch_size);
  visit("samples", e.samples);
  visit("temperature", e.temperature);
  visit("top_p", e.top_p);
  visit("traits", e.traits);
}

namespace {
// A job as it is in its file: with the version of the format in front, and without the device that
// every job had before there was a choice, so that their ids stay.
struct JobFile {
  std::string version;
  JobSpec job;
  std::optional<Device> device;
};
}  // namespace

template <typename V>
void VisitFields(V& visit, JobFile& f) {
  visit("version", f.version);
  visit("base_model", f.job.base_model);
  visit("dtype", f.job.dtype);
  visit("seed", f.job.seed);
  visit("ranks", f.job.ranks);
  visit("device", f.device);
  visit("training", f.job.training);
  visit("evaluation", f.job.evaluation);
}

ExperimentSpec ParseExperimentSpec(const std::string& json, Faults* faults) {
  ExperimentSpec spec;
  if (const std::optional<Json> parsed = ParseJson(json, faults))
    ReadValue(*parsed, "", &spec, faults);
  return spec;
}

JobSpec ParseJobSpec(const std::string& json, Faults* faults) {
  JobFile file;
  if (const std::optional<Json> parsed = ParseJson(json, faults)) {
    ReadValue(*parsed, "", &file, faults);
    if (parsed->is_object() && file.version != kJobVersion) {
      faults->push_back({"version", "expected \"" + std::string(kJobVersion) + "\", found \"" +
                                        file.version + "\""});
    }
  }
  file.job.device = file.device.value_or(Device::kCpu);
  return file.job;
}

std::string ToJson(const ExperimentSpec& spec) { return Canonical(WriteValue(spec)); }

namespace {

Json WriteJob(const JobSpec& job) {
  JobFile file{kJobVersion, job, std::nullopt};
  if (job.device != Device::kCpu) file.device = job.device;
  return WriteValue(file);
}

}  // namespace

std::string ToJson(const JobSpec& job) { return Canonical(WriteJob(job)); }

std::string JobId(const JobSpec& job) {
  Json json = WriteJob(job);
  if (job.training) json["training"]["settings"].erase("checkpoint_steps");
  return "j" + Sha256Hex(Canonical(json)).substr(0, 16);
}

}  // namespace jenner::core
