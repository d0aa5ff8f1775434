#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/traits.h"

namespace jenner::core {
namespace {

constexpr std::array<std::string_view, 7> kTargets = {"q_proj",    "k_proj",  "v_proj",   "o_proj",
                                                      "gate_proj", "up_proj", "down_proj"};
constexpr size_t kMaxArms = 64;
constexpr size_t kMaxSeeds = 64;
constexpr size_t kMaxContexts = 64;
constexpr size_t kMaxContextBytes = 64 << 10;
// Each job carries the contexts that it needs, so these bound what an experiment costs.
constexpr size_t kMaxContextBytesTogether = 256 << 10;
constexpr size_t kMaxTrainings = 1024;
constexpr size_t kMaxContextBytesOfAllJobs = 16 << 20;

// Collects faults of fields below one path.
class Checker {
 public:
  Checker(std::string path, Faults* faults) : path_(std::move(path)), faults_(faults) {}
  void Refuse(const std::string& field, const std::string& message) const {
    faults_->push_back({path_.empty() ? field : path_ + "." + field, message});
  }
  void Range(const std::string& field, int64_t value, int64_t low, int64_t high) const {
    if (value < low || value > high) {
      Refuse(field, absl::StrFormat("expected %d to %d, found %d", low, high, value));
    }
  }
  // NaN and the infinities are refused whatever `holds` says: JSON cannot say them.
  void That(bool holds, const std::string& field, const char* expected, double found) const {
    if (!holds || !std::isfinite(found)) {
      Refuse(field, absl::StrFormat("expected %s, found %g", expected, found));
    }
  }

 private:
  std::string path_;
  Faults* faults_;
};

template <typename Names>
std::string List(const Names& names) {
  std::string out;
  for (const auto& name : names) out += (out.empty() ? "" : ", ") + std::string(name);
  return out.empty() ? "none" : out;
}

// Each of `values` is of `known`, and named once; at least one.
template <typename Known>
void CheckNames(const Checker& check, const std::string& field,
                const std::vector<std::string>& values, const Known& known) {
  if (values.empty()) check.Refuse(field, "expected at least one");
  std::set<std::string> seen;
  for (size_t i = 0; i < values.size(); ++i) {
    const std::string at = absl::StrFormat("%s[%d]", field, i);
    if (std::find(known.begin(), known.end(), values[i]) == known.end()) {
      check.Refuse(at, "unknown \"" + values[i] + "\"; known: " + List(known));
    } else if (!seen.insert(values[i]).second) {
      check.Refuse(at, "\"" + values[i] + "\" is named twice");
    }
  }
}

size_t TextBytes(const Context& context) {
  return (context.system ? context.system->size() : 0) + context.user_prefix.size() +
         context.user_suffix.size();
}

void CheckContext(const std::string& path, const Context& context, Faults* faults) {
  const size_t bytes = TextBytes(context);
  if (bytes > kMaxContextBytes) {
    faults->push_back(
        {path, absl::StrFormat("%d bytes of text; at most %d", bytes, kMaxContextBytes)});
  }
}

void CheckTraining(const std::string& path, const TrainingSpec& t, int32_t ranks, Faults* faults) {
  const Checker check(path, faults);
  if (t.method == TrainingMethod::kLora) {
    const Checker lora(path + ".lora", faults);
    lora.Range("rank", t.lora.rank, 1, 1024);
    lora.That(t.lora.alpha > 0, "alpha", "> 0", t.lora.alpha);
    lora.That(t.lora.dropout >= 0 && t.lora.dropout < 1, "dropout", "[0, 1)", t.lora.dropout);
    CheckNames(lora, "targets", t.lora.targets, kTargets);
  }
  check.Range("epochs", t.epochs, 1, 1000);
  check.Range("max_steps", t.max_steps, 0, 10'000'000);
  check.Range("batch_size", t.batch_size, 1, 65536);
  check.Range("accumulation_steps", t.accumulation_steps, 1, 65536);
  if (t.batch_size >= 1 && t.accumulation_steps >= 1 && ranks >= 1 &&
      t.batch_size % (int64_t{t.accumulation_steps} * ranks) != 0) {
    check.Refuse("batch_size",
                 absl::StrFormat("%d rows do not divide into %d ranks x %d accumulation steps",
                                 t.batch_size, ranks, t.accumulation_steps));
  }
  check.Range("max_length", t.max_length, 8, 1 << 20);
  check.That(t.learning_rate > 0 && t.learning_rate <= 10, "learning_rate", "(0, 10]",
             t.learning_rate);
  check.Range("warmup_steps", t.warmup_steps, 0, 10'000'000);
  if (t.max_steps > 0 && t.warmup_steps >= t.max_steps) {
    check.Refuse("warmup_steps", absl::StrFormat("expected fewer than max_steps = %d, found %d",
                                                 t.max_steps, t.warmup_steps));
  }
  check.That(t.weight_decay >= 0, "weight_decay", ">= 0", t.weight_decay);
  check.That(t.beta1 >= 0 && t.beta1 < 1, "beta1", "[0, 1)", t.beta1);
  check.That(t.beta2 >= 0 && t.beta2 < 1, "beta2", "[0, 1)", t.beta2);
  check.That(t.epsilon > 0, "epsilon", "> 0", t.epsilon);
  check.That(t.max_gradient_norm >= 0, "max_gradient_norm", ">= 0", t.max_gradient_norm);
  check.Range("checkpoint_steps", t.checkpoint_steps, 0, 10'000'000);
}

// What experiments and jobs have in common.
template <typename E>
void CheckDecoding(const E& e, Faults* faults) {
  const Checker check("evaluation", faults);
  if (e.at.empty()) check.Refuse("at", "expected at least one");
  for (size_t i = 0; i < e.at.size(); ++i) {
    check.That(e.at[i] >= 0 && e.at[i] <= 1, absl::StrFormat("at[%d]", i), "[0, 1]", e.at[i]);
  }
  check.Range("max_new_tokens", e.max_new_tokens, 1, 4096);
  check.Range("batch_size", e.batch_size, 1, 1024);
  check.Range("samples", e.samples, 1, 1000);
  check.That(e.temperature >= 0 && e.temperature <= 100, "temperature", "[0, 100]", e.temperature);
  if (e.samples > 1 && e.temperature == 0) {
    check.Refuse(
        "samples",
        "more than one answer a prompt needs a temperature above 0: greedy ones are equal");
  }
  check.That(e.top_p > 0 && e.top_p <= 1, "top_p", "(0, 1]", e.top_p);
  CheckNames(check, "traits", e.traits, kTraits);
}

void CheckDataset(const std::string& field, const std::string& ref, Faults* faults) {
  if (ref.rfind("sha256:", 0) != 0 || !IsSha256Hex(ref.substr(7))) {
    faults->push_back(
        {field, "expected \"sha256:\" and 64 hex digits, found \"" + ref.substr(0, 80) + "\""});
  }
}

void CheckModelName(const std::string& name, Faults* faults) {
  if (name.empty()) {
    faults->push_back({"base_model", "required"});
  } else if (name.size() > 128 || name[0] == '.' || name.find('/') != std::string::npos ||
             name.find('\0') != std::string::npos) {
    faults->push_back({"base_model", "expected the name of a folder under --models-dir, found \"" +
                                         name.substr(0, 80) + "\""});
  }
}

void CheckContexts(const ExperimentSpec& spec, Faults* faults) {
  if (spec.contexts.empty() || spec.contexts.size() > kMaxContexts) {
    faults->push_back({"contexts", absl::StrFormat("expected 1 to %d, found %d", kMaxContexts,
                                                   spec.contexts.size())});
  }
  size_t together = 0;
  for (const auto& [name, context] : spec.contexts) {
    if (!IsId(name))
      faults->push_back(
          {"contexts." + name, "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?"});
    CheckContext("contexts." + name, context, faults);
    together += TextBytes(context);
  }
  if (together > kMaxContextBytesTogether) {
    faults->push_back({"contexts", absl::StrFormat("%d bytes of text together; at most %d",
                                                   together, kMaxContextBytesTogether)});
  }
}

void CheckArms(const ExperimentSpec& spec, const std::vector<std::string>& contexts,
               Faults* faults) {
  if (spec.arms.empty() || spec.arms.size() > kMaxArms) {
    faults->push_back(
        {"arms", absl::StrFormat("expected 1 to %d, found %d", kMaxArms, spec.arms.size())});
  }
  std::set<std::string> seen;
  for (size_t i = 0; i < spec.arms.size(); ++i) {
    const ArmSpec& arm = spec.arms[i];
    const Checker check(absl::StrFormat("arms[%d]", i), faults);
    if (!IsId(arm.name)) {
      check.Refuse("name", "expected a name like [a-z]([a-z0-9-]{0,61}[a-z0-9])?, found \"" +
                               arm.name + "\"");
    } else if (!seen.insert(arm.name).second) {
      check.Refuse("name", "\"" + arm.name + "\" is named twice");
    }
    if (arm.train_context && spec.contexts.count(*arm.train_context) == 0) {
      check.Refuse("train_context",
                   "unknown context \"" + *arm.train_context + "\"; known: " + List(contexts));
    }
  }
}

void CheckSeeds(const ExperimentSpec& spec, Faults* faults) {
  if (spec.seeds.empty() || spec.seeds.size() > kMaxSeeds) {
    faults->push_back(
        {"seeds", absl::StrFormat("expected 1 to %d, found %d", kMaxSeeds, spec.seeds.size())});
  }
  if (spec.arms.size() <= kMaxArms && spec.seeds.size() <= kMaxSeeds &&
      spec.arms.size() * spec.seeds.size() > kMaxTrainings) {
    faults->push_back(
        {"seeds", absl::StrFormat("%d arms x %d seeds; at most %d trainings", spec.arms.size(),
                                  spec.seeds.size(), kMaxTrainings)});
  }
  size_t together = 0;
  for (const auto& [name, context] : spec.contexts) together += TextBytes(context);
  if (together * spec.arms.size() * spec.seeds.size() > kMaxContextBytesOfAllJobs) {
    faults->push_back(
        {"contexts",
         absl::StrFormat("%d arms x %d seeds x %d bytes of text; at most %d", spec.arms.size(),
                         spec.seeds.size(), together, kMaxContextBytesOfAllJobs)});
  }
  std::set<int64_t> seen;
  for (size_t i = 0; i < spec.seeds.size(); ++i) {
    const std::string field = absl::StrFormat("seeds[%d]", i);
    if (spec.seeds[i] < 0)
      faults->push_back({field, absl::StrFormat("expected >= 0, found %d", spec.seeds[i])});
    if (!seen.insert(spec.seeds[i]).second) faults->push_back({field, "named twice"});
  }
}

}  // namespace

Faults Validate(const ExperimentSpec& spec) {
  Faults faults;
  std::vector<std::string> contexts;
  for (const auto& [name, unused] : spec.contexts) contexts.push_back(name);
  CheckModelName(spec.base_model, &faults);
  const bool trains = std::any_of(spec.arms.begin(), spec.arms.end(),
                                  [](const ArmSpec& arm) { return arm.train_context.has_value(); });
  if (trains && spec.dataset.empty()) {
    faults.push_back({"dataset", "required, since an arm is trained"});
  } else if (!spec.dataset.empty()) {
    CheckDataset("dataset", spec.dataset, &faults);
  }
  CheckContexts(spec, &faults);
  CheckArms(spec, contexts, &faults);
  CheckSeeds(spec, &faults);
  if (spec.ranks < 1 || spec.ranks > 64) {
    faults.push_back({"ranks", absl::StrFormat("expected 1 to 64, found %d", spec.ranks)});
  }
  if (spec.priority < 0 || spec.priority > 100) {
    faults.push_back({"priority", absl::StrFormat("expected 0 to 100, found %d", spec.priority)});
  }
  if (!trains && spec.device != Device::kCpu) {
    faults.push_back({"device", "expected cpu, since no arm is trained; evaluation runs there"});
  }
  CheckTraining("training", spec.training, spec.ranks, &faults);
  if (spec.evaluation.prompts.empty()) {
    faults.push_back({"evaluation.prompts", "required"});
  } else {
    CheckDataset("evaluation.prompts", spec.evaluation.prompts, &faults);
  }
  if (!spec.contexts.empty()) {
    CheckNames(Checker("evaluation", &faults), "contexts", spec.evaluation.contexts, contexts);
  }
  CheckDecoding(spec.evaluation, &faults);
  return faults;
}

Faults Validate(const JobSpec& job) {
  Faults faults;
  CheckModelName(job.base_model, &faults);
  if (job.seed < 0)
    faults.push_back({"seed", absl::StrFormat("expected >= 0, found %d", job.seed)});
  if (job.ranks < 1 || job.ranks > 64) {
    faults.push_back({"ranks", absl::StrFormat("expected 1 to 64, found %d", job.ranks)});
  }
  if (!job.training && !job.evaluation)
    faults.push_back({"", "expected a training, an evaluation or both"});
  if (!job.training && job.device != Device::kCpu) {
    faults.push_back({"device", "expected cpu, since nothing is trained; evaluation runs there"});
  }
  if (job.training) {
    if (job.training->dataset.empty()) faults.push_back({"training.dataset", "required"});
    CheckContext("training.context", job.training->context, &faults);
    CheckTraining("training.settings", job.training->settings, job.ranks, &faults);
  }
  if (job.evaluation) {
    if (job.evaluation->prompts.empty()) faults.push_back({"evaluation.prompts", "required"});
    if (job.evaluation->contexts.empty())
      faults.push_back({"evaluation.contexts", "expected at least one"});
    for (const NamedContext& context : job.evaluation->contexts) {
      CheckContext("evaluation.contexts", context.context, &faults);
    }
    CheckDecoding(*job.evaluation, &faults);
  }
  return faults;
}

}  // namespace jenner::core
