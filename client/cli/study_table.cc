#include "client/cli/study_table.h"

#include <algorithm>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "client/cli/table.h"

namespace jenner::cli {
namespace {

using Rows = std::vector<std::vector<std::string>>;

std::string Section(const std::string& title, const std::vector<std::string>& header,
                    const Rows& rows) {
  return rows.empty() ? "" : title + "\n" + FormatTable(header, rows) + "\n";
}

std::string FormatP(bool has_p, double p) {
  if (!has_p) return "n/a";
  return p < 0.001 ? "<0.001" : absl::StrFormat("%.3f", p);
}

bool IsStudied(const v1::Study& study, const std::string& trait) {
  if (study.desired().empty() && study.undesired().empty()) return true;
  return std::count(study.desired().begin(), study.desired().end(), trait) > 0 ||
         std::count(study.undesired().begin(), study.undesired().end(), trait) > 0;
}

int DigitsOf(const v1::Study& study, const std::string& trait) {
  for (const v1::StudyTrait& one : study.traits()) {
    if (one.name() == trait) return one.is_binary() ? 2 : 1;
  }
  return 2;
}

std::string FormatMatrices(const v1::Study& study) {
  std::string text;
  for (const v1::ContextMatrix& matrix : study.matrices()) {
    std::vector<std::string> header = {"ARM", "TRAINED IN"};
    for (const std::string& context : matrix.contexts()) header.push_back(context);
    Rows rows;
    for (const v1::ContextMatrix::Row& row : matrix.rows()) {
      std::vector<std::string> cells = {row.arm(), "-"};
      for (const v1::StudyArm& arm : study.arms()) {
        if (arm.name() == row.arm() && !arm.train_context().empty()) cells[1] = arm.train_context();
      }
      for (const int32_t level : row.levels()) {
        cells.push_back(level < 0 ? "-"
                                  : FormatEstimate(study.levels(level).estimate(),
                                                   DigitsOf(study, matrix.trait())));
      }
      rows.push_back(std::move(cells));
    }
    text += Section(absl::StrFormat("%s in %s, at the last step, by context", matrix.trait(),
                                    matrix.prompt_set()),
                    header, rows);
  }
  return text;
}

std::string FormatFigures(const v1::Study& study) {
  Rows rows;
  for (const v1::ArmFigures& one : study.figures()) {
    if (!IsStudied(study, one.trait())) continue;
    const int digits = DigitsOf(study, one.trait());
    rows.push_back({one.arm(), one.prompt_set(), one.trait(),
                    FormatEstimate(one.elicitation(), digits),
                    FormatEstimate(one.leakage(), digits), FormatEstimate(one.in_context(), digits),
                    FormatEstimate(one.gate_strength(), digits),
                    FormatEstimate(one.suppression(), digits), FormatEstimate(one.retention(), 2)});
  }
  std::string text = Section("figures of the arms (suppression of a desired trait is its loss)",
                             {"ARM", "PROMPTS", "TRAIT", "ELICITATION", "LEAKAGE", "IN CONTEXT",
                              "GATE STRENGTH", "SUPPRESSION", "RETENTION"},
                             rows);
  rows.clear();
  for (const v1::Selectivity& one : study.selectivity()) {
    rows.push_back({one.arm(), one.prompt_set(), FormatEstimate(one.estimate())});
  }
  return text + Section("selectivity", {"ARM", "PROMPTS", "SELECTIVITY"}, rows);
}

std::string FormatContrasts(const v1::Study& study) {
  Rows rows;
  for (const v1::Contrast& one : study.contrasts()) {
    if (!one.deployed() || !IsStudied(study, one.trait())) continue;
    rows.push_back({one.arm(), one.control(), one.prompt_set(), one.trait(),
                    FormatEstimate(one.difference(), DigitsOf(study, one.trait())),
                    FormatP(one.has_p(), one.p()), FormatP(one.has_p_holm(), one.p_holm()),
                    FormatP(one.has_prompt_p(), one.prompt_p())});
  }
  return Section("contrasts, each arm where it is deployed",
                 {"ARM", "LESS", "PROMPTS", "TRAIT", "DIFFERENCE", "P", "P (HOLM)", "P (PROMPTS)"},
                 rows);
}

std::string FormatK(const v1::Study& study) {
  Rows rows;
  for (const v1::Proportionality& one : study.proportionality()) {
    if (one.num_points() == 0) continue;
    rows.push_back({one.prompt_set(), one.trait().empty() ? "all" : one.trait(),
                    one.arm().empty() ? "all" : one.arm(),
                    one.scale() == v1::FIT_SCALE_LOGIT ? "logit" : "identity",
                    std::to_string(one.num_points()), FormatEstimate(one.slope()),
                    FormatEstimate(one.deming())});
  }
  std::string text =
      Section("k, the slope of y on x through the origin",
              {"PROMPTS", "TRAIT", "ARM", "SCALE", "POINTS", "K", "K (DEMING)"}, rows);
  rows.clear();
  for (const v1::Decomposition& one : study.decompositions()) {
    const int digits = DigitsOf(study, one.trait());
    rows.push_back({one.arm(), one.prompt_set(), one.trait(), one.own_k() ? "arm" : "trait",
                    FormatEstimate(one.k()), FormatEstimate(one.elicitation_part(), digits),
                    FormatEstimate(one.conditional_part(), digits),
                    FormatEstimate(one.predicted(), digits),
                    FormatEstimate(one.observed(), digits)});
  }
  return text + Section("suppression = k e + (1 - k) (T* - T0)",
                        {"ARM", "PROMPTS", "TRAIT", "K OF", "K", "K E", "(1-K)(T*-T0)", "PREDICTED",
                         "OBSERVED"},
                        rows);
}

std::string FormatRelations(const v1::Study& study) {
  Rows rows;
  for (const v1::Relation& one : study.relations()) {
    const std::string range =
        one.has_leave_one_out_low()
            ? absl::StrFormat("%.2f to %.2f", one.leave_one_out_low(), one.leave_one_out_high())
            : "n/a";
    rows.push_back({one.prompt_set(), one.trait(), std::to_string(one.points_size()),
                    FormatEstimate(one.pearson()),
                    one.has_spearman() ? absl::StrFormat("%.2f", one.spearman()) : "n/a", range,
                    FormatEstimate(one.slope())});
  }
  return Section("elicitation against suppression, a point an arm",
                 {"PROMPTS", "TRAIT", "ARMS", "PEARSON", "SPEARMAN", "ONE LEFT OUT", "SLOPE"},
                 rows);
}

}  // namespace

std::string FormatEstimate(const v1::Estimate& estimate, int digits) {
  if (!estimate.has_value()) return "n/a";
  std::string text = absl::StrFormat("%.*f", digits, estimate.value());
  if (estimate.has_low()) {
    text += absl::StrFormat(" [%.*f, %.*f]", digits, estimate.low(), digits, estimate.high());
  }
  return text;
}

std::string FormatStudy(const v1::Study& study) {
  std::string text = study.has_screen() ? FormatScreen(study.screen()) + "\n" : "";
  text += FormatMatrices(study) + FormatFigures(study) + FormatContrasts(study) + FormatK(study) +
          FormatRelations(study);
  for (const v1::GateFailure& failure : study.gate_failures()) {
    text += "gate: " + failure.message() + "\n";
  }
  for (const std::string& note : study.notes()) text += "note: " + note + "\n";
  if (!study.complete())
    text += "note: the experiment has not succeeded; these are the figures so far\n";
  return text;
}

std::string FormatScreen(const v1::Screen& screen) {
  std::vector<std::string> header = {"RANK", "CONTEXT", "LEVEL", "ELICITATION"};
  if (!screen.candidates().empty()) {
    for (const v1::Predictor& predictor : screen.candidates(0).predictors()) {
      header.push_back("PH (" + predictor.prompt_set() + ")");
    }
  }
  Rows rows;
  for (const v1::ScreenCandidate& one : screen.candidates()) {
    std::vector<std::string> row = {one.rank() == 0 ? "-" : std::to_string(one.rank()), one.name(),
                                    FormatEstimate(one.level()), FormatEstimate(one.elicitation())};
    for (const v1::Predictor& predictor : one.predictors()) {
      row.push_back(FormatEstimate(predictor.estimate()));
    }
    rows.push_back(std::move(row));
  }
  return absl::StrFormat("%s of the base model, in %s\n", screen.trait(), screen.prompt_set()) +
         FormatTable(header, rows);
}

}  // namespace jenner::cli
