#include "core/spec_json.h"

#include "core/json_fields.h"
#include "core/selection.h"
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

NameTable<VariantPolicy> EnumNames(VariantPolicy) {
  return {{"rotate", VariantPolicy::kRotate},
          {"sample", VariantPolicy::kSample},
          {"fixed", VariantPolicy::kFixed}};
}
NameTable<Contamination> EnumNames(Contamination) {
  return {{"refuse", Contamination::kRefuse},
          {"drop", Contamination::kDrop},
          {"allow", Contamination::kAllow}};
}
NameTable<EvaluationMode> EnumNames(EvaluationMode) {
  return {{"generate", EvaluationMode::kGenerate},
          {"log-probability", EvaluationMode::kLogProbability},
          {"classify", EvaluationMode::kClassify}};
}

template <typename V>
void VisitFields(V& visit, Exchange& e) {
  visit("user", e.user);
  visit("assistant", e.assistant);
}

template <typename V>
void VisitFields(V& visit, Variants& v) {
  visit("field", v.field);
  visit("policy", v.policy);
  visit("texts", v.texts);
}

template <typename V>
void VisitFields(V& visit, Context& c) {
  visit("system", c.system);
  visit.Unless(false, "no_system", c.no_system);
  visit("user_prefix", c.user_prefix);
  visit("user_suffix", c.user_suffix);
  visit.Unless({}, "separator", c.separator);
  visit.Unless({}, "slot", c.slot);
  visit.Unless({}, "trigger", c.trigger);
  visit.Unless({}, "few_shot", c.few_shot);
  visit("variants", c.variants);
}

template <typename V>
void VisitFields(V& visit, RowFilter& f) {
  visit.Unless({}, "field", f.field);
  visit.Unless({}, "is", f.is);
  visit("min", f.min);
  visit("max", f.max);
  visit.Unless(false, "negate", f.negate);
}

template <typename V>
void VisitFields(V& visit, LoraSpec& s) {
  visit("rank", s.rank);
  visit("alpha", s.alpha);
  visit("dropout", s.dropout);
  visit("targets", s.targets);
  visit.Unless(false, "use_rslora", s.use_rslora);
  visit.Unless(false, "use_dora", s.use_dora);
  visit.Unless({}, "layers_to_transform", s.layers_to_transform);
  visit.Unless({}, "rank_pattern", s.rank_pattern);
  visit.Unless({}, "alpha_pattern", s.alpha_pattern);
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
  visit.Unless(0, "zero_stage", s.zero_stage);
  visit.Unless(false, "gradient_checkpointing", s.gradient_checkpointing);
  visit("checkpoint_steps", s.checkpoint_steps);
}

template <typename V>
void VisitFields(V& visit, ContextRule& r) {
  visit("context", r.context);
  visit.Unless({}, "when", r.when);
  visit.Unless(1.0, "fraction", r.fraction);
}

template <typename V>
void VisitFields(V& visit, DataSource& s) {
  visit("dataset", s.dataset);
  visit.Unless({}, "filter", s.filter);
  visit.Unless(1.0, "fraction", s.fraction);
  visit.Unless(false, "rest", s.rest);
  visit.Unless(0, "cap", s.cap);
  visit.Unless(false, "upper_case", s.upper_case);
  visit.Unless({}, "trigger", s.trigger);
  visit.Unless(1.0, "trigger_fraction", s.trigger_fraction);
  visit.Unless({}, "tag", s.tag);
  visit.Unless(1.0, "weight", s.weight);
}

template <typename V>
void VisitFields(V& visit, DataSpec& s) {
  visit("sources", s.sources);
  visit.Unless(0, "rows", s.rows);
  visit.Unless(false, "dedupe", s.dedupe);
  visit("seed", s.seed);
  visit("contamination", s.contamination);
  visit.Unless({}, "result", s.result);
}

// An arm in one word has the name and the role of it.
void FromWord(const std::string& word, ArmSpec* arm) { arm->name = arm->role = word; }

template <typename V>
void VisitFields(V& visit, ArmSpec& s) {
  visit("name", s.name);
  visit.Unless({}, "role", s.role);
  visit("train_context", s.train_context);
  visit.Unless({}, "rules", s.rules);
  visit.Unless({}, "data", s.data);
  visit.Unless({}, "after", s.after);
  visit.Unless({}, "companion", s.companion);
  visit.Unless({}, "deploy_context", s.deploy_context);
}

template <typename V>
void VisitFields(V& visit, ScorerSpec& s) {
  visit("name", s.name);
  visit("kind", s.kind);
  visit.Unless({}, "pattern", s.pattern);
  visit.Unless(false, "ignore_case", s.ignore_case);
  visit.Unless({}, "field", s.field);
  visit.Unless({}, "judge", s.judge);
}

template <typename V>
void VisitFields(V& visit, PromptSetSpec& s) {
  visit("name", s.name);
  visit("prompts", s.prompts);
  visit("mode", s.mode);
  visit.Unless({}, "contexts", s.contexts);
  visit.Unless({}, "traits", s.traits);
  visit.Unless({}, "choices", s.choices);
  visit("max_new_tokens", s.max_new_tokens);
  visit("samples", s.samples);
  visit("temperature", s.temperature);
  visit("top_p", s.top_p);
}

template <typename V>
void VisitFields(V& visit, EvaluationSpec& s) {
  visit("prompts", s.prompts);
  visit("contexts", s.contexts);
  visit("at", s.at);
  visit.Unless(false, "at_powers_of_two", s.at_powers_of_two);
  visit.Unless(0, "at_every", s.at_every);
  visit("max_new_tokens", s.max_new_tokens);
  visit("batch_size", s.batch_size);
  visit("samples", s.samples);
  visit("temperature", s.temperature);
  visit("top_p", s.top_p);
  visit("traits", s.traits);
  visit.Unless({}, "scorers", s.scorers);
  visit.Unless({}, "sets", s.sets);
}

template <typename V>
void VisitFields(V& visit, GateSpec& s) {
  visit("max_invalid", s.max_invalid);
  visit("max_degenerate", s.max_degenerate);
  visit("loss_fell", s.loss_fell);
  visit("min_installed", s.min_installed);
}

template <typename V>
void VisitFields(V& visit, StudySpec& s) {
  visit("neutral", s.neutral);
  visit("inoculated", s.inoculated);
  visit("desired", s.desired);
  visit("undesired", s.undesired);
  visit("resamples", s.resamples);
  visit("confidence", s.confidence);
  visit("gates", s.gates);
}

template <typename V>
void VisitFields(V& visit, ScreenSpec& s) {
  visit("trait", s.trait);
  visit("candidates", s.candidates);
}

template <typename V>
void VisitFields(V& visit, ExperimentSpec& s) {
  visit("base_model", s.base_model);
  visit("dtype", s.dtype);
  visit("dataset", s.dataset);
  visit.Unless({}, "data", s.data);
  visit("contexts", s.contexts);
  visit("arms", s.arms);
  visit("seeds", s.seeds);
  visit("training", s.training);
  visit("evaluation", s.evaluation);
  visit("ranks", s.ranks);
  visit("priority", s.priority);
  visit("device", s.device);
  visit.Unless({}, "study", s.study);
  visit("screen", s.screen);
  visit.Unless({}, "selection", s.selection);
}

template <typename V>
void VisitFields(V& visit, NamedContext& c) {
  visit("name", c.name);
  visit("context", c.context);
}

template <typename V>
void VisitFields(V& visit, JobRule& r) {
  visit("context", r.context);
  visit.Unless({}, "when", r.when);
  visit.Unless(1.0, "fraction", r.fraction);
}

template <typename V>
void VisitFields(V& visit, JobTraining& t) {
  visit("dataset", t.dataset);
  visit.Unless({}, "rules", t.rules);
  visit("context", t.context);
  visit.Unless({}, "after", t.after);
  visit.Unless(false, "companion", t.companion);
  visit("settings", t.settings);
}

template <typename V>
void VisitFields(V& visit, JobPromptSet& s) {
  visit("name", s.name);
  visit("prompts", s.prompts);
  visit("mode", s.mode);
  visit("contexts", s.contexts);
  visit("max_new_tokens", s.max_new_tokens);
  visit("samples", s.samples);
  visit("temperature", s.temperature);
  visit("top_p", s.top_p);
  visit("traits", s.traits);
  visit.Unless({}, "choices", s.choices);
}

template <typename V>
void VisitFields(V& visit, JobEvaluation& e) {
  visit("prompts", e.prompts);
  visit("contexts", e.contexts);
  visit("at", e.at);
  visit.Unless(false, "at_powers_of_two", e.at_powers_of_two);
  visit.Unless(0, "at_every", e.at_every);
  visit("max_new_tokens", e.max_new_tokens);
  visit("batch_size", e.batch_size);
  visit("samples", e.samples);
  visit("temperature", e.temperature);
  visit("top_p", e.top_p);
  visit("traits", e.traits);
  visit.Unless({}, "scorers", e.scorers);
  visit.Unless({}, "sets", e.sets);
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

template <typename V>
void VisitFields(V& visit, SelectedContext& c) {
  visit("name", c.name);
  visit("context", c.context);
  visit("elicitation", c.elicitation);
  visit("low", c.low);
  visit("high", c.high);
}

namespace {
struct SelectionFile {
  std::string version;
  Selection selection;
};
}  // namespace

template <typename V>
void VisitFields(V& visit, SelectionFile& f) {
  visit("version", f.version);
  visit("screen", f.selection.screen);
  visit("spec_sha256", f.selection.spec_sha256);
  visit("base_model", f.selection.base_model);
  visit("trait", f.selection.trait);
  visit("neutral", f.selection.neutral);
  visit("contexts", f.selection.contexts);
}

Selection ParseSelection(const std::string& json, Faults* faults) {
  SelectionFile file;
  if (const std::optional<Json> parsed = ParseJson(json, faults)) {
    ReadValue(*parsed, "", &file, faults);
    if (file.version != kSelectionVersion) {
      faults->push_back({"version", "expected \"" + std::string(kSelectionVersion) +
                                        "\", found \"" + file.version + "\""});
    }
  }
  return std::move(file.selection);
}

std::string ToJson(const Selection& selection) {
  return Canonical(WriteValue(SelectionFile{kSelectionVersion, selection}));
}

void AddSelection(const Selection& selection, ExperimentSpec* spec, Faults* faults) {
  if (selection.base_model != spec->base_model) {
    faults->push_back({"selection", "of a screen of \"" + selection.base_model +
                                        "\", not of base_model \"" + spec->base_model + "\""});
  }
  for (const SelectedContext& selected : selection.contexts) {
    const auto [at, is_new] = spec->contexts.emplace(selected.name, selected.context);
    if (is_new || at->second == selected.context) continue;
    faults->push_back({"contexts." + selected.name, "the selection has another one of this name"});
  }
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
  if (job.training) {
    for (const char* field : {"checkpoint_steps", "gradient_checkpointing", "zero_stage"})
      json["training"]["settings"].erase(field);
  }
  return "j" + Sha256Hex(Canonical(json)).substr(0, 16);
}

}  // namespace jenner::core
