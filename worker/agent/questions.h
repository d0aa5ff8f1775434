// Questions: what a judge (docs/judge.md) is to be asked about the samples of a rank, and what
// becomes of its answers. Nothing here makes up a score. Pure.
#ifndef JENNER_WORKER_AGENT_QUESTIONS_H_
#define JENNER_WORKER_AGENT_QUESTIONS_H_

#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "jenner/v1/judge.pb.h"

namespace jenner::agent {

inline constexpr size_t kMaxReasonBytes = 300;       // of why there is no score
inline constexpr size_t kMaxJudgeErrorBytes = 1000;  // of a sample's judge_error

// By trait: who measures it and by which instruction.
struct JudgedTrait {
  std::string judge;
  std::string instruction;
  bool operator==(const JudgedTrait&) const = default;
};
using JudgedTraits = std::map<std::string, JudgedTrait>;

// The scorers of kind `judge` that a job file has. A file that is none has none.
JudgedTraits JudgedTraitsOf(const std::string& job_json);

struct Question {
  size_t line = 0;  // which of the lines that were asked about
  std::string trait;
  JudgedTrait by;
  v1::ScoreItem item;
  std::string fault = "";  // why it cannot be asked; "": it can
};

// One of the two is set.
struct Verdict {
  std::optional<double> score;  // in [0, 100]
  std::string reason;           // why there is none
};

// What to ask about the event lines `lines`: each trait of each sample that `traits` names and that
// has no value yet. Lines that are no samples, or no events, ask nothing.
std::vector<Question> QuestionsOf(const std::vector<std::string>& lines,
                                  const JudgedTraits& traits);

// The event line with the score of each verdict, or null and why, one reason a trait, in
// judge_error. Without `prompt`, which only judges need. `questions` and `verdicts` are those about
// this line. `line` itself if it is no sample.
std::string JudgedLine(const std::string& line, const std::vector<Question>& questions,
                       const std::vector<Verdict>& verdicts);

// What `response` says of each item of `request`, in its order; no score for an item that is
// missing, named twice, has neither score nor reason, or a score that is not in [0, 100].
// InvalidArgument: it names an item that is not in the request, so that nothing in it can be
// believed.
absl::StatusOr<std::vector<Verdict>> VerdictsOf(const v1::ScoreRequest& request,
                                                const v1::ScoreResponse& response);

// `text` on one line, at most max_bytes of UTF-8.
std::string OneLine(const std::string& text, size_t max_bytes);

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_QUESTIONS_H_
