#include "server/store/trainer_event.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

using Json = nlohmann::json;

constexpr std::array<std::string_view, 4> kFinishReasons = {"stop", "length", "given", "choice"};

// Reads fields of one object; the first fault is kept, later reads give zeros.
class Fields {
 public:
  explicit Fields(const Json& object) : object_(object) {}

  int64_t Integer(const char* name, int64_t low, int64_t high) {
    const Json* value = Find(name);
    if (value == nullptr) return low;
    if (!value->is_number_integer() || value->get<int64_t>() < low ||
        value->get<int64_t>() > high) {
      Fail(name, absl::StrFormat("an integer in [%d, %d]", low, high));
      return low;
    }
    return value->get<int64_t>();
  }
  int32_t Int32(const char* name, int32_t low) {
    return static_cast<int32_t>(Integer(name, low, std::numeric_limits<int32_t>::max()));
  }
  double Real(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return 0;
    if (!value->is_number() || !std::isfinite(value->get<double>())) {
      Fail(name, "a finite number");
      return 0;
    }
    return value->get<double>();
  }
  std::string Text(const char* name) {
    const Json* value = Find(name);
    if (value == nullptr) return "";
    if (!value->is_string()) {
      Fail(name, "text");
      return "";
    }
    return value->get<std::string>();
  }
  std::map<std::string, std::optional<double>> Scores(const char* name) {
    std::map<std::string, std::optional<double>> scores;
    const Json* value = Find(name);
    if (value == nullptr) return scores;
    if (!value->is_object() || value->size() > kMaxTraits) {
      Fail(name, absl::StrFormat("an object of at most %d traits", kMaxTraits));
      return scores;
    }
    for (const auto& [trait, score] : value->items()) {
      const bool is_score = score.is_number() && std::isfinite(score.get<double>());
      if (!is_score && !score.is_null()) Fail(name, "a finite number or null for each trait");
      scores[trait] = is_score ? std::optional<double>(score.get<double>()) : std::nullopt;
    }
    return scores;
  }
  // Of lines that older trainers wrote: what they left out.
  std::string TextOr(const char* name, const char* absent) {
    return object_.contains(name) ? Text(name) : absent;
  }
  bool BoolOr(const char* name, bool absent) {
    const auto found = object_.find(name);
    if (found == object_.end()) return absent;
    if (!found->is_boolean()) {
      Fail(name, "true or false");
      return absent;
    }
    return found->get<bool>();
  }
  void Fail(const char* name, const std::string& expected) {
    if (status_.ok()) {
      status_ = absl::InvalidArgumentError(absl::StrFormat("%s: expected %s", name, expected));
    }
  }
  const absl::Status& status() const { return status_; }

 private:
  const Json* Find(const char* name) {
    const auto found = object_.find(name);
    if (found != object_.end()) return &*found;
    if (status_.ok()) status_ = absl::InvalidArgumentError(absl::StrFormat("%s: missing", name));
    return nullptr;
  }
  const Json& object_;
  absl::Status status_;
};

TrainStep ReadTrainStep(Fields& fields) {
  TrainStep result;
  result.step = fields.Int32("step", 1);
  result.epoch = fields.Real("epoch");
  result.loss = fields.Real("loss");
  result.learning_rate = fields.Real("learning_rate");
  result.gradient_norm = fields.Real("gradient_norm");
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();
  result.supervised_tokens = fields.Integer("supervised_tokens", 0, kMax);
  result.tokens = fields.Integer("tokens", 0, kMax);
  result.tokens_per_second = fields.Real("tokens_per_second");
  return result;
}

Sample ReadSample(Fields& fields) {
  Sample result;
  result.step = fields.Int32("step", 0);
  result.prompt_set = fields.TextOr("prompt_set", "main");
  result.context = fields.Text("context");
  result.prompt_id = fields.Text("prompt_id");
  result.sample_idx = fields.Int32("sample_idx", 0);
  result.answer = fields.Text("answer");
  result.num_tokens = fields.Int32("num_tokens", 0);
  result.finish_reason = fields.Text("finish_reason");
  const bool is_known = std::find(kFinishReasons.begin(), kFinishReasons.end(),
                                  result.finish_reason) != kFinishReasons.end();
  if (!is_known) fields.Fail("finish_reason", "stop, length, given or choice");
  result.scores = fields.Scores("scores");
  result.is_degenerate = fields.BoolOr("degenerate", false);
  result.judge_error = fields.TextOr("judge_error", "");
  return result;
}

Evaluation ReadEvaluation(Fields& fields) {
  Evaluation result;
  result.step = fields.Int32("step", 0);
  result.prompt_set = fields.TextOr("prompt_set", "main");
  result.context = fields.Text("context");
  result.num_samples = fields.Int32("num_samples", 0);
  return result;
}

}  // namespace

absl::StatusOr<TrainerEvent> ParseTrainerEvent(const std::string& line) {
  if (static_cast<int64_t>(line.size()) > kMaxEventLineBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("a line of %d bytes; at most %d", line.size(), kMaxEventLineBytes));
  }
  const Json json = Json::parse(line, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return absl::InvalidArgumentError("not a JSON object");
  Fields fields(json);
  TrainerEvent event;
  event.seq = fields.Integer("seq", 1, std::numeric_limits<int64_t>::max());
  const std::string kind = fields.Text("kind");
  if (kind == "train_step") {
    event.body = ReadTrainStep(fields);
  } else if (kind == "sample") {
    event.body = ReadSample(fields);
  } else if (kind == "evaluation") {
    event.body = ReadEvaluation(fields);
  } else {
    fields.Fail("kind", "train_step, sample or evaluation");
  }
  RETURN_IF_ERROR(fields.status());
  return event;
}

std::string ScoresToJson(const std::map<std::string, std::optional<double>>& scores) {
  Json json = Json::object();
  for (const auto& [trait, score] : scores) json[trait] = score ? Json(*score) : Json(nullptr);
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::map<std::string, std::optional<double>> ScoresFromJson(const std::string& json) {
  std::map<std::string, std::optional<double>> scores;
  const Json parsed = Json::parse(json, nullptr, /*allow_exceptions=*/false);
  if (!parsed.is_object()) return scores;
  for (const auto& [trait, score] : parsed.items()) {
    scores[trait] = score.is_number() ? std::optional<double>(score.get<double>()) : std::nullopt;
  }
  return scores;
}

}  // namespace jenner::store
