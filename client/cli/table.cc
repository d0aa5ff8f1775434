#include "client/cli/table.h"

#include <algorithm>
#include <cctype>

#include "absl/strings/str_format.h"

namespace jenner::cli {
namespace {

// Code points: no continuation bytes counted.
size_t Width(const std::string& text) {
  return static_cast<size_t>(std::count_if(text.begin(), text.end(), [](char c) {
    return (static_cast<unsigned char>(c) & 0xC0) != 0x80;
  }));
}

std::string JoinNames(const google::protobuf::RepeatedPtrField<std::string>& names) {
  std::string out;
  for (const std::string& name : names) out += (out.empty() ? "" : ", ") + name;
  return out;
}

std::string FormatReason(const v1::StateReason& reason) {
  if (reason.code().empty()) return "";
  return reason.code() + " [" + reason.blame() + "]: " + reason.message();
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

}  // namespace

std::string FormatTable(const std::vector<std::string>& header,
                        const std::vector<std::vector<std::string>>& rows) {
  std::vector<size_t> widths;
  for (const std::string& name : header) widths.push_back(Width(name));
  for (const auto& row : rows) {
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
  for (const auto& row : rows) add(row);
  return out;
}

std::string FormatRatio(const v1::TraitRatio& trait, int num_samples) {
  if (!trait.has_ratio()) return "n/a";
  std::string text = absl::StrFormat("%.2f", trait.ratio());
  if (trait.has_low()) text += absl::StrFormat(" [%.2f, %.2f]", trait.low(), trait.high());
  if (trait.num_measured() != num_samples) text += absl::StrFormat(" of %d", trait.num_measured());
  return text;
}

std::string FormatResults(const std::vector<v1::ResultRow>& rows) {
  std::vector<std::string> traits;
  for (const v1::ResultRow& row : rows) {
    for (const v1::TraitRatio& trait : row.cell().traits()) {
      if (std::find(traits.begin(), traits.end(), trait.trait()) == traits.end())
        traits.push_back(trait.trait());
    }
  }
  std::vector<std::string> header = {"ARM", "SEED", "STEP", "CONTEXT"};
  for (const std::string& trait : traits) {
    std::string upper = trait;
    std::transform(upper.begin(), upper.end(), upper.begin(),
                   [](unsigned char c) { return std::toupper(c); });
    header.push_back(upper);
  }
  header.insert(header.end(), {"ANSWERS", "CUT"});
  std::vector<std::vector<std::string>> table;
  for (const v1::ResultRow& row : rows) {
    std::vector<std::string> cells = {row.arm(), std::to_string(row.seed()),
                                      absl::StrFormat("%d/%d", row.step(), row.total_steps()),
                                      row.context()};
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
    for (const v1::Job& job : one.jobs()) ended += job.state() >= v1::STATE_SUCCEEDED ? 1 : 0;
    rows.push_back({LastComponent(one.name()), StateName(one.state()),
                    absl::StrFormat("%d/%d", ended, one.jobs_size()), FormatTime(one.create_time()),
                    FormatReason(one.state_reason())});
  }
  return FormatTable({"EXPERIMENT", "STATE", "JOBS", "CREATED", "REASON"}, rows);
}

std::string FormatExperiment(const v1::Experiment& experiment) {
  std::string out =
      absl::StrFormat("%s  %s  created %s\n", experiment.name(), StateName(experiment.state()),
                      FormatTime(experiment.create_time()));
  if (const std::string reason = FormatReason(experiment.state_reason()); !reason.empty())
    out += reason + "\n";
  std::vector<std::vector<std::string>> rows;
  for (const v1::Job& job : experiment.jobs()) {
    rows.push_back({LastComponent(job.name()), JoinNames(job.arms()), StateName(job.state()),
                    std::to_string(job.attempt()),
                    absl::StrFormat("%d/%d", job.step(), job.total_steps()),
                    JoinNames(job.workers()), FormatReason(job.state_reason())});
  }
  return out +
         FormatTable({"JOB", "ARMS/SEED", "STATE", "ATTEMPT", "STEP", "WORKERS", "REASON"}, rows);
}

std::string FormatWorkers(const std::vector<v1::Worker>& workers) {
  std::vector<std::vector<std::string>> rows;
  for (const v1::Worker& one : workers) {
    rows.push_back(
        {LastComponent(one.name()), one.liveness() == v1::Worker::LIVENESS_ALIVE ? "alive" : "lost",
         absl::StrFormat("%d/%d", one.slots_used(), one.slots()), JoinNames(one.models()),
         FormatSeconds(static_cast<double>(one.since_last_seen().seconds())) + " ago",
         one.version()});
  }
  return FormatTable({"WORKER", "STATE", "SLOTS", "MODELS", "LAST SEEN", "VERSION"}, rows);
}

std::string StateName(v1::State state) {
  std::string name = v1::State_Name(state).substr(6);  // without "STATE_"
  std::transform(name.begin(), name.end(), name.begin(),
                 [](unsigned char c) { return std::tolower(c); });
  return name;
}

std::string LastComponent(const std::string& name) { return name.substr(name.rfind('/') + 1); }

std::string FormatSeconds(double seconds) {
  const int64_t total = static_cast<int64_t>(seconds + 0.5);
  if (total >= 3600) return absl::StrFormat("%dh%02dm", total / 3600, total / 60 % 60);
  if (total >= 60) return absl::StrFormat("%dm%02ds", total / 60, total % 60);
  return absl::StrFormat("%ds", total);
}

}  // namespace jenner::cli
