#include "server/rpc/encode.h"

#include <utility>

#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/statistics/wilson.h"
#include "server/coordinator/decide.h"
#include "wire/convert.h"

namespace jenner::rpc {
namespace {

using coordinator::RunState;

v1::State EncodeState(RunState state) {
  switch (state) {
    case RunState::kQueued:
      return v1::STATE_QUEUED;
    case RunState::kRunning:
      return v1::STATE_RUNNING;
    case RunState::kPausing:
      return v1::STATE_PAUSING;
    case RunState::kPaused:
      return v1::STATE_PAUSED;
    case RunState::kCancelling:
      return v1::STATE_CANCELLING;
    case RunState::kSucceeded:
      return v1::STATE_SUCCEEDED;
    case RunState::kFailed:
      return v1::STATE_FAILED;
    case RunState::kCancelled:
      return v1::STATE_CANCELLED;
  }
  return v1::STATE_UNSPECIFIED;
}

bool IsSet(absl::Time time) { return time != absl::InfinitePast(); }

void SetReason(const coordinator::Reason& reason, v1::StateReason* message) {
  message->set_code(reason.code);
  message->set_message(reason.message);
  message->set_blame(reason.blame);
}

// 0: none.
int32_t PositionOf(const coordinator::Job& job, const View& view) {
  return job.state == RunState::kQueued ? view.Pending().PositionOf(job) : 0;
}

int32_t PositionOf(const coordinator::Experiment& experiment, const View& view) {
  int32_t first = 0;
  for (const coordinator::Job& job : experiment.jobs) {
    const int32_t position = PositionOf(job, view);
    if (position > 0 && (first == 0 || position < first)) first = position;
  }
  return first;
}

void EncodeJob(const coordinator::Experiment& experiment, const coordinator::Job& job,
               const View& view, Detail detail, v1::Job* message) {
  message->set_name(core::JobName(experiment.id, job.plan.id));
  message->set_state(EncodeState(job.state));
  const coordinator::Reason reason = ReasonOf(experiment, job, view);
  if (!reason.code.empty()) SetReason(reason, message->mutable_state_reason());
  for (const std::string& arm : ArmNames(job)) message->add_arms(arm);
  message->set_attempt(job.attempt);
  message->set_attempts_counted(job.attempts_counted);
  message->set_interruptions(job.interruptions);
  message->set_ranks(job.plan.spec.ranks);
  message->set_queue_position(PositionOf(job, view));
  message->set_stopping(job.stop != coordinator::StopCause::kNone);
  message->set_step(coordinator::StepOf(view.state, experiment.id, job));
  message->set_total_steps(job.total_steps);
  message->set_checkpoint_step(job.checkpoint.step);
  message->set_resumed_step(job.resumed_step);
  if (IsSet(job.start_time)) *message->mutable_start_time() = wire::ToProto(job.start_time);
  if (IsSet(job.end_time)) *message->mutable_end_time() = wire::ToProto(job.end_time);
  for (const coordinator::Rank& rank : job.ranks) message->add_workers(rank.worker);
  if (detail == Detail::kListed) return;
  for (const coordinator::Artifact& artifact : job.artifacts) {
    v1::Artifact* written = message->add_artifacts();
    written->set_path(artifact.path);
    written->set_sha256(artifact.sha256);
    written->set_size_bytes(artifact.size_bytes);
  }
}

// Why the experiment waits is why its first waiting job does.
coordinator::Reason ReasonOf(const coordinator::Experiment& experiment, const View& view) {
  if (experiment.state != RunState::kQueued) return experiment.reason;
  for (const coordinator::Job& job : experiment.jobs) {
    if (job.state == RunState::kQueued) return ReasonOf(experiment, job, view);
  }
  return experiment.reason;
}

}  // namespace

coordinator::Reason ReasonOf(const coordinator::Experiment& experiment, const coordinator::Job& job,
                             const View& view) {
  if (job.state != RunState::kQueued) return job.reason;
  return view.Pending().ReasonOf(experiment, job);
}

std::vector<std::string> ArmNames(const coordinator::Job& job) {
  std::vector<std::string> names;
  for (const core::ArmSeed& arm : job.plan.arms) {
    names.push_back(absl::StrFormat("%s/%d", arm.arm, arm.seed));
  }
  return names;
}

v1::Experiment Encode(const coordinator::Experiment& experiment, const View& view, Detail detail) {
  v1::Experiment message;
  message.set_name(core::ExperimentName(experiment.id));
  message.set_state(EncodeState(experiment.state));
  const coordinator::Reason reason = ReasonOf(experiment, view);
  if (!reason.code.empty()) SetReason(reason, message.mutable_state_reason());
  if (IsSet(experiment.create_time)) {
    *message.mutable_create_time() = wire::ToProto(experiment.create_time);
  }
  if (IsSet(experiment.start_time)) {
    *message.mutable_start_time() = wire::ToProto(experiment.start_time);
  }
  if (IsSet(experiment.end_time)) *message.mutable_end_time() = wire::ToProto(experiment.end_time);
  message.set_owner(experiment.owner);
  message.set_priority(experiment.spec.priority);
  message.set_queue_position(PositionOf(experiment, view));
  for (const coordinator::Job& job : experiment.jobs) {
    EncodeJob(experiment, job, view, detail, message.add_jobs());
  }
  if (detail != Detail::kFull) return message;
  *message.mutable_spec() = wire::ToProto(experiment.spec);
  message.set_spec_sha256(core::Sha256Hex(core::ToJson(experiment.spec)));
  return message;
}

v1::StateReason Encode(const coordinator::Reason& reason) {
  v1::StateReason message;
  SetReason(reason, &message);
  return message;
}

v1::TrainPoint Encode(const std::string& experiment, const store::TrainPoint& point) {
  v1::TrainPoint message;
  message.set_job(core::JobName(experiment, point.job));
  message.set_attempt(point.attempt);
  message.set_step(point.step.step);
  message.set_epoch(point.step.epoch);
  message.set_loss(point.step.loss);
  message.set_learning_rate(point.step.learning_rate);
  message.set_gradient_norm(point.step.gradient_norm);
  message.set_supervised_tokens(point.step.supervised_tokens);
  message.set_tokens(point.step.tokens);
  message.set_tokens_per_second(point.step.tokens_per_second);
  return message;
}

v1::Rewind Encode(const std::string& experiment, const store::Rewind& rewind) {
  v1::Rewind message;
  message.set_job(core::JobName(experiment, rewind.job));
  message.set_attempt(rewind.attempt);
  message.set_step(rewind.step);
  return message;
}

v1::Cell Encode(const std::string& experiment, const store::Cell& cell,
                const core::CellFormat& format) {
  v1::Cell message;
  message.set_job(core::JobName(experiment, cell.job));
  message.set_attempt(cell.attempt);
  message.set_step(cell.step);
  message.set_prompt_set(cell.prompt_set);
  message.set_context(cell.context);
  message.set_num_samples(cell.num_samples);
  message.set_num_truncated(cell.num_truncated);
  message.set_num_degenerate(cell.num_degenerate);
  for (const store::TraitCount& count : cell.traits) {
    v1::TraitRatio* trait = message.add_traits();
    trait->set_trait(count.trait);
    trait->set_is_binary(format.IsBinary(count.trait));
    if (trait->is_binary()) trait->set_num_present(count.num_present);
    trait->set_num_measured(count.num_measured);
    trait->set_num_not_measurable(count.num_not_measurable);
    if (count.num_measured == 0) continue;
    trait->set_ratio(count.sum / count.num_measured);
    if (!format.HasWilson(cell.prompt_set, count.trait, count.num_measured)) continue;
    const statistics::Interval interval = statistics::Wilson(count.num_present, count.num_measured);
    trait->set_low(interval.low);
    trait->set_high(interval.high);
  }
  return message;
}

v1::Sample Encode(const std::string& experiment, const store::StoredSample& stored) {
  const store::Sample& sample = stored.sample;
  v1::Sample message;
  message.set_job(core::JobName(experiment, stored.job));
  message.set_attempt(stored.attempt);
  message.set_step(sample.step);
  message.set_prompt_set(sample.prompt_set);
  message.set_context(sample.context);
  message.set_degenerate(sample.is_degenerate);
  message.set_judge_error(sample.judge_error);
  message.set_prompt_id(sample.prompt_id);
  message.set_sample_idx(sample.sample_idx);
  message.set_answer(sample.answer);
  message.set_num_tokens(sample.num_tokens);
  message.set_finish_reason(sample.finish_reason);
  for (const auto& [trait, value] : sample.scores) {
    v1::Score* score = message.add_scores();
    score->set_trait(trait);
    if (value.has_value()) score->set_value(*value);
  }
  return message;
}

v1::LogLine Encode(const std::string& experiment, const store::LogLine& line) {
  v1::LogLine message;
  message.set_job(core::JobName(experiment, line.job));
  message.set_attempt(line.attempt);
  message.set_rank(line.rank);
  if (line.time > absl::UnixEpoch()) *message.mutable_time() = wire::ToProto(line.time);
  message.set_text(line.text);
  return message;
}

}  // namespace jenner::rpc
