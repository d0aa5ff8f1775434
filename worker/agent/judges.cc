#include "worker/agent/judges.h"

#include <grpcpp/completion_queue.h>

#include <algorithm>
#include <deque>
#include <set>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "core/names.h"
#include "core/status.h"
#include "wire/channel.h"
#include "wire/status.h"
#include "worker/agent/log.h"
#include "worker/agent/process.h"

namespace jenner::agent {
namespace {

constexpr int kMaxItems = 16;                         // of a request
constexpr size_t kMaxRequestBytes = size_t{1} << 20;  // of its items; one alone may be as large
constexpr int kMaxCalls = 4;                          // under way to a judge at once
constexpr size_t kMaxJudges = 64;
constexpr absl::Duration kProbeTimeout = absl::Seconds(10);
constexpr absl::Duration kFirstPause = absl::Milliseconds(250);
constexpr absl::Duration kLongestPause = absl::Seconds(5);
constexpr absl::Duration kTick = absl::Milliseconds(100);

bool IsWorthAnotherTry(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsResourceExhausted(status);
}

// "UNAVAILABLE: connection refused", on one line.
std::string Describe(const absl::Status& status) {
  return OneLine(absl::StrCat(absl::StatusCodeToString(status.code()), ": ", status.message()),
                 kMaxReasonBytes);
}

}  // namespace

absl::StatusOr<std::vector<JudgeOptions>> ParseJudges(const std::vector<std::string>& flags,
                                                      bool has_tls, bool allow_plaintext) {
  std::vector<JudgeOptions> judges;
  std::set<std::string> names;
  for (const std::string& flag : flags) {
    const size_t equals = flag.find('=');
    const std::string name = flag.substr(0, equals);
    if (equals == std::string::npos || equals + 1 == flag.size() || !core::IsId(name)) {
      return absl::InvalidArgumentError("--judge " + flag +
                                        ": expected NAME=HOST:PORT, the name like "
                                        "[a-z]([a-z0-9-]{0,61}[a-z0-9])?");
    }
    if (!names.insert(name).second) {
      return absl::InvalidArgumentError("--judge " + flag + ": \"" + name + "\" is there twice");
    }
    const std::string address = flag.substr(equals + 1);
    const bool uses_tls = has_tls && !wire::IsLoopback(address);
    if (!uses_tls) {
      RETURN_IF_ERROR(Annotate(wire::CheckPlaintext(address, allow_plaintext), "--judge " + name));
    }
    judges.push_back({name, address, uses_tls});
  }
  if (judges.size() > kMaxJudges) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--judge: %d of them; at most %d", judges.size(), kMaxJudges));
  }
  return judges;
}

struct Judges::Judge {
  std::string name;
  std::unique_ptr<v1::Judge::Stub> stub;
  std::string last_fault;                         // that was logged
  bool is_down = false;                           // has not answered in its time
  absl::Time answered_at = absl::InfinitePast();  // last, by MonotonicNow()
};

// One call of Ask.
class Judges::Round {
 public:
  Round(const std::vector<Question>& questions, absl::Duration timeout, Cancellation* cancellation)
      : questions_(questions),
        timeout_(timeout),
        cancellation_(*cancellation),
        verdicts_(questions.size()) {}
  ~Round() {
    queue_.Shutdown();
    void* tag = nullptr;
    bool ok = false;
    while (queue_.Next(&tag, &ok)) continue;
  }

  absl::StatusOr<std::vector<Verdict>> Run(
      const std::map<std::string, std::unique_ptr<Judge>>& judges) {
    MakeBatches(judges);
    while (num_in_flight_ > 0 || HasMore()) {
      if (!cancellation_.is_cancelled()) StartSome();
      void* tag = nullptr;
      bool ok = false;
      const auto next = queue_.AsyncNext(&tag, &ok, absl::ToChronoTime(absl::Now() + kTick));
      if (next == grpc::CompletionQueue::GOT_EVENT) Finish(static_cast<Batch*>(tag));
    }
    if (cancellation_.is_cancelled()) return absl::CancelledError("not wanted any more");
    return std::move(verdicts_);
  }

 private:
  struct Lane;
  struct Batch {
    std::vector<size_t> questions;  // indices
    v1::ScoreRequest request;
    size_t num_bytes = 0;
    bool is_probe = false;
    // Since it was first sent. Times are of MonotonicNow().
    absl::Time began = absl::InfinitePast();
    absl::Time until;
    absl::Time next_try = absl::InfinitePast();
    absl::Duration pause = kFirstPause;
    int num_tries = 0;
    std::string fault;  // of the last try
    bool is_in_flight = false;
    // Of the try under way.
    std::unique_ptr<CancellableContext> context;
    std::unique_ptr<grpc::ClientAsyncResponseReader<v1::ScoreResponse>> reader;
    v1::ScoreResponse response;
    grpc::Status status;
    Lane* lane = nullptr;
  };

  // What is to be asked of one judge.
  struct Lane {
    Judge* judge = nullptr;
    std::deque<std::unique_ptr<Batch>> waiting;
    std::vector<std::unique_ptr<Batch>> active;  // in flight, or between two tries
    bool is_probing = false;
  };

  bool HasMore() const {
    if (cancellation_.is_cancelled()) return false;
    return std::any_of(lanes_.begin(), lanes_.end(), [](const auto& entry) {
      return !entry.second.waiting.empty() || !entry.second.active.empty();
    });
  }

  void Refuse(size_t question, std::string reason) {
    verdicts_[question] = {std::nullopt, std::move(reason)};
  }
  void Refuse(const Batch& batch, const std::string& reason) {
    for (const size_t question : batch.questions) Refuse(question, reason);
  }

  void Add(size_t index, Batch* batch) {
    const Question& question = questions_[index];
    batch->request.set_judge(question.by.judge);
    batch->request.set_trait(question.trait);
    batch->request.set_instruction(question.by.instruction);
    *batch->request.add_items() = question.item;
    batch->num_bytes += question.item.ByteSizeLong();
    batch->questions.push_back(index);
  }

  void MakeBatches(const std::map<std::string, std::unique_ptr<Judge>>& judges) {
    std::map<std::string, Batch*> open;  // by trait, which has one judge and one instruction
    for (size_t i = 0; i < questions_.size(); ++i) {
      const Question& question = questions_[i];
      const auto judge = judges.find(question.by.judge);
      if (!question.fault.empty() || judge == judges.end()) {
        Refuse(i, !question.fault.empty()
                      ? question.fault
                      : absl::StrCat("this worker has no judge \"", question.by.judge,
                                     "\" (jenner-worker --judge)"));
        continue;
      }
      Lane& lane = lanes_[question.by.judge];
      lane.judge = judge->second.get();
      Batch*& batch = open[question.trait];
      const bool is_full =
          batch != nullptr && (batch->questions.size() == kMaxItems ||
                               batch->num_bytes + question.item.ByteSizeLong() > kMaxRequestBytes);
      const bool is_probe = lane.judge->is_down && lane.waiting.empty();
      if (batch == nullptr || is_full || batch->is_probe) {
        batch = lane.waiting.emplace_back(std::make_unique<Batch>()).get();
        batch->lane = &lane;
        batch->is_probe = is_probe;
        lane.is_probing = lane.is_probing || is_probe;
      }
      Add(i, batch);
    }
  }

  void StartSome() {
    for (auto& [name, lane] : lanes_) {
      const size_t limit = lane.is_probing ? 1 : kMaxCalls;
      while (!lane.waiting.empty() && lane.active.size() < limit) {
        lane.active.push_back(std::move(lane.waiting.front()));
        lane.waiting.pop_front();
      }
      for (const auto& batch : lane.active) {
        if (!batch->is_in_flight && MonotonicNow() >= batch->next_try) Send(batch.get());
      }
    }
  }

  void Send(Batch* batch) {
    if (batch->num_tries == 0) {
      batch->began = MonotonicNow();
      batch->until =
          batch->began + (batch->is_probe ? std::min(timeout_, kProbeTimeout) : timeout_);
    }
    batch->response.Clear();
    batch->context =
        std::make_unique<CancellableContext>(&cancellation_, batch->until - MonotonicNow());
    // The first try tells what is wrong with a judge that cannot be reached; later ones wait until
    // it can, for gRPC gets on with a connection only while somebody waits for it.
    batch->context->get()->set_wait_for_ready(batch->num_tries > 0);
    ++batch->num_tries;
    batch->is_in_flight = true;
    ++num_in_flight_;
    batch->reader =
        batch->lane->judge->stub->PrepareAsyncScore(batch->context->get(), batch->request, &queue_);
    batch->reader->StartCall();
    batch->reader->Finish(&batch->response, &batch->status, batch);
  }

  void Finish(Batch* batch) {
    --num_in_flight_;
    batch->is_in_flight = false;
    batch->reader.reset();
    batch->context.reset();
    if (cancellation_.is_cancelled()) return;
    const absl::Status status = wire::FromGrpcStatus(batch->status);
    const absl::Time now = MonotonicNow();
    if (IsWorthAnotherTry(status)) {
      batch->fault = Describe(status);
      batch->next_try = now + std::max(batch->pause, wire::RetryDelayOf(status));
      batch->pause = std::min(2 * batch->pause, kLongestPause);
      if (!batch->is_probe && batch->next_try < batch->until) return;
      LoseBatch(batch);
    } else if (absl::IsDeadlineExceeded(status)) {
      LoseBatch(batch);
    } else {
      TakeAnswer(status, batch);
    }
    Lane& lane = *batch->lane;
    std::erase_if(lane.active, [&](const auto& one) { return one.get() == batch; });
  }

  static void LogOnce(const std::string& fault, Judge* judge) {
    if (fault != judge->last_fault) Log(Level::kWarning, fault);
    judge->last_fault = fault;
  }

  // It answered, if only with an error.
  void TakeAnswer(const absl::Status& status, Batch* batch) {
    Lane& lane = *batch->lane;
    if (lane.judge->is_down) {
      Log(Level::kInfo, absl::StrCat("judge \"", lane.judge->name, "\": answers again"));
    }
    lane.judge->is_down = false;
    lane.judge->answered_at = MonotonicNow();
    lane.is_probing = false;
    const std::string prefix = absl::StrCat("judge \"", lane.judge->name, "\": ");
    if (!status.ok()) {
      LogOnce(prefix + Describe(status), lane.judge);
      return Refuse(*batch, prefix + Describe(status));
    }
    const absl::StatusOr<std::vector<Verdict>> verdicts =
        VerdictsOf(batch->request, batch->response);
    if (!verdicts.ok()) {
      const std::string reason(verdicts.status().message());
      LogOnce(prefix + reason, lane.judge);
      return Refuse(*batch, reason);
    }
    for (size_t i = 0; i < batch->questions.size(); ++i) {
      verdicts_[batch->questions[i]] = (*verdicts)[i];
    }
  }

  // It did not answer in its time. The judge is down, unless it answered another batch meanwhile:
  // then it is this batch that it cannot answer.
  void LoseBatch(Batch* batch) {
    Lane& lane = *batch->lane;
    std::string reason = absl::StrFormat("judge \"%s\" did not answer: ", lane.judge->name);
    if (batch->fault.empty()) {
      absl::StrAppend(
          &reason, "no answer in ",
          absl::FormatDuration(absl::Trunc(batch->until - batch->began, absl::Milliseconds(1))));
    } else {
      absl::StrAppend(
          &reason, batch->fault,
          absl::StrFormat(" (%d %s)", batch->num_tries, batch->num_tries == 1 ? "try" : "tries"));
    }
    Refuse(*batch, reason);
    if (lane.judge->answered_at >= batch->began) return;
    if (!lane.judge->is_down) Log(Level::kWarning, reason);
    lane.judge->is_down = true;
    lane.is_probing = false;
    for (const auto& waiting : lane.waiting) Refuse(*waiting, reason);
    lane.waiting.clear();
  }

  const std::vector<Question>& questions_;
  const absl::Duration timeout_;
  Cancellation& cancellation_;
  std::vector<Verdict> verdicts_;
  std::map<std::string, Lane> lanes_;  // by judge
  int num_in_flight_ = 0;
  grpc::CompletionQueue queue_;
};

Judges::Judges(const std::vector<JudgeOptions>& options, const std::optional<wire::Tls>& tls,
               absl::Duration timeout)
    : timeout_(timeout) {
  for (const JudgeOptions& one : options) {
    auto judge = std::make_unique<Judge>();
    judge->name = one.name;
    judge->stub =
        v1::Judge::NewStub(wire::MakeClientChannel(one.address, one.uses_tls ? tls : std::nullopt));
    judges_[one.name] = std::move(judge);
  }
}

Judges::~Judges() = default;

absl::StatusOr<std::vector<Verdict>> Judges::Ask(const std::vector<Question>& questions,
                                                 Cancellation* cancellation) {
  return Round(questions, timeout_, cancellation).Run(judges_);
}

}  // namespace jenner::agent
