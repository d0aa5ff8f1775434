// Judges: asks the judges that this worker has (docs/judge.md, proto/jenner/v1/judge.proto). One
// thread calls it; it has no thread of its own.
#ifndef JENNER_WORKER_AGENT_JUDGES_H_
#define JENNER_WORKER_AGENT_JUDGES_H_

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "jenner/v1/judge.grpc.pb.h"
#include "wire/tls.h"
#include "worker/agent/cancellation.h"
#include "worker/agent/questions.h"

namespace jenner::agent {

struct JudgeOptions {
  std::string name;       // as specs call it
  std::string address;    // host:port or another target of gRPC's
  bool uses_tls = false;  // else plaintext
  bool operator==(const JudgeOptions&) const = default;
};

// Reads flags of the form NAME=ADDRESS. A judge on this machine is spoken to in plaintext, others
// by TLS if `has_tls`, else in plaintext if `allow_plaintext`. InvalidArgument: not of that form, a
// name that is no id or there twice. FailedPrecondition: off this machine without either.
absl::StatusOr<std::vector<JudgeOptions>> ParseJudges(const std::vector<std::string>& flags,
                                                      bool has_tls, bool allow_plaintext);

class Judges {
 public:
  // `tls`: the agent's own, for those that use it. `timeout`: for a request and what it is repeated
  // by.
  Judges(const std::vector<JudgeOptions>& options, const std::optional<wire::Tls>& tls,
         absl::Duration timeout);
  ~Judges();
  Judges(const Judges&) = delete;
  Judges& operator=(const Judges&) = delete;

  // One verdict a question, in order. Returns once every judge that is concerned has answered, or
  // has had `timeout` for each of its requests. One that has not answered in its time is down: what
  // was still to be asked has no score, and the next time it is asked about one answer alone, once
  // and for at most 10 s, before all the others. Errors: Cancelled.
  absl::StatusOr<std::vector<Verdict>> Ask(const std::vector<Question>& questions,
                                           Cancellation* cancellation);

 private:
  struct Judge;
  class Round;
  const absl::Duration timeout_;
  std::map<std::string, std::unique_ptr<Judge>> judges_;  // by name
};

}  // namespace jenner::agent

#endif  // JENNER_WORKER_AGENT_JUDGES_H_
