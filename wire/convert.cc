#include "wire/convert.h"

#include <utility>
#include <vector>

#include "absl/strings/str_format.h"

namespace jenner::wire {
namespace {

template <typename List>
auto VectorOf(const List& list) {
  return std::vector<typename List::value_type>(list.begin(), list.end());
}

template <typename Proto, typename Core>
using EnumTable = std::vector<std::pair<Proto, Core>>;

const EnumTable<v1::TrainingMethod, core::TrainingMethod>& Methods() {
  static const auto* const kTable = new EnumTable<v1::TrainingMethod, core::TrainingMethod>{
      {v1::TRAINING_METHOD_LORA, core::TrainingMethod::kLora},
      {v1::TRAINING_METHOD_FULL, core::TrainingMethod::kFull}};
  return *kTable;
}

const EnumTable<v1::Schedule, core::Schedule>& Schedules() {
  static const auto* const kTable = new EnumTable<v1::Schedule, core::Schedule>{
      {v1::SCHEDULE_CONSTANT, core::Schedule::kConstant},
      {v1::SCHEDULE_LINEAR, core::Schedule::kLinear},
      {v1::SCHEDULE_COSINE, core::Schedule::kCosine}};
  return *kTable;
}

const EnumTable<v1::Dtype, core::Dtype>& Dtypes() {
  static const auto* const kTable = new EnumTable<v1::Dtype, core::Dtype>{
      {v1::DTYPE_FLOAT32, core::Dtype::kFloat32}, {v1::DTYPE_BFLOAT16, core::Dtype::kBfloat16}};
  return *kTable;
}

const EnumTable<v1::Device, core::Device>& Devices() {
  static const auto* const kTable = new EnumTable<v1::Device, core::Device>{
      {v1::DEVICE_CPU, core::Device::kCpu}, {v1::DEVICE_CUDA, core::Device::kCuda}};
  return *kTable;
}

const EnumTable<v1::VariantPolicy, core::VariantPolicy>& Policies() {
  static const auto* const kTable = new EnumTable<v1::VariantPolicy, core::VariantPolicy>{
      {v1::VARIANT_POLICY_ROTATE, core::VariantPolicy::kRotate},
      {v1::VARIANT_POLICY_SAMPLE, core::VariantPolicy::kSample},
      {v1::VARIANT_POLICY_FIXED, core::VariantPolicy::kFixed}};
  return *kTable;
}

const EnumTable<v1::Contamination, core::Contamination>& Contaminations() {
  static const auto* const kTable = new EnumTable<v1::Contamination, core::Contamination>{
      {v1::CONTAMINATION_REFUSE, core::Contamination::kRefuse},
      {v1::CONTAMINATION_DROP, core::Contamination::kDrop},
      {v1::CONTAMINATION_ALLOW, core::Contamination::kAllow}};
  return *kTable;
}

const EnumTable<v1::EvaluationMode, core::EvaluationMode>& Modes() {
  static const auto* const kTable = new EnumTable<v1::EvaluationMode, core::EvaluationMode>{
      {v1::EVALUATION_MODE_GENERATE, core::EvaluationMode::kGenerate},
      {v1::EVALUATION_MODE_LOG_PROBABILITY, core::EvaluationMode::kLogProbability},
      {v1::EVALUATION_MODE_CLASSIFY, core::EvaluationMode::kClassify}};
  return *kTable;
}

// 0 is "unset" in each enumeration of the wire.
template <typename Proto, typename Core>
void ReadEnum(Proto message, const EnumTable<Proto, Core>& table, const std::string& path,
              Core* value, core::Faults* faults) {
  if (static_cast<int>(message) == 0) return;
  for (const auto& [proto, known] : table) {
    if (proto == message) {
      *value = known;
      return;
    }
  }
  faults->push_back({path, absl::StrFormat("unknown value %d", static_cast<int>(message))});
}

template <typename Proto, typename Core>
Proto WriteEnum(Core value, const EnumTable<Proto, Core>& table) {
  for (const auto& [proto, known] : table) {
    if (known == value) return proto;
  }
  return Proto{};
}

core::LoraSpec ToCore(const v1::LoraSpec& message) {
  core::LoraSpec lora;
  if (message.has_rank()) lora.rank = message.rank();
  if (message.has_alpha()) lora.alpha = message.alpha();
  if (message.has_dropout()) lora.dropout = message.dropout();
  if (message.targets_size() > 0) lora.targets = VectorOf(message.targets());
  lora.use_rslora = message.use_rslora();
  lora.use_dora = message.use_dora();
  lora.layers_to_transform = VectorOf(message.layers_to_transform());
  lora.rank_pattern = {message.rank_pattern().begin(), message.rank_pattern().end()};
  lora.alpha_pattern = {message.alpha_pattern().begin(), message.alpha_pattern().end()};
  return lora;
}

v1::LoraSpec ToProto(const core::LoraSpec& lora) {
  v1::LoraSpec message;
  message.set_rank(lora.rank);
  message.set_alpha(lora.alpha);
  message.set_dropout(lora.dropout);
  for (const std::string& target : lora.targets) message.add_targets(target);
  message.set_use_rslora(lora.use_rslora);
  message.set_use_dora(lora.use_dora);
  message.mutable_layers_to_transform()->Assign(lora.layers_to_transform.begin(),
                                                lora.layers_to_transform.end());
  message.mutable_rank_pattern()->insert(lora.rank_pattern.begin(), lora.rank_pattern.end());
  message.mutable_alpha_pattern()->insert(lora.alpha_pattern.begin(), lora.alpha_pattern.end());
  return message;
}

core::TrainingSpec ToCore(const v1::TrainingSpec& message, core::Faults* faults) {
  core::TrainingSpec training;
  ReadEnum(message.method(), Methods(), "training.method", &training.method, faults);
  training.lora = ToCore(message.lora());
  if (message.has_epochs()) training.epochs = message.epochs();
  if (message.has_max_steps()) training.max_steps = message.max_steps();
  if (message.has_batch_size()) training.batch_size = message.batch_size();
  if (message.has_accumulation_steps()) training.accumulation_steps = message.accumulation_steps();
  if (message.has_max_length()) training.max_length = message.max_length();
  if (message.has_learning_rate()) training.learning_rate = message.learning_rate();
  ReadEnum(message.schedule(), Schedules(), "training.schedule", &training.schedule, faults);
  if (message.has_warmup_steps()) training.warmup_steps = message.warmup_steps();
  if (message.has_weight_decay()) training.weight_decay = message.weight_decay();
  if (message.has_beta1()) training.beta1 = message.beta1();
  if (message.has_beta2()) training.beta2 = message.beta2();
  if (message.has_epsilon()) training.epsilon = message.epsilon();
  if (message.has_max_gradient_norm()) training.max_gradient_norm = message.max_gradient_norm();
  training.zero_stage = message.zero_stage();
  training.gradient_checkpointing = message.gradient_checkpointing();
  if (message.has_checkpoint_steps()) training.checkpoint_steps = message.checkpoint_steps();
  return training;
}

v1::TrainingSpec ToProto(const core::TrainingSpec& training) {
  v1::TrainingSpec message;
  message.set_method(WriteEnum(training.method, Methods()));
  *message.mutable_lora() = ToProto(training.lora);
  message.set_epochs(training.epochs);
  message.set_max_steps(training.max_steps);
  message.set_batch_size(training.batch_size);
  message.set_accumulation_steps(training.accumulation_steps);
  message.set_max_length(training.max_length);
  message.set_learning_rate(training.learning_rate);
  message.set_schedule(WriteEnum(training.schedule, Schedules()));
  message.set_warmup_steps(training.warmup_steps);
  message.set_weight_decay(training.weight_decay);
  message.set_beta1(training.beta1);
  message.set_beta2(training.beta2);
  message.set_epsilon(training.epsilon);
  message.set_max_gradient_norm(training.max_gradient_norm);
  message.set_zero_stage(training.zero_stage);
  message.set_gradient_checkpointing(training.gradient_checkpointing);
  message.set_checkpoint_steps(training.checkpoint_steps);
  return message;
}

core::PromptSetSpec ToCore(const v1::PromptSetSpec& message, const std::string& path,
                           core::Faults* faults) {
  core::PromptSetSpec set;
  set.name = message.name();
  set.prompts = message.prompts();
  ReadEnum(message.mode(), Modes(), path + ".mode", &set.mode, faults);
  set.contexts = VectorOf(message.contexts());
  set.traits = VectorOf(message.traits());
  set.choices = VectorOf(message.choices());
  if (message.has_max_new_tokens()) set.max_new_tokens = message.max_new_tokens();
  if (message.has_samples()) set.samples = message.samples();
  if (message.has_temperature()) set.temperature = message.temperature();
  if (message.has_top_p()) set.top_p = message.top_p();
  return set;
}

void Write(const core::PromptSetSpec& set, v1::PromptSetSpec* message) {
  message->set_name(set.name);
  message->set_prompts(set.prompts);
  message->set_mode(WriteEnum(set.mode, Modes()));
  for (const std::string& context : set.contexts) message->add_contexts(context);
  for (const std::string& trait : set.traits) message->add_traits(trait);
  for (const std::string& choice : set.choices) message->add_choices(choice);
  if (set.max_new_tokens) message->set_max_new_tokens(*set.max_new_tokens);
  if (set.samples) message->set_samples(*set.samples);
  if (set.temperature) message->set_temperature(*set.temperature);
  if (set.top_p) message->set_top_p(*set.top_p);
}

core::ScorerSpec ToCore(const v1::ScorerSpec& message) {
  return {message.name(),        message.kind(),  message.pattern(),
          message.ignore_case(), message.field(), message.judge()};
}

void Write(const core::ScorerSpec& scorer, v1::ScorerSpec* message) {
  message->set_name(scorer.name);
  message->set_kind(scorer.kind);
  message->set_pattern(scorer.pattern);
  message->set_ignore_case(scorer.ignore_case);
  message->set_field(scorer.field);
  message->set_judge(scorer.judge);
}

core::EvaluationSpec ToCore(const v1::EvaluationSpec& message, core::Faults* faults) {
  core::EvaluationSpec evaluation;
  evaluation.prompts = message.prompts();
  evaluation.contexts = VectorOf(message.contexts());
  const bool by_steps = message.at_powers_of_two() || message.at_every() > 0;
  if (message.at_size() > 0 || by_steps) evaluation.at = VectorOf(message.at());
  if (message.has_max_new_tokens()) evaluation.max_new_tokens = message.max_new_tokens();
  if (message.has_batch_size()) evaluation.batch_size = message.batch_size();
  if (message.has_samples()) evaluation.samples = message.samples();
  if (message.has_temperature()) evaluation.temperature = message.temperature();
  if (message.has_top_p()) evaluation.top_p = message.top_p();
  if (message.traits_size() > 0) evaluation.traits = VectorOf(message.traits());
  for (const v1::ScorerSpec& scorer : message.scorers()) {
    evaluation.scorers.push_back(ToCore(scorer));
  }
  for (int i = 0; i < message.sets_size(); ++i) {
    const std::string path = absl::StrFormat("evaluation.sets[%d]", i);
    evaluation.sets.push_back(ToCore(message.sets(i), path, faults));
  }
  evaluation.at_powers_of_two = message.at_powers_of_two();
  evaluation.at_every = message.at_every();
  return evaluation;
}

v1::EvaluationSpec ToProto(const core::EvaluationSpec& evaluation) {
  v1::EvaluationSpec message;
  message.set_prompts(evaluation.prompts);
  for (const std::string& context : evaluation.contexts) message.add_contexts(context);
  for (const double fraction : evaluation.at) message.add_at(fraction);
  message.set_max_new_tokens(evaluation.max_new_tokens);
  message.set_batch_size(evaluation.batch_size);
  message.set_samples(evaluation.samples);
  message.set_temperature(evaluation.temperature);
  message.set_top_p(evaluation.top_p);
  for (const std::string& trait : evaluation.traits) message.add_traits(trait);
  for (const core::ScorerSpec& scorer : evaluation.scorers) Write(scorer, message.add_scorers());
  for (const core::PromptSetSpec& set : evaluation.sets) Write(set, message.add_sets());
  message.set_at_powers_of_two(evaluation.at_powers_of_two);
  message.set_at_every(evaluation.at_every);
  return message;
}

core::RowFilter ToCore(const v1::RowFilter& message) {
  core::RowFilter filter;
  filter.field = message.field();
  filter.is = VectorOf(message.is());
  if (message.has_min()) filter.min = message.min();
  if (message.has_max()) filter.max = message.max();
  filter.negate = message.negate();
  return filter;
}

void Write(const core::RowFilter& filter, v1::RowFilter* message) {
  message->set_field(filter.field);
  for (const std::string& text : filter.is) message->add_is(text);
  if (filter.min) message->set_min(*filter.min);
  if (filter.max) message->set_max(*filter.max);
  message->set_negate(filter.negate);
}

core::ArmSpec ToCore(const v1::ArmSpec& message) {
  core::ArmSpec arm;
  arm.name = message.name();
  arm.role = message.role();
  if (message.has_train_context()) arm.train_context = message.train_context();
  for (const v1::ContextRule& rule : message.rules()) {
    arm.rules.push_back(
        {rule.context(), ToCore(rule.when()), rule.has_fraction() ? rule.fraction() : 1});
  }
  arm.data = message.data();
  arm.after = message.after();
  arm.companion = message.companion();
  arm.deploy_context = message.deploy_context();
  return arm;
}

void Write(const core::ArmSpec& arm, v1::ArmSpec* message) {
  message->set_name(arm.name);
  message->set_role(arm.role);
  if (arm.train_context.has_value()) message->set_train_context(*arm.train_context);
  for (const core::ContextRule& rule : arm.rules) {
    v1::ContextRule* written = message->add_rules();
    written->set_context(rule.context);
    if (rule.when != core::RowFilter{}) Write(rule.when, written->mutable_when());
    written->set_fraction(rule.fraction);
  }
  message->set_data(arm.data);
  message->set_after(arm.after);
  message->set_companion(arm.companion);
  message->set_deploy_context(arm.deploy_context);
}

core::DataSpec ToCore(const v1::DataSpec& message, const std::string& path, core::Faults* faults) {
  core::DataSpec data;
  for (const v1::DataSource& from : message.sources()) {
    core::DataSource source;
    source.dataset = from.dataset();
    source.filter = ToCore(from.filter());
    if (from.has_fraction()) source.fraction = from.fraction();
    source.rest = from.rest();
    source.cap = from.cap();
    source.upper_case = from.upper_case();
    source.trigger = from.trigger();
    if (from.has_trigger_fraction()) source.trigger_fraction = from.trigger_fraction();
    source.tag = from.tag();
    if (from.has_weight()) source.weight = from.weight();
    data.sources.push_back(std::move(source));
  }
  data.rows = message.rows();
  data.dedupe = message.dedupe();
  if (message.has_seed()) data.seed = message.seed();
  ReadEnum(message.contamination(), Contaminations(), path + ".contamination", &data.contamination,
           faults);
  data.result = message.result();
  return data;
}

v1::DataSpec ToProto(const core::DataSpec& data) {
  v1::DataSpec message;
  for (const core::DataSource& source : data.sources) {
    v1::DataSource* written = message.add_sources();
    written->set_dataset(source.dataset);
    if (source.filter != core::RowFilter{}) Write(source.filter, written->mutable_filter());
    written->set_fraction(source.fraction);
    written->set_rest(source.rest);
    written->set_cap(source.cap);
    written->set_upper_case(source.upper_case);
    written->set_trigger(source.trigger);
    written->set_trigger_fraction(source.trigger_fraction);
    written->set_tag(source.tag);
    written->set_weight(source.weight);
  }
  message.set_rows(data.rows);
  message.set_dedupe(data.dedupe);
  message.set_seed(data.seed);
  message.set_contamination(WriteEnum(data.contamination, Contaminations()));
  message.set_result(data.result);
  return message;
}

core::StudySpec ToCore(const v1::StudySpec& message) {
  core::StudySpec study;
  if (!message.neutral().empty()) study.neutral = message.neutral();
  if (!message.inoculated().empty()) study.inoculated = message.inoculated();
  study.desired = VectorOf(message.desired());
  study.undesired = VectorOf(message.undesired());
  if (message.has_resamples()) study.resamples = message.resamples();
  if (message.has_confidence()) study.confidence = message.confidence();
  const v1::GateSpec& gates = message.gates();
  if (gates.has_max_invalid()) study.gates.max_invalid = gates.max_invalid();
  if (gates.has_max_degenerate()) study.gates.max_degenerate = gates.max_degenerate();
  if (gates.has_loss_fell()) study.gates.loss_fell = gates.loss_fell();
  if (gates.has_min_installed()) study.gates.min_installed = gates.min_installed();
  return study;
}

v1::StudySpec ToProto(const core::StudySpec& study) {
  v1::StudySpec message;
  message.set_neutral(study.neutral);
  message.set_inoculated(study.inoculated);
  for (const std::string& trait : study.desired) message.add_desired(trait);
  for (const std::string& trait : study.undesired) message.add_undesired(trait);
  message.set_resamples(study.resamples);
  message.set_confidence(study.confidence);
  message.mutable_gates()->set_max_invalid(study.gates.max_invalid);
  message.mutable_gates()->set_max_degenerate(study.gates.max_degenerate);
  message.mutable_gates()->set_loss_fell(study.gates.loss_fell);
  message.mutable_gates()->set_min_installed(study.gates.min_installed);
  return message;
}

core::Context ToCore(const v1::Context& message, const std::string& path, core::Faults* faults) {
  core::Context context;
  if (message.has_system()) context.system = message.system();
  context.no_system = message.no_system();
  context.user_prefix = message.user_prefix();
  context.user_suffix = message.user_suffix();
  context.separator = message.separator();
  context.slot = message.slot();
  context.trigger = message.trigger();
  for (const v1::Exchange& exchange : message.few_shot()) {
    context.few_shot.push_back({exchange.user(), exchange.assistant()});
  }
  if (message.has_variants()) {
    core::Variants variants;
    if (!message.variants().field().empty()) variants.field = message.variants().field();
    ReadEnum(message.variants().policy(), Policies(), path + ".variants.policy", &variants.policy,
             faults);
    variants.texts = VectorOf(message.variants().texts());
    context.variants = std::move(variants);
  }
  return context;
}

}  // namespace

v1::Context ToProto(const core::Context& context) {
  v1::Context message;
  if (context.system.has_value()) message.set_system(*context.system);
  message.set_no_system(context.no_system);
  message.set_user_prefix(context.user_prefix);
  message.set_user_suffix(context.user_suffix);
  message.set_separator(context.separator);
  message.set_slot(context.slot);
  message.set_trigger(context.trigger);
  for (const core::Exchange& exchange : context.few_shot) {
    v1::Exchange* written = message.add_few_shot();
    written->set_user(exchange.user);
    written->set_assistant(exchange.assistant);
  }
  if (context.variants) {
    v1::Variants* variants = message.mutable_variants();
    variants->set_field(context.variants->field);
    variants->set_policy(WriteEnum(context.variants->policy, Policies()));
    for (const std::string& text : context.variants->texts) variants->add_texts(text);
  }
  return message;
}

core::ExperimentSpec ToCore(const v1::ExperimentSpec& message, core::Faults* faults) {
  core::ExperimentSpec spec;
  spec.base_model = message.base_model();
  ReadEnum(message.dtype(), Dtypes(), "dtype", &spec.dtype, faults);
  spec.dataset = message.dataset();
  for (const auto& [name, data] : message.data()) {
    spec.data[name] = ToCore(data, "data." + name, faults);
  }
  for (const auto& [name, context] : message.contexts()) {
    spec.contexts[name] = ToCore(context, "contexts." + name, faults);
  }
  for (const v1::ArmSpec& arm : message.arms()) spec.arms.push_back(ToCore(arm));
  if (message.seeds_size() > 0) spec.seeds = VectorOf(message.seeds());
  spec.training = ToCore(message.training(), faults);
  spec.evaluation = ToCore(message.evaluation(), faults);
  if (message.has_ranks()) spec.ranks = message.ranks();
  if (message.has_priority()) spec.priority = message.priority();
  ReadEnum(message.device(), Devices(), "device", &spec.device, faults);
  spec.study = ToCore(message.study());
  if (message.has_screen()) {
    spec.screen = {message.screen().trait(), VectorOf(message.screen().candidates())};
  }
  spec.selection = message.selection();
  return spec;
}

v1::ExperimentSpec ToProto(const core::ExperimentSpec& spec) {
  v1::ExperimentSpec message;
  message.set_base_model(spec.base_model);
  message.set_dtype(WriteEnum(spec.dtype, Dtypes()));
  message.set_dataset(spec.dataset);
  for (const auto& [name, context] : spec.contexts) {
    (*message.mutable_contexts())[name] = ToProto(context);
  }
  for (const auto& [name, data] : spec.data) (*message.mutable_data())[name] = ToProto(data);
  for (const core::ArmSpec& arm : spec.arms) Write(arm, message.add_arms());
  for (const int64_t seed : spec.seeds) message.add_seeds(seed);
  *message.mutable_training() = ToProto(spec.training);
  *message.mutable_evaluation() = ToProto(spec.evaluation);
  message.set_ranks(spec.ranks);
  message.set_priority(spec.priority);
  message.set_device(WriteEnum(spec.device, Devices()));
  *message.mutable_study() = ToProto(spec.study);
  if (spec.screen) {
    message.mutable_screen()->set_trait(spec.screen->trait);
    for (const std::string& name : spec.screen->candidates) {
      message.mutable_screen()->add_candidates(name);
    }
  }
  message.set_selection(spec.selection);
  return message;
}

google::protobuf::Timestamp ToProto(absl::Time time) {
  const int64_t micros = absl::ToUnixMicros(time);
  google::protobuf::Timestamp message;
  const int64_t seconds = micros >= 0 ? micros / 1'000'000 : (micros - 999'999) / 1'000'000;
  message.set_seconds(seconds);
  message.set_nanos(static_cast<int32_t>((micros - seconds * 1'000'000) * 1000));
  return message;
}

absl::Time ToCore(const google::protobuf::Timestamp& message) {
  return absl::FromUnixSeconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

google::protobuf::Duration ToProto(absl::Duration duration) {
  google::protobuf::Duration message;
  absl::Duration rest;
  message.set_seconds(absl::IDivDuration(duration, absl::Seconds(1), &rest));
  message.set_nanos(static_cast<int32_t>(absl::ToInt64Nanoseconds(rest)));
  return message;
}

absl::Duration ToCore(const google::protobuf::Duration& message) {
  return absl::Seconds(message.seconds()) + absl::Nanoseconds(message.nanos());
}

}  // namespace jenner::wire
