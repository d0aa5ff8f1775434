#include "client/cli/table.h"

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>
#include <set>

#include "absl/strings/str_format.h"
#include "core/spec.h"

namespace jenner::cli {
namespace {

// Code points: no continuation bytes counted.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

// A cell of a table: what would move the cursor (C0, DEL and C1 controls) becomes a space.
std::string OneLine(std::string text) {
  for (size_t i = 0; i < text.size(); ++i) {
    const auto byte = static_cast<unsigned char>(text[i]);
    if (byte < 0x20 || byte == 0x7F) text[i] = ' ';
    const auto next = i + 1 < text.size() ? static_cast<unsigned char>(text[i + 1]) : 0;
    if (byte == 0xC2 && next >= 0x80 && next < 0xA0) text.replace(i, 2, " ");
  }
  return text;
}

std::string Upper(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return std::toupper(c); });
  return text;
}

// "40/100 (from 20)": where the attempt went on from.
std::string FormatSteps(int step, int total_steps, int resumed_step) {
  if (total_steps == 0) return "-";
  const std::string from = resumed_step > 0 ? absl::StrFormat(" (from %d)", resumed_step) : "";
  return absl::StrFormat("%d/%d", step, total_steps) + from;
}

// "w1, w2", or "w1 x2, w2" for a worker of several ranks; "-": none.
std::string FormatJobWorkers(const Names& workers) {
  std::map<std::string, int> counts;
  for (const std::string& name : workers) ++counts[name];
  std::string out;
  for (const auto& [name, count] : counts) {
    out += (out.empty() ? "" : ", ") + name + (count > 1 ? absl::StrFormat(" x%d", count) : "");
  }
  return out.empty() ? "-" : out;
}

// "queued #3": its place in the queue.
std::string FormatState(v1::State state, int queue_position) {
  return StateName(state) + (queue_position > 0 ? absl::StrFormat(" #%d", queue_position) : "");
}

std::string FormatTime(const google::protobuf::Timestamp& time) {
  if (time.seconds() == 0) return "-";
  const time_t seconds = static_cast<time_t>(time.seconds());
  tm parts{};
  gmtime_r(&seconds, &parts);
  char text[32];
  strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return text;
}

// At most max_bytes of `text`, with "..." for what is left out; no part of a character.
std::string Shortened(const std::string& text, size_t max_bytes) {
  if (text.size() <= max_bytes) return text;
  size_t end = max_bytes - 3;
  while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) --end;
  return text.substr(0, end) + "...";
}

}  // namespace

std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<std::vector<std::string>> cells = rows;
  for (auto& row : cells) std::transform(row.begin(), row.end(), row.begin(), OneLine);
  std::vector<size_t> widths;
  for (const std::string& name : header) widths.push_back(Width(name));
  for (const auto& row : cells) {
    for (size_t i = 0; i < row.size() && i < widths.size(); ++i)
      widths[i] = std::max(widths[i], Width(row[i]));
  }
  std::string out;
  const auto add = [&](const std::vector<std::string>& row) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i) {
      line += row[i];
      if (i + 1 < row.size()) line += std::string(widths[i] - Width(row[i]) + 2, ' ');
    }
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  };
  add(header);
  for (const auto& row : cells) add(row);
  return out;
}

std::string FormatRatio(const v1::TraitRatio& trait, int num_samples) {
  if (!trait.has_ratio()) return "n/a";
  // Not a share: a number of the trait's own unit.
  std::string text = absl::StrFormat(trait.is_binary() ? "%.2f" : "%.4g", trait.ratio());
  if (trait.has_low()) text += absl::StrFormat(" [%.2f, %.2f]", trait.low(), trait.high());
  if (trait.num_measured() != num_samples) text += absl::StrFormat(" of %d", trait.num_measured());
  return text;
}

bool IsOther(const std::string& prompt_set) {
  return !prompt_set.empty() && prompt_set != core::kMainSet;
}

std::string FormatResults(const std::vector<v1::ResultRow>& rows) {
  std::vector<std::string> traits;
  for (const v1::ResultRow& row : rows) {
    for (const v1::TraitRatio& trait : row.cell().traits()) {
      if (std::find(traits.begin(), traits.end(), trait.trait()) == traits.end())
        traits.push_back(trait.trait());
    }
  }
  const bool has_sets = std::any_of(
      rows.begin(), rows.end(), [](const v1::ResultRow& row) { return IsOther(row.prompt_set()); });
  std::vector<std::string> header = {"ARM", "SEED", "STEP"};
  if (has_sets) header.push_back("PROMPTS");
  header.push_back("CONTEXT");
  for (const std::string& trait : traits) {
    header.push_back(Upper(trait));
  }
  header.insert(header.end(), {"ANSWERS", "CUT"});
  std::vector<std::vector<std::string>> table;
  for (const v1::ResultRow& row : rows) {
    std::vector<std::string> cells = {row.arm(), std::to_string(row.seed()),
                                      absl::StrFormat("%d/%d", row.step(), row.total_steps())};
    if (has_sets) cells.push_back(row.prompt_set());
    cells.push_back(row.context());
    for (const std::string& name : traits) {
      std::string shown = "-";
      for (const v1::TraitRatio& trait : row.cell().traits()) {
        if (trait.trait() == name) shown = FormatRatio(trait, row.cell().num_samples());
      }
      cells.push_back(shown);
    }
    cells.push_back(std::to_string(row.cell().num_samples()));
    cells.push_back(std::to_string(row.cell().num_truncated()));
    table.push_back(std::move(cells));
  }
  return FormatTable(header, table);
}

std::string FormatExperiments(const std::vector<v1::Experiment>& experiments) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Experiment& one : experiments) {
    int ended = 0;
    for (const v1::Job& job : one.jobs()) {
      ended += job.state() == v1::STATE_SUCCEEDED || job.state() == v1::STATE_FAILED ||
               job.state() == v1::STATE_CANCELLED;
    }
    rows.push_back({LastComponent(one.name()), FormatState(one.state(), one.queue_position()),
                    absl::StrFormat("%d/%d", ended, one.jobs_size()), one.owner(),
                    std::to_string(one.priority()), FormatTime(one.create_time()),
                    FormatReason(one.state_reason())});
  }
  return FormatTable({"EXPERIMENT", "STATE", "JOBS", "OWNER", "PRIORITY", "CREATED", "REASON"},
                     rows);
}

std::string FormatExperiment(const v1::Experiment& experiment) {
  std::string out = absl::StrFormat(
      "%s  %s  %s  created %s", LastComponent(experiment.name()), StateName(experiment.state()),
      Counted(experiment.jobs_size(), "job"), FormatTime(experiment.create_time()));
  out += absl::StrFormat("  owner %s  priority %d", experiment.owner(), experiment.priority());
  if (experiment.has_start_time() && experiment.has_end_time()) {
    out += "  took " + FormatSeconds(static_cast<double>(experiment.end_time().seconds() -
                                                         experiment.start_time().seconds()));
  }
  out += "\n";
  if (const std::string reason = FormatReason(experiment.state_reason()); !reason.empty())
    out += reason + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const v1::Job& job : experiment.jobs()) {
    rows.push_back({LastComponent(job.name()), FormatArms(job.arms(), 3),
                    job.stopping() ? "stopping" : FormatState(job.state(), job.queue_position()),
                    job.attempt() == 0 ? "-" : std::to_string(job.attempt()),
                    FormatSteps(job.step(), job.total_steps(), job.resumed_step()),
                    FormatJobWorkers(job.workers()), FormatReason(job.state_reason())});
  }
  return out + "\n" +
         FormatTable({"JOB", "ARMS/SEED", "STATE", "ATTEMPT", "STEP", "WORKERS", "REASON"}, rows);
}

std::string FormatMatrix(const v1::Experiment& experiment) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Job& job : experiment.jobs()) {
    rows.push_back({LastComponent(job.name()), std::to_string(job.ranks()),
                    FormatArms(job.arms(), job.arms_size())});
  }
  return FormatTable({"JOB", "RANKS", "ARMS/SEED"}, rows);
}

std::string FormatPlan(const v1::Plan& plan) {
  std::string text = absl::StrFormat(
      "%d trainings: %d optimizer steps, %d rows, about %d tokens\n"
      "%d answers to generate, %d given ones to score\n",
      plan.num_trainings(), plan.num_steps(), plan.num_rows(), plan.num_tokens(),
      plan.num_answers(), plan.num_given());
  if (plan.has_seconds()) {
    text += "estimated time: " + FormatSeconds(plan.seconds()) + "\n";
  }
  if (plan.has_minimum_detectable_difference()) {
    text += absl::StrFormat("minimum detectable difference: %.2f (two-sided 95 %%, power 0.8)\n",
                            plan.minimum_detectable_difference());
  } else if (plan.num_trainings() >= 2) {
    text += "minimum detectable difference: none; not even 0 is told from 0.5\n";
  }
  for (const std::string& assumption : plan.assumptions()) text += "  " + assumption + "\n";
  return text;
}

std::string FormatLiveness(const v1::Worker& worker) {
  const std::string text = worker.liveness() == v1::Worker::LIVENESS_ALIVE ? "alive" : "lost";
  switch (worker.cordon()) {
    case v1::Worker::CORDON_CORDONED:
      return text + ", cordoned";
    case v1::Worker::CORDON_DRAINING:
      return text + ", draining";
    case v1::Worker::CORDON_DRAINED:
      return text + ", drained";
    default:
      return text;
  }
}

std::string FormatWorkers(const std::vector<v1::Worker>& workers) {
  const bool has_reserved = std::any_of(workers.begin(), workers.end(), [](const v1::Worker& one) {
    return !one.only_job().empty();
  });
  std::vector<std::string> header = {"WORKER",    "STATE",   "SLOTS USED", "GPUS USED",
                                     "LAST SEEN", "VERSION", "MODELS"};
  if (has_reserved) header.push_back("ONLY JOB");
  std::vector<std::vector<std::string>> rows;
  for (const v1::Worker& one : workers) {
    rows.push_back({LastComponent(one.name()), FormatLiveness(one),
                    absl::StrFormat("%d/%d", one.slots_used(), one.slots()),
                    absl::StrFormat("%d/%d", one.gpus_used(), one.gpus()),
                    FormatSeconds(static_cast<double>(one.since_last_seen().seconds())) + " ago",
                    one.version(), one.models_size() == 0 ? "-" : FormatArms(one.models(), 8)});
    if (has_reserved) rows.back().push_back(one.only_job().empty() ? "-" : one.only_job());
  }
  return FormatTable(header, rows);
}

std::string FormatSamples(const std::vector<v1::Sample>& samples) {
  constexpr size_t kJudgeColumns = 60;
  std::set<std::string> traits;
  bool has_sets = false;
  bool has_judge_error = false;
  for (const v1::Sample& sample : samples) {
    has_judge_error = has_judge_error || !sample.judge_error().empty();
    has_sets = has_sets || IsOther(sample.prompt_set());
    for (const v1::Score& score : sample.scores()) traits.insert(score.trait());
  }
  std::vector<std::string> header = {"ARM/SEED", "STEP"};
  if (has_sets) header.push_back("PROMPTS");
  header.insert(header.end(), {"CONTEXT", "PROMPT"});
  for (const std::string& trait : traits) header.push_back(Upper(trait));
  header.push_back("END");
  if (has_judge_error) header.push_back("JUDGE");
  header.push_back("ANSWER");
  std::vector<std::vector<std::string>> rows;
  for (const v1::Sample& sample : samples) {
    std::vector<std::string> row = {FormatArms(sample.arms(), 1), std::to_string(sample.step())};
    if (has_sets) row.push_back(sample.prompt_set());
    row.insert(row.end(), {sample.context(), sample.prompt_id()});
    for (const std::string& trait : traits) {
      std::string shown = "n/a";
      for (const v1::Score& score : sample.scores()) {
        if (score.trait() == trait && score.has_value())
          shown = absl::StrFormat("%.4g", score.value());
      }
      row.push_back(shown);
    }
    row.push_back(sample.finish_reason());
    if (has_judge_error) row.push_back(Shortened(sample.judge_error(), kJudgeColumns));
    row.push_back(sample.answer());
    rows.push_back(std::move(row));
  }
  return FormatTable(header, rows);
}

std::string FormatBar(const std::string& label, const v1::TrainPoint& point, int total_steps,
                      int columns) {
  const std::string total = std::to_string(total_steps);
  const std::string figures =
      absl::StrFormat("%*d/%s  loss %.4f  %6.0f tokens/s", static_cast<int>(total.size()),
                      point.step(), total, point.loss(), point.tokens_per_second());
  const int room = columns - 1 - static_cast<int>(figures.size()) - 5;  // for label and bar
  const int width = std::min(static_cast<int>(label.size()), std::max(room - 8, 4));
  const int bar = std::clamp(room - width, 4, 24);
  const int filled = total_steps == 0 ? 0 : std::clamp(bar * point.step() / total_steps, 0, bar);
  const std::string line =
      absl::StrFormat("%s  [%s%s] %s", label.substr(0, static_cast<size_t>(width)),
                      std::string(static_cast<size_t>(filled), '#'),
                      std::string(static_cast<size_t>(bar - filled), '.'), figures);
  return line.substr(0, static_cast<size_t>(std::max(columns - 1, 0)));
}

std::string FormatArms(const Names& arms, int max) {
  std::string out;
  for (int i = 0; i < arms.size() && i < max; ++i) out += (i == 0 ? "" : ", ") + arms[i];
  return arms.size() > max ? out + absl::StrFormat(" +%d", arms.size() - max) : out;
}

std::string FormatReason(const v1::StateReason& reason) {
  if (reason.code().empty()) return "";
  const std::string blame = reason.blame() == "capacity" ? "" : " [" + reason.blame() + "]";
  return OneLine(reason.code() + blame + ": " + reason.message());
}

std::string Counted(int count, const std::string& noun) {
  return absl::StrFormat("%d %s%s", count, noun, count == 1 ? "" : "s");
}

std::string StateName(v1::State state) {
  std::string name = v1::State_Name(state).substr(6);  // without "STATE_"
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string LastComponent(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::string FormatSeconds(double seconds) {
  const int64_t total = std::llround(seconds);
  if (total >= 3600) return absl::StrFormat("%dh%02dm", total / 3600, total / 60 % 60);
  if (total >= 60) return absl::StrFormat("%dm%02ds", total / 60, total % 60);
  return absl::StrFormat("%ds", total);
}

}  // namespace jenner::cli
