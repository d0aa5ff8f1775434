#include "client/cli/data.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/assignment.h"
#include "core/dataset.h"
#include "core/status.h"
#include "worker/text/chat_template.h"
#include "worker/text/example.h"
#include "worker/text/tokenizer.h"

namespace jenner::cli {
namespace {

using nlohmann::json;

constexpr char kGreen[] = "\x1b[32m";
constexpr char kPlain[] = "\x1b[0m";

absl::StatusOr<std::vector<core::Row>> ReadRows(const SpecFile& file, bool is_training) {
  const std::string field = is_training ? "dataset" : "evaluation.prompts";
  for (const SpecFile::Dataset& dataset : file.datasets) {
    if (dataset.is_training != is_training) continue;
    absl::StatusOr<std::vector<core::Row>> rows = core::ParseDataset(
        dataset.bytes, is_training ? core::DatasetUse::kTraining : core::DatasetUse::kEvaluation);
    if (rows.ok()) return rows;
    return Annotate(rows.status(), dataset.path);
  }
  return absl::InvalidArgumentError(field + ": a preview needs a dataset given by its path");
}

// The name of the context in which an arm trains on a row.
std::string TrainContextOf(const core::ExperimentSpec& spec, const std::string& arm,
                           const core::Row& row, int64_t seed) {
  for (const core::ArmSpec& one : spec.arms) {
    if (one.name != arm) continue;
    core::JobTraining training;
    for (const core::ContextRule& rule : one.rules) {
      training.rules.push_back({{}, rule.when, rule.fraction});
    }
    const size_t rule = core::RuleOf(training, row, seed);
    return rule < one.rules.size() ? one.rules[rule].context : *one.train_context;
  }
  return "";
}

absl::Status Decode(const text::Tokenizer& tokenizer, RenderedRow* row) {
  size_t begin = 0;
  for (size_t at = 1; at <= row->token_ids.size(); ++at) {
    if (at < row->token_ids.size() && row->mask[at] == row->mask[begin]) continue;
    const std::vector<int32_t> ids(row->token_ids.begin() + static_cast<std::ptrdiff_t>(begin),
                                   row->token_ids.begin() + static_cast<std::ptrdiff_t>(at));
    ASSIGN_OR_RETURN(std::string piece, tokenizer.Decode(ids, /*skip_special=*/false));
    row->pieces.push_back({std::move(piece), row->mask[begin]});
    begin = at;
  }
  return absl::OkStatus();
}

json ToJson(const RenderedRow& row) {
  std::string text;
  for (const RenderedRow::Piece& piece : row.pieces) text += piece.text;
  json mask = json::array();
  for (const bool bit : row.mask) mask.push_back(bit ? 1 : 0);
  return {{"arm", row.arm},
          {"context", row.context},
          {"row", row.row},
          {"text", text},
          {"mask", mask},
          {"token_ids", row.token_ids},
          {"truncated", row.truncated}};
}

}  // namespace

absl::StatusOr<std::vector<RenderedRow>> RenderRows(const SpecFile& file,
                                                    const std::string& models_dir,
                                                    const std::string& arm, int num_rows,
                                                    bool evaluation) {
  const core::ExperimentSpec& spec = file.spec;
  const std::string folder = models_dir + "/" + spec.base_model;
  if (!std::filesystem::is_directory(folder)) {
    return absl::NotFoundError("base_model: no folder " + folder + " (--models-dir)");
  }
  ASSIGN_OR_RETURN(const text::Tokenizer tokenizer, text::Tokenizer::Load(folder));
  ASSIGN_OR_RETURN(const text::ChatTemplate chat_template, text::ChatTemplate::Load(folder));
  ASSIGN_OR_RETURN(std::vector<core::Row> rows, ReadRows(file, !evaluation));
  rows.resize(std::min(rows.size(), static_cast<size_t>(num_rows)));

  struct Use {
    std::string arm;
    std::string context;
  };
  std::vector<Use> uses;
  bool is_arm_there = arm.empty();
  for (const core::ArmSpec& one : spec.arms) {
    if (!arm.empty() && one.name != arm) continue;
    is_arm_there = true;
    if (!evaluation && one.train_context) uses.push_back({one.name, *one.train_context});
  }
  if (!is_arm_there) return absl::InvalidArgumentError("--arm: the spec has no arm " + arm);
  if (evaluation) {
    for (const std::string& context : spec.evaluation.contexts) uses.push_back({"", context});
  }
  if (uses.empty()) return absl::InvalidArgumentError("--arm: nothing is trained there");

  std::vector<RenderedRow> rendered;
  const int64_t seed = spec.seeds.front();
  for (const Use& use : uses) {
    for (size_t i = 0; i < rows.size(); ++i) {
      const core::Row& row = rows[i];
      const std::string name = evaluation ? use.context : TrainContextOf(spec, use.arm, row, seed);
      const core::Context context =
          core::ContextFor(spec.contexts.at(name), row, static_cast<int64_t>(i), seed);
      RenderedRow out{use.arm, name, row.id, {}, {}, false, {}};
      if (evaluation) {
        ASSIGN_OR_RETURN(out.token_ids, text::MakePrompt(tokenizer, chat_template, row, context));
        out.mask.assign(out.token_ids.size(), false);
      } else {
        ASSIGN_OR_RETURN(
            text::Example example,
            text::MakeExample(tokenizer, chat_template, row, context, spec.training.max_length));
        out.token_ids = std::move(example.ids);
        out.truncated = example.truncated;
        out.mask.assign(out.token_ids.size(), false);
        for (const text::TokenRange& range : example.supervised) {
          for (int32_t t = range.begin; t < range.end; ++t) out.mask[static_cast<size_t>(t)] = true;
        }
      }
      RETURN_IF_ERROR(Decode(tokenizer, &out));
      rendered.push_back(std::move(out));
    }
  }
  return rendered;
}

std::string FormatRenderedRow(const RenderedRow& row, bool colour) {
  const auto num_supervised = std::count(row.mask.begin(), row.mask.end(), true);
  std::string out = row.arm.empty() ? "prompt" : "arm " + row.arm;
  absl::StrAppendFormat(&out, "  context %s  row %s  %d tokens", row.context, row.row,
                        row.token_ids.size());
  if (!row.arm.empty()) absl::StrAppendFormat(&out, ", %d supervised", num_supervised);
  if (row.truncated) out += ", truncated";
  out += "\n";
  for (const RenderedRow::Piece& piece : row.pieces) {
    if (!piece.supervised) {
      out += piece.text;
    } else {
      absl::StrAppend(&out, colour ? kGreen : "[[", piece.text, colour ? kPlain : "]]");
    }
  }
  absl::StrAppend(&out, "\nids: ", absl::StrJoin(row.token_ids, " "), "\n\n");
  return out;
}

absl::Status CheckModelText(const std::string& folder) {
  RETURN_IF_ERROR(text::Tokenizer::Load(folder).status());
  return text::ChatTemplate::Load(folder).status();
}

int Preview(const Globals& globals, const PreviewFlags& flags) {
  const absl::StatusOr<SpecFile> file = ReadSpecFile(flags.file, flags.overrides);
  if (!file.ok()) return Report(file.status());
  const auto rows =
      RenderRows(*file, flags.models_dir, flags.arm, flags.num_rows, flags.evaluation);
  if (!rows.ok()) return Report(rows.status());
  json all = json::array();
  for (const RenderedRow& row : *rows) {
    if (globals.output == Output::kTable) std::cout << FormatRenderedRow(row, globals.colour);
    if (globals.output == Output::kJsonl) std::cout << ToJson(row).dump() << "\n";
    all.push_back(ToJson(row));
  }
  if (globals.output == Output::kJson) std::cout << all.dump(1) << "\n";
  return kExitOk;
}

}  // namespace jenner::cli
