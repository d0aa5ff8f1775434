#include "client/cli/report_data.h"

#include <map>
#include <set>
#include <tuple>
#include <utility>

#include "absl/strings/str_cat.h"
#include "client/cli/table.h"
#include "core/dataset.h"
#include "core/spec.h"
#include "core/status.h"

namespace jenner::cli {
namespace {

// Silence of a watch after which all that is stored has come.
constexpr absl::Duration kHeartbeat = absl::Seconds(1);

// By job and step.
using Curves = std::map<std::string, std::map<int, v1::TrainPoint>>;

// The curves hold what the jobs had done when `experiment` was told.
bool IsUpToDate(const v1::Experiment& experiment, const Curves& curves) {
  for (const v1::Job& job : experiment.jobs()) {
    if (job.step() == 0) continue;
    const auto found = curves.find(job.name());
    if (found == curves.end() || found->second.empty()) return false;
    const v1::TrainPoint& last = found->second.rbegin()->second;
    if (last.attempt() < job.attempt() || last.step() < job.step()) return false;
  }
  return true;
}

absl::StatusOr<std::vector<v1::TrainPoint>> CollectTrainPoints(client::Client* client,
                                                               const v1::Experiment& experiment) {
  Curves curves;
  const auto watch = client->WatchExperiment(experiment.name(), "", kHeartbeat);
  bool is_complete = false;
  for (v1::WatchExperimentResponse update; !is_complete && watch->Next(&update);) {
    if (update.has_train_point()) {
      v1::TrainPoint& point = *update.mutable_train_point();
      curves[point.job()][point.step()] = point;
      is_complete = IsUpToDate(experiment, curves);
    } else if (update.has_rewind()) {
      auto& curve = curves[update.rewind().job()];
      curve.erase(curve.upper_bound(update.rewind().step()), curve.end());
    }
    is_complete = is_complete || update.has_heartbeat() || update.has_terminal();
  }
  if (!is_complete) RETURN_IF_ERROR(watch->status());
  std::vector<v1::TrainPoint> points;
  for (auto& [job, curve] : curves) {
    for (auto& [step, point] : curve) points.push_back(std::move(point));
  }
  return points;
}

std::string TextOf(const core::Row& row, bool has_answer) {
  const size_t num_turns = row.messages.size() - (has_answer ? 1 : 0);
  if (num_turns == 1) return row.messages.front().content;
  std::string text;
  for (size_t i = 0; i < num_turns; ++i) {
    absl::StrAppend(&text, text.empty() ? "" : "\n\n", row.messages[i].role, ": ",
                    row.messages[i].content);
  }
  return text;
}

struct SetRef {
  std::string name;
  std::string dataset;
  bool has_answers = false;
};

std::vector<SetRef> SetsOf(const v1::EvaluationSpec& evaluation) {
  std::vector<SetRef> sets = {{core::kMainSet, evaluation.prompts(), false}};
  for (const v1::PromptSetSpec& set : evaluation.sets()) {
    sets.push_back({set.name(), set.prompts(), set.mode() == v1::EVALUATION_MODE_LOG_PROBABILITY});
  }
  return sets;
}

// A dataset that is gone leaves a report without its texts.
absl::Status CollectPrompts(client::Client* client, const v1::EvaluationSpec& evaluation,
                            ReportData* data) {
  for (const SetRef& set : SetsOf(evaluation)) {
    if (set.dataset.empty()) continue;
    const absl::StatusOr<std::string> bytes = client->DownloadDataset(set.dataset);
    if (absl::IsNotFound(bytes.status()) || absl::IsUnimplemented(bytes.status())) {
      data->notes.push_back(absl::StrCat("The texts of the prompts of set ", set.name,
                                         " are not in this report: the server has not got ",
                                         set.dataset, "."));
      continue;
    }
    RETURN_IF_ERROR(bytes.status());
    const auto use = set.has_answers ? core::DatasetUse::kTraining : core::DatasetUse::kEvaluation;
    ASSIGN_OR_RETURN(const std::vector<core::Row> rows, core::ParseDataset(*bytes, use));
    for (const core::Row& row : rows) {
      data->prompts.push_back({set.name, row.id, TextOf(row, set.has_answers)});
    }
  }
  return absl::OkStatus();
}

absl::Status Explained(const absl::Status& status) {
  if (!absl::IsUnimplemented(status)) return status;
  return absl::UnimplementedError(
      "the server has no figures of studies (GetStudy): it is older than this jenner, and a report "
      "needs them");
}

}  // namespace

absl::StatusOr<ReportData> CollectReport(client::Client* client, const std::string& name) {
  ReportData data;
  ASSIGN_OR_RETURN(data.experiment, client->GetExperiment(name));
  absl::StatusOr<v1::Study> study = client->GetStudy(name);
  if (!study.ok()) return Explained(study.status());
  data.study = *std::move(study);
  ASSIGN_OR_RETURN(data.results, client->GetResults(name));
  v1::ListSamplesRequest request;
  request.set_name(name);
  ASSIGN_OR_RETURN(data.samples, client->ListSamples(std::move(request), 0));
  ASSIGN_OR_RETURN(data.train_points, CollectTrainPoints(client, data.experiment));
  RETURN_IF_ERROR(CollectPrompts(client, data.experiment.spec().evaluation(), &data));
  return data;
}

std::vector<const v1::Sample*> ChooseSamples(const std::vector<v1::Sample>& samples,
                                             size_t max_samples) {
  using Cell = std::tuple<std::string, int, std::string, std::string>;
  const auto cell_of = [](const v1::Sample& sample) {
    return Cell(sample.job(), sample.step(), sample.prompt_set(), sample.context());
  };
  std::map<Cell, size_t> sizes;
  for (const v1::Sample& sample : samples) ++sizes[cell_of(sample)];
  // The most of a cell, so that all cells together are few enough.
  const auto total = [&sizes](size_t most) {
    size_t sum = 0;
    for (const auto& [cell, size] : sizes) sum += std::min(size, most);
    return sum;
  };
  size_t low = 0;
  size_t high = std::min(max_samples, samples.size());
  while (low < high) {
    const size_t middle = low + (high - low + 1) / 2;
    if (total(middle) <= max_samples) {
      low = middle;
    } else {
      high = middle - 1;
    }
  }
  std::map<Cell, size_t> taken;
  std::vector<const v1::Sample*> chosen;
  for (const v1::Sample& sample : samples) {
    if (++taken[cell_of(sample)] <= low) chosen.push_back(&sample);
  }
  return chosen;
}

}  // namespace jenner::cli
