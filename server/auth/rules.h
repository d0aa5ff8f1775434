// Rules: who may call what. The one table of it; a method without a row is refused.
#ifndef JENNER_SERVER_AUTH_RULES_H_
#define JENNER_SERVER_AUTH_RULES_H_

#include <span>
#include <string_view>

#include "server/auth/principal.h"

namespace jenner::auth {

enum class Audience { kClient, kWorker };

struct Rule {
  std::string_view method;  // "Experiments/GetExperiment"
  Audience audience;
  Role role = Role::kAdmin;  // the least; of a client
  bool owned = false;        // only by who Owns() the experiment that the call is about
  bool audited = false;      // changes something: its outcome goes to the audit log
};

std::span<const Rule> Rules();

// Null: there is no such method.
const Rule* FindRule(std::string_view method);

}  // namespace jenner::auth

#endif  // JENNER_SERVER_AUTH_RULES_H_
