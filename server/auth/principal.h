// Principal: on whose behalf a call is made. Pure values.
#ifndef JENNER_SERVER_AUTH_PRINCIPAL_H_
#define JENNER_SERVER_AUTH_PRINCIPAL_H_

#include <string>

namespace jenner::auth {

// Each may do what those before it may.
enum class Role {
  kViewer,     // reads
  kSubmitter,  // creates, and changes what it or its project created
  kAdmin,      // everything
};

inline const char* RoleName(Role role) {
  switch (role) {
    case Role::kViewer:
      return "viewer";
    case Role::kSubmitter:
      return "submitter";
    case Role::kAdmin:
      break;
  }
  return "admin";
}

struct Principal {
  enum class Kind {
    kAnonymous,  // no token was asked for
    kToken,
    kWorker,
  };
  Kind kind = Kind::kAnonymous;
  std::string name;          // of the token or of the worker; "": not known
  std::string project;       // of the token; "": none
  Role role = Role::kAdmin;  // means nothing for a worker
  bool operator==(const Principal&) const = default;

  // "token/alice", "worker/w1", "anonymous": in the audit log, and what limits are counted by.
  std::string Id() const {
    if (name.empty()) return "anonymous";
    return (kind == Kind::kWorker ? "worker/" : "token/") + name;
  }
};

// May `principal` change what was made by the token `creator` for `project` ("": unknown, none)?
inline bool Owns(const Principal& principal, const std::string& creator,
                 const std::string& project) {
  if (principal.kind == Principal::Kind::kWorker) return false;
  if (principal.role == Role::kAdmin) return true;
  if (principal.role != Role::kSubmitter || principal.name.empty()) return false;
  return principal.name == creator || (!project.empty() && principal.project == project);
}

}  // namespace jenner::auth

#endif  // JENNER_SERVER_AUTH_PRINCIPAL_H_
