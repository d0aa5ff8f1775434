#include "server/rpc/encode_study.h"

#include <optional>
#include <string>

#include "wire/convert.h"

namespace jenner::rpc {
namespace {

using study::kNone;

// The name at a position; "" for kNone.
template <typename List>
std::string NameAt(const List& list, int32_t at) {
  if (at == kNone) return "";
  const auto& one = list[static_cast<size_t>(at)];
  if constexpr (std::is_same_v<std::decay_t<decltype(one)>, std::string>) {
    return one;
  } else {
    return one.name;
  }
}

v1::Estimate ToProto(const study::Estimate& estimate) {
  v1::Estimate message;
  if (estimate.value) message.set_value(*estimate.value);
  if (estimate.interval) {
    message.set_low(estimate.interval->low);
    message.set_high(estimate.interval->high);
    message.set_method(estimate.method == study::IntervalMethod::kCrossed
                           ? v1::INTERVAL_METHOD_CROSSED
                           : v1::INTERVAL_METHOD_BOOTSTRAP);
  }
  if (estimate.bootstrap) {
    message.set_bootstrap_low(estimate.bootstrap->low);
    message.set_bootstrap_high(estimate.bootstrap->high);
  }
  message.set_over(estimate.over == study::Over::kPrompts ? v1::OVER_PROMPTS
                                                          : v1::OVER_SEEDS_AND_PROMPTS);
  message.set_num_seeds(estimate.num_seeds);
  message.set_num_prompts(estimate.num_prompts);
  message.set_num_missing(estimate.num_missing);
  message.set_reason(estimate.reason);
  return message;
}

class Encoder {
 public:
  explicit Encoder(const study::Study& study) : study_(study) {}

  v1::Study Run() {
    AddNames();
    for (const study::Level& level : study_.levels) Add(level);
    for (const study::Contrast& contrast : study_.contrasts) Add(contrast);
    for (const study::ArmFigures& figures : study_.figures) Add(figures);
    for (const study::Selectivity& one : study_.selectivity) {
      v1::Selectivity* message = out_.add_selectivity();
      message->set_arm(Arm(one.arm));
      message->set_prompt_set(Set(one.prompt_set));
      *message->mutable_estimate() = ToProto(one.estimate);
    }
    for (const study::RunRatio& ratio : study_.ratios) Add(ratio);
    for (const study::Proportionality& one : study_.proportionality) Add(one);
    for (const study::Decomposition& one : study_.decompositions) Add(one);
    for (const study::Relation& relation : study_.relations) Add(relation);
    for (const study::Narrowness& one : study_.narrowness) Add(one);
    for (const study::ContextMatrix& matrix : study_.matrices) Add(matrix);
    for (const std::string& note : study_.notes) out_.add_notes(note);
    return std::move(out_);
  }

 private:
  std::string Arm(int32_t at) const { return NameAt(study_.arms, at); }
  std::string Set(int32_t at) const { return NameAt(study_.prompt_sets, at); }
  std::string Context(int32_t at) const { return NameAt(study_.contexts, at); }
  std::string Trait(int32_t at) const { return NameAt(study_.traits, at); }

  void AddNames() {
    for (const study::ArmInfo& arm : study_.arms) {
      v1::StudyArm* message = out_.add_arms();
      message->set_name(arm.name);
      message->set_role(arm.role);
      message->set_train_context(Context(arm.train_context));
      message->set_deploy_context(Context(arm.deploy_context));
      message->set_after(Arm(arm.after));
      message->set_has_rules(arm.has_rules);
      message->set_final_step(arm.final_step);
    }
    for (const int64_t seed : study_.seeds) out_.add_seeds(seed);
    for (const std::string& set : study_.prompt_sets) out_.add_prompt_sets(set);
    for (const std::string& context : study_.contexts) out_.add_contexts(context);
    for (const study::TraitInfo& trait : study_.traits) {
      v1::StudyTrait* message = out_.add_traits();
      message->set_name(trait.name);
      message->set_is_binary(trait.is_binary);
      if (trait.range) {
        message->set_low(trait.range->low);
        message->set_high(trait.range->high);
      }
      message->set_unit(trait.unit);
    }
    out_.set_neutral(Context(study_.neutral));
    for (const int32_t trait : study_.desired) out_.add_desired(Trait(trait));
    for (const int32_t trait : study_.undesired) out_.add_undesired(Trait(trait));
    out_.set_resamples(study_.resamples);
    out_.set_confidence(study_.confidence);
  }

  void Add(const study::Level& level) {
    v1::Level* message = out_.add_levels();
    message->set_arm(Arm(level.arm));
    message->set_step(level.step);
    message->set_prompt_set(Set(level.prompt_set));
    message->set_context(Context(level.context));
    message->set_trait(Trait(level.trait));
    *message->mutable_estimate() = ToProto(level.estimate);
    message->set_num_answers(level.num_answers);
    message->set_num_invalid(level.num_invalid);
    message->set_is_final(level.step == study_.arms[static_cast<size_t>(level.arm)].final_step);
  }

  void Add(const study::Contrast& contrast) {
    v1::Contrast* message = out_.add_contrasts();
    message->set_arm(Arm(contrast.arm));
    message->set_control(Arm(contrast.control));
    message->set_prompt_set(Set(contrast.prompt_set));
    message->set_arm_context(Context(contrast.arm_context));
    message->set_control_context(Context(contrast.control_context));
    message->set_trait(Trait(contrast.trait));
    message->set_deployed(contrast.deployed);
    *message->mutable_difference() = ToProto(contrast.difference);
    if (contrast.p) message->set_p(*contrast.p);
    if (contrast.p_holm) message->set_p_holm(*contrast.p_holm);
    if (contrast.prompt_test == study::PromptTestKind::kMcNemar) {
      message->set_prompt_test(v1::PROMPT_TEST_MCNEMAR);
    } else if (contrast.prompt_test == study::PromptTestKind::kSignFlip) {
      message->set_prompt_test(v1::PROMPT_TEST_SIGN_FLIP);
    }
    if (contrast.prompt_p) message->set_prompt_p(*contrast.prompt_p);
    if (contrast.prompt_p_holm) message->set_prompt_p_holm(*contrast.prompt_p_holm);
  }

  void Add(const study::ArmFigures& figures) {
    v1::ArmFigures* message = out_.add_figures();
    message->set_arm(Arm(figures.arm));
    message->set_prompt_set(Set(figures.prompt_set));
    message->set_trait(Trait(figures.trait));
    *message->mutable_elicitation() = ToProto(figures.elicitation);
    *message->mutable_leakage() = ToProto(figures.leakage);
    *message->mutable_in_context() = ToProto(figures.in_context);
    *message->mutable_gate_strength() = ToProto(figures.gate_strength);
    *message->mutable_suppression() = ToProto(figures.suppression);
    *message->mutable_retention() = ToProto(figures.retention);
    *message->mutable_training_in_context() = ToProto(figures.training_in_context);
    *message->mutable_training_deployed() = ToProto(figures.training_deployed);
  }

  void Add(const study::RunRatio& ratio) {
    v1::RunRatio* message = out_.add_ratios();
    message->set_arm(Arm(ratio.arm));
    message->set_seed(study_.seeds[static_cast<size_t>(ratio.seed)]);
    message->set_prompt_set(Set(ratio.prompt_set));
    message->set_trait(Trait(ratio.trait));
    *message->mutable_x() = ToProto(ratio.x);
    *message->mutable_y() = ToProto(ratio.y);
    if (ratio.ratio) message->set_ratio(*ratio.ratio);
  }

  void Add(const study::Proportionality& one) {
    v1::Proportionality* message = out_.add_proportionality();
    message->set_prompt_set(Set(one.prompt_set));
    message->set_trait(Trait(one.trait));
    message->set_arm(Arm(one.arm));
    message->set_scale(one.scale == study::FitScale::kLogit ? v1::FIT_SCALE_LOGIT
                                                            : v1::FIT_SCALE_IDENTITY);
    message->set_num_points(one.num_points);
    *message->mutable_slope() = ToProto(one.slope);
    *message->mutable_deming() = ToProto(one.deming);
  }

  void Add(const study::Decomposition& one) {
    v1::Decomposition* message = out_.add_decompositions();
    message->set_arm(Arm(one.arm));
    message->set_prompt_set(Set(one.prompt_set));
    message->set_trait(Trait(one.trait));
    message->set_own_k(one.own_k);
    *message->mutable_k() = ToProto(one.k);
    *message->mutable_initial() = ToProto(one.initial);
    *message->mutable_elicitation() = ToProto(one.elicitation);
    *message->mutable_control() = ToProto(one.control);
    *message->mutable_elicitation_part() = ToProto(one.elicitation_part);
    *message->mutable_conditional_part() = ToProto(one.conditional_part);
    *message->mutable_predicted() = ToProto(one.predicted);
    *message->mutable_observed() = ToProto(one.observed);
    *message->mutable_predicted_leakage() = ToProto(one.predicted_leakage);
    *message->mutable_observed_leakage() = ToProto(one.observed_leakage);
  }

  void Add(const study::Relation& relation) {
    v1::Relation* message = out_.add_relations();
    message->set_prompt_set(Set(relation.prompt_set));
    message->set_trait(Trait(relation.trait));
    for (const study::Relation::Point& point : relation.points) {
      v1::Relation::Point* written = message->add_points();
      written->set_arm(Arm(point.arm));
      written->set_elicitation(point.elicitation);
      written->set_suppression(point.suppression);
    }
    *message->mutable_pearson() = ToProto(relation.pearson);
    *message->mutable_slope() = ToProto(relation.slope);
    if (relation.spearman) message->set_spearman(*relation.spearman);
    if (relation.intercept) message->set_intercept(*relation.intercept);
    if (relation.rmse) message->set_rmse(*relation.rmse);
    if (relation.leave_one_out) {
      message->set_leave_one_out_low(relation.leave_one_out->low);
      message->set_leave_one_out_high(relation.leave_one_out->high);
    }
  }

  void Add(const study::Narrowness& one) {
    v1::Narrowness* message = out_.add_narrowness();
    message->set_arm(Arm(one.arm));
    message->set_prompt_set(Set(one.prompt_set));
    message->set_trait(Trait(one.trait));
    *message->mutable_estimate() = ToProto(one.estimate);
    for (const int32_t context : one.others) message->add_others(Context(context));
    for (const int32_t context : one.excluded) message->add_excluded(Context(context));
  }

  void Add(const study::ContextMatrix& matrix) {
    v1::ContextMatrix* message = out_.add_matrices();
    message->set_prompt_set(Set(matrix.prompt_set));
    message->set_trait(Trait(matrix.trait));
    for (const int32_t context : matrix.contexts) message->add_contexts(Context(context));
    for (const study::ContextMatrix::Row& row : matrix.rows) {
      v1::ContextMatrix::Row* written = message->add_rows();
      written->set_arm(Arm(row.arm));
      for (const int32_t level : row.levels) written->add_levels(level);
    }
  }

  const study::Study& study_;
  v1::Study out_;
};

v1::Gate GateOf(study::GateKind kind) {
  switch (kind) {
    case study::GateKind::kInvalid:
      return v1::GATE_INVALID;
    case study::GateKind::kDegenerate:
      return v1::GATE_DEGENERATE;
    case study::GateKind::kLossFell:
      return v1::GATE_LOSS_FELL;
    case study::GateKind::kInstalled:
      return v1::GATE_INSTALLED;
  }
  return v1::GATE_UNSPECIFIED;
}

}  // namespace

v1::Study Encode(const study::Study& study) { return Encoder(study).Run(); }

v1::GateFailure Encode(const study::GateFailure& failure, const study::Study& study) {
  v1::GateFailure message;
  message.set_gate(GateOf(failure.kind));
  message.set_arm(NameAt(study.arms, failure.arm));
  if (failure.seed != kNone) message.set_seed(study.seeds[static_cast<size_t>(failure.seed)]);
  if (failure.step != kNone) message.set_step(failure.step);
  message.set_prompt_set(NameAt(study.prompt_sets, failure.prompt_set));
  message.set_context(NameAt(study.contexts, failure.context));
  message.set_trait(NameAt(study.traits, failure.trait));
  message.set_value(failure.value);
  message.set_limit(failure.limit);
  message.set_message(failure.message);
  return message;
}

v1::Screen Encode(const study::Screen& screen, const study::ScoreTable& table,
                  const core::ExperimentSpec& spec) {
  v1::Screen message;
  message.set_trait(NameAt(table.traits, screen.trait));
  message.set_prompt_set(NameAt(table.prompt_sets, screen.prompt_set));
  for (const study::Candidate& candidate : screen.candidates) {
    v1::ScreenCandidate* written = message.add_candidates();
    written->set_name(NameAt(table.contexts, candidate.context));
    const auto context = spec.contexts.find(written->name());
    if (context != spec.contexts.end()) {
      *written->mutable_context() = wire::ToProto(context->second);
    }
    written->set_rank(candidate.rank);
    *written->mutable_level() = ToProto(candidate.level);
    *written->mutable_elicitation() = ToProto(candidate.elicitation);
    for (const study::Candidate::Predictor& predictor : candidate.predictors) {
      v1::Predictor* one = written->add_predictors();
      one->set_prompt_set(NameAt(table.prompt_sets, predictor.prompt_set));
      *one->mutable_estimate() = ToProto(predictor.estimate);
    }
  }
  return message;
}

}  // namespace jenner::rpc
