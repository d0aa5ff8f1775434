// Lines of the trainer's event stream that reach the server (docs/formats/trainer-events.md): kinds
// train_step, sample and evaluation, checked on the way in. Pure.
#ifndef JENNER_SERVER_STORE_TRAINER_EVENT_H_
#define JENNER_SERVER_STORE_TRAINER_EVENT_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <variant>

#include "absl/status/statusor.h"

namespace jenner::store {

struct TrainStep {
  int32_t step = 0;  // 1-based
  double epoch = 0;
  double loss = 0;  // nats per supervised token
  double learning_rate = 0;
  double gradient_norm = 0;
  int64_t supervised_tokens = 0;
  int64_t tokens = 0;
  double tokens_per_second = 0;
  bool operator==(const TrainStep&) const = default;
};

struct Sample {
  int32_t step = 0;
  std::string prompt_set = "main";
  std::string context;
  std::string prompt_id;
  int32_t sample_idx = 0;
  std::string answer;
  int32_t num_tokens = 0;
  std::string finish_reason;                            // stop, length, given or choice
  std::map<std::string, std::optional<double>> scores;  // by trait; unset: not measurable
  bool is_degenerate = false;                           // empty or repeated text
  std::string judge_error;  // why a judge gave no score; "": none failed
  bool operator==(const Sample&) const = default;
};

struct Evaluation {
  int32_t step = 0;
  std::string prompt_set = "main";
  std::string context;
  int32_t num_samples = 0;  // of this rank
  bool operator==(const Evaluation&) const = default;
};

struct TrainerEvent {
  int64_t seq = 0;  // >= 1
  std::variant<TrainStep, Sample, Evaluation> body;
};

inline constexpr int64_t kMaxEventLineBytes = int64_t{1} << 20;
inline constexpr int kMaxTraits = 64;

// InvalidArgument: over the line limit, not a JSON object, a field missing, of the wrong type or
// out of range, or another kind. Unknown fields are let pass: a newer trainer may say more.
absl::StatusOr<TrainerEvent> ParseTrainerEvent(const std::string& line);

// The scores as one JSON object, as the event has them, and back (what does not parse is empty).
std::string ScoresToJson(const std::map<std::string, std::optional<double>>& scores);
std::map<std::string, std::optional<double>> ScoresFromJson(const std::string& json);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_TRAINER_EVENT_H_
