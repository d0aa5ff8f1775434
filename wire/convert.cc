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
  return lora;
}

v1::LoraSpec ToProto(const core::LoraSpec& lora) {
  v1::LoraSpec message;
  message.set_rank(lora.rank);
  message.set_alpha(lora.alpha);
  message.set_dropout(lora.dropout);
  for (const std::string& target : lora.targets) message.add_targets(target);
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
  message.set_checkpoint_steps(training.checkpoint_steps);
  return message;
}

core::EvaluationSpec ToCore(const v1::EvaluationSpec& message) {
  core::EvaluationSpec evaluation;
  evaluation.prompts = message.prompts();
  evaluation.contexts = VectorOf(message.contexts());
  if (message.at_size() > 0) evaluation.at = VectorOf(message.at());
  if (message.has_max_new_tokens()) evaluation.max_new_tokens = message.max_new_tokens();
  if (message.has_batch_size()) evaluation.batch_size = message.batch_size();
  if (message.has_samples()) evaluation.samples = message.samples();
  if (message.has_temperature()) evaluation.temperature = message.temperature();
  if (message.has_top_p()) evaluation.top_p = message.top_p();
  if (message.traits_size() > 0) evaluation.traits = VectorOf(message.traits());
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
  return message;
}

}  // namespace

core::Context ToCore(const v1::Context& message) {
  core::Context context;
  if (message.has_system()) context.system = message.system();
  context.user_prefix = message.user_prefix();
  context.user_suffix = message.user_suffix();
  return context;
}

v1::Context ToProto(const core::Context& context) {
  v1::Context message;
  if (context.system.has_value()) message.set_system(*context.system);
  message.set_user_prefix(context.user_prefix);
  message.set_user_suffix(context.user_suffix);
  return message;
}

core::ExperimentSpec ToCore(const v1::ExperimentSpec& message, core::Faults* faults) {
  core::ExperimentSpec spec;
  spec.base_model = message.base_model();
  ReadEnum(message.dtype(), Dtypes(), "dtype", &spec.dtype, faults);
  spec.dataset = message.dataset();
  for (const auto& [name, context] : message.contexts()) spec.contexts[name] = ToCore(context);
  for (const v1::ArmSpec& arm : message.arms()) {
    core::ArmSpec read{arm.name(), {}};
    if (arm.has_train_context()) read.train_context = arm.train_context();
    spec.arms.push_back(std::move(read));
  }
  if (message.seeds_size() > 0) spec.seeds = VectorOf(message.seeds());
  spec.training = ToCore(message.training(), faults);
  spec.evaluation = ToCore(message.evaluation());
  if (message.has_ranks()) spec.ranks = message.ranks();
  if (message.has_priority()) spec.priority = message.priority();
  ReadEnum(message.device(), Devices(), "device", &spec.device, faults);
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
  for (const core::ArmSpec& arm : spec.arms) {
    v1::ArmSpec* written = message.add_arms();
    written->set_name(arm.name);
    if (arm.train_context.has_value()) written->set_train_context(*arm.train_context);
  }
  for (const int64_t seed : spec.seeds) message.add_seeds(seed);
  *message.mutable_training() = ToProto(spec.training);
  *message.mutable_evaluation() = ToProto(spec.evaluation);
  message.set_ranks(spec.ranks);
  message.set_priority(spec.priority);
  message.set_device(WriteEnum(spec.device, Devices()));
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
