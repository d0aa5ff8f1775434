#include "client/cli/data.h"

#include <algorithm>
#include <filesystem>
#include <iostream>
#include <nlohmann/json.hpp>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_join.h"
#include "core/assignment.h"
#include "core/data.h"
#include "core/dataset.h"
#include "core/sha256.h"
#include "core/status.h"
#include "worker/text/chat_template.h"
#include "worker/text/example.h"
#include "worker/text/tokenizer.h"

namespace jenner::cli {
namespace {

using nlohmann::json;

constexpr char kGreen[] = "\x1b[32m";
constexpr char kPlain[] = "\x1b[0m";

// The rows of the dataset that `ref` names, which the file has by its path.
absl::StatusOr<std::vector<core::Row>> ReadRows(const SpecFile& file, const std::string& field,
                                                const std::string& ref, core::DatasetUse use) {
  for (const SpecFile::Dataset& dataset : file.datasets) {
    if (core::RefOf(dataset.bytes) != ref) continue;
    absl::StatusOr<std::vector<core::Row>> rows = core::ParseDataset(dataset.bytes, use);
    if (rows.ok()) return rows;
    return Annotate(rows.status(), dataset.path);
  }
  return absl::InvalidArgumentError(field + ": a preview needs a dataset given by its path");
}

// What an arm trains on, as the server would make it.
absl::StatusOr<std::vector<core::Row>> TrainingRows(const SpecFile& file,
                                                    const core::ArmSpec& arm) {
  constexpr auto kUse = core::DatasetUse::kTraining;
  if (arm.data.empty()) return ReadRows(file, "dataset", file.spec.dataset, kUse);
  const core::DataSpec& data = file.spec.data.at(arm.data);
  std::vector<std::vector<core::Row>> sources;
  for (size_t i = 0; i < data.sources.size(); ++i) {
    const std::string field = absl::StrFormat("data.%s.sources[%d].dataset", arm.data, i);
    ASSIGN_OR_RETURN(std::vector<core::Row> rows,
                     ReadRows(file, field, data.sources[i].dataset, kUse));
    sources.push_back(std::move(rows));
  }
  ASSIGN_OR_RETURN(const std::vector<core::Row> prompts,
                   ReadRows(file, "evaluation.prompts", file.spec.evaluation.prompts,
                            core::DatasetUse::kEvaluation));
  core::Faults faults;
  std::vector<core::Row> rows = core::MakeTrainingSet(data, std::move(sources), prompts, &faults);
  for (core::Fault& fault : faults) fault.field = "data." + arm.data + "." + fault.field;
  if (!faults.empty()) return core::ToStatus(faults);
  return rows;
}

// One part of what is shown: rows and how each of them is seen.
struct Use {
  std::string arm;      // "" for an evaluation
  std::string context;  // of a training: where no rule says otherwise
  std::vector<core::ContextRule> rules;
  std::vector<core::Row> rows;
};

absl::StatusOr<std::vector<Use>> UsesOf(const SpecFile& file, const std::string& arm,
                                        bool evaluation) {
  const core::ExperimentSpec& spec = file.spec;
  std::vector<Use> uses;
  bool is_arm_there = arm.empty();
  for (const core::ArmSpec& one : spec.arms) {
    if (!arm.empty() && one.name != arm) continue;
    is_arm_there = true;
    if (evaluation || !one.train_context) continue;
    ASSIGN_OR_RETURN(std::vector<core::Row> rows, TrainingRows(file, one));
    uses.push_back({one.name, *one.train_context, one.rules, std::move(rows)});
  }
  if (!is_arm_there) return absl::InvalidArgumentError("--arm: the spec has no arm " + arm);
  if (evaluation) {
    ASSIGN_OR_RETURN(const std::vector<core::Row> rows,
                     ReadRows(file, "evaluation.prompts", spec.evaluation.prompts,
                              core::DatasetUse::kEvaluation));
    for (const std::string& context : spec.evaluation.contexts) {
      uses.push_back({"", context, {}, rows});
    }
  }
  if (uses.empty()) return absl::InvalidArgumentError("--arm: nothing is trained there");
  return uses;
}

const std::string& ContextOf(const Use& use, const core::Row& row, int64_t seed) {
  core::JobTraining training;
  for (const core::ContextRule& rule : use.rules) {
    training.rules.push_back({{}, rule.when, rule.fraction});
  }
  const size_t rule = core::RuleOf(training, row, seed);
  return rule < use.rules.size() ? use.rules[rule].context : use.context;
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
  ASSIGN_OR_RETURN(const std::vector<Use> uses, UsesOf(file, arm, evaluation));
  std::vector<RenderedRow> rendered;
  const int64_t seed = spec.seeds.front();
  for (const Use& use : uses) {
    const size_t count = std::min(use.rows.size(), static_cast<size_t>(num_rows));
    for (size_t i = 0; i < count; ++i) {
      const core::Row& row = use.rows[i];
      const std::string& name = ContextOf(use, row, seed);
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
