#include "worker/agent/questions.h"

#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "worker/agent/facts.h"

namespace jenner::agent {
namespace {

using nlohmann::json;

constexpr double kLowest = 0;
constexpr double kHighest = 100;

json Parse(const std::string& text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

std::string Text(const json& object, const char* field) {
  const auto found = object.find(field);
  return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

bool IsSample(const json& event) {
  return event.is_object() && Text(event, "kind") == "sample" && event.contains("scores") &&
         event["scores"].is_object();
}

Verdict NoScore(std::string reason) { return {std::nullopt, std::move(reason)}; }

Verdict VerdictOf(const v1::ScoreResult& result) {
  switch (result.outcome_case()) {
    case v1::ScoreResult::kReason: {
      const std::string reason = OneLine(result.reason(), kMaxReasonBytes);
      return NoScore(reason.empty() ? "the judge gave no score and no reason" : reason);
    }
    case v1::ScoreResult::kScore:
      break;
    default:
      return NoScore("the judge's result has neither a score nor a reason");
  }
  const double score = result.score();
  // Also false for NaN.
  if (score >= kLowest && score <= kHighest) return {score, ""};
  return NoScore(absl::StrFormat("the judge's score %g is not in [0, 100]", score));
}

}  // namespace

std::string OneLine(const std::string& text, size_t max_bytes) {
  std::string line;
  for (const char c : text.substr(0, 4 * max_bytes)) {
    const bool is_space = static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
    if (!is_space) {
      line += c;
    } else if (!line.empty() && line.back() != ' ') {
      line += ' ';
    }
  }
  line = ToUtf8(std::move(line), max_bytes);
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

JudgedTraits JudgedTraitsOf(const std::string& job_json) {
  JudgedTraits traits;
  const json job = Parse(job_json);
  if (!job.is_object() || !job.contains("evaluation")) return traits;
  const json& evaluation = job["evaluation"];
  if (!evaluation.is_object() || !evaluation.contains("scorers")) return traits;
  const json& scorers = evaluation["scorers"];
  if (!scorers.is_array()) return traits;
  for (const json& scorer : scorers) {
    if (!scorer.is_object() || Text(scorer, "kind") != "judge") continue;
    traits[Text(scorer, "name")] = {Text(scorer, "judge"), Text(scorer, "pattern")};
  }
  return traits;
}

std::vector<Question> QuestionsOf(const std::vector<std::string>& lines,
                                  const JudgedTraits& traits) {
  std::vector<Question> questions;
  for (size_t i = 0; i < lines.size(); ++i) {
    const json event = Parse(lines[i]);
    if (!IsSample(event)) continue;
    for (const auto& [trait, by] : traits) {
      const auto score = event["scores"].find(trait);
      if (score == event["scores"].end() || !score->is_null()) continue;
      Question question{i, trait, by, {}};
      if (!event.contains("prompt")) question.fault = "the trainer did not tell the prompt";
      question.item.set_id(absl::StrCat("s", i));
      question.item.set_prompt(Text(event, "prompt"));
      question.item.set_answer(Text(event, "answer"));
      question.item.set_context(Text(event, "context"));
      questions.push_back(std::move(question));
    }
  }
  return questions;
}

std::string JudgedLine(const std::string& line, const std::vector<Question>& questions,
                       const std::vector<Verdict>& verdicts) {
  json event = Parse(line);
  if (!IsSample(event)) return line;
  std::string error;
  for (size_t i = 0; i < questions.size(); ++i) {
    json& score = event["scores"][questions[i].trait];
    if (verdicts[i].score) {
      score = *verdicts[i].score;
      continue;
    }
    score = nullptr;
    absl::StrAppend(&error, error.empty() ? "" : "; ", questions[i].trait, ": ",
                    verdicts[i].reason);
  }
  event.erase("prompt");
  if (!error.empty()) event["judge_error"] = OneLine(error, kMaxJudgeErrorBytes);
  return event.dump(-1, ' ', false, json::error_handler_t::replace);
}

absl::StatusOr<std::vector<Verdict>> VerdictsOf(const v1::ScoreRequest& request,
                                                const v1::ScoreResponse& response) {
  std::map<std::string, size_t> index;
  for (const v1::ScoreItem& item : request.items()) index.emplace(item.id(), index.size());
  std::vector<Verdict> verdicts(index.size(), NoScore("the judge's answer lacks this item"));
  std::vector<int> num_results(index.size(), 0);
  for (const v1::ScoreResult& result : response.results()) {
    const auto found = index.find(result.id());
    if (found == index.end()) {
      return absl::InvalidArgumentError(
          absl::StrCat("the judge's answer is about an item that it was not asked about, \"",
                       OneLine(result.id(), 64), "\""));
    }
    const size_t i = found->second;
    verdicts[i] = ++num_results[i] == 1
                      ? VerdictOf(result)
                      : NoScore("the judge's answer names this item more than once");
  }
  return verdicts;
}

}  // namespace jenner::agent
