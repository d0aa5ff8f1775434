#include "server/store/token_file.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <functional>
#include <set>
#include <sstream>

#include "absl/strings/str_format.h"
#include "core/json_fields.h"
#include "core/names.h"
#include "core/sha256.h"
#include "core/status.h"
#include "server/store/durable_file.h"

namespace jenner::auth {

// A role is kept by its name, so that a person can read the file.
struct TokenRow {
  std::string name;
  std::string role;
  std::string project;
  std::string sha256;
  std::string created;
};
template <typename V>
void VisitFields(V& visit, TokenRow& row) {
  visit("name", row.name);
  visit("role", row.role);
  visit("project", row.project);
  visit("sha256", row.sha256);
  visit("created", row.created);
}

struct TokenRows {
  int32_t version = 1;
  std::vector<TokenRow> tokens;
};
template <typename V>
void VisitFields(V& visit, TokenRows& rows) {
  visit("version", rows.version);
  visit("tokens", rows.tokens);
}

}  // namespace jenner::auth

namespace jenner::store {
namespace {

constexpr int32_t kVersion = 1;
constexpr size_t kMaxFileBytes = auth::kMaxTokens * 512;

using Tokens = std::vector<auth::Token>;

absl::Status Refused(const std::string& path, const char* what) {
  return absl::FailedPreconditionError(
      absl::StrFormat("%s cannot be %s: %s", path, what, std::strerror(errno)));
}

absl::StatusOr<Tokens> Decode(const std::string& text) {
  core::Faults faults;
  const std::optional<core::Json> json = core::ParseJson(text, &faults, kMaxFileBytes);
  auth::TokenRows rows;
  if (json.has_value()) core::ReadValue(*json, "", &rows, &faults);
  if (faults.empty() && rows.version != kVersion) {
    faults.push_back({"version", absl::StrFormat("%d is not known here", rows.version)});
  }
  Tokens tokens;
  std::set<std::string> names;
  for (size_t i = 0; faults.empty() && i < rows.tokens.size(); ++i) {
    const auth::TokenRow& row = rows.tokens[i];
    const std::optional<auth::Role> role = auth::ParseRole(row.role);
    const bool is_good = core::IsId(row.name) && names.insert(row.name).second &&
                         role.has_value() && (row.project.empty() || core::IsId(row.project)) &&
                         core::IsSha256Hex(row.sha256);
    if (!is_good) {
      faults.push_back({absl::StrFormat("tokens[%d]", i), "not a token with a name of its own"});
      break;
    }
    tokens.push_back({row.name, *role, row.project, row.sha256, row.created});
  }
  if (!faults.empty()) return absl::DataLossError(core::ToStatus(faults).message());
  return tokens;
}

std::string Encode(const Tokens& tokens) {
  auth::TokenRows rows;
  for (const auth::Token& token : tokens) {
    rows.tokens.push_back(
        {token.name, auth::RoleName(token.role), token.project, token.sha256, token.created});
  }
  return core::WriteValue(rows).dump(1) + "\n";
}

// One change at a time.
absl::Status Change(const std::string& path, const std::function<absl::Status(Tokens*)>& change) {
  const std::string lock = path + ".lock";
  const int fd = open(lock.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
  if (fd < 0) return Refused(lock, "made");
  absl::Status status = flock(fd, LOCK_EX) == 0 ? absl::OkStatus() : Refused(lock, "locked");
  if (status.ok()) {
    absl::StatusOr<Tokens> tokens = ReadTokens(path);
    status = tokens.ok() ? change(&*tokens) : tokens.status();
    if (status.ok()) status = WriteDurably(path, Encode(*tokens));
  }
  close(fd);
  return status;
}

}  // namespace

absl::StatusOr<Tokens> ReadTokens(const std::string& path) {
  struct stat known {};
  if (stat(path.c_str(), &known) != 0) {
    if (errno == ENOENT) return Tokens();
    return Refused(path, "read");
  }
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) return Refused(path, "read");
  absl::StatusOr<Tokens> tokens = Decode(text.str());
  if (!tokens.ok()) return Annotate(tokens.status(), path);
  return tokens;
}

absl::Status AddToken(const std::string& path, const auth::Token& token) {
  for (const auto& [flag, id] : {std::pair("--name", token.name), {"--project", token.project}}) {
    const bool is_absent = id.empty() && flag == std::string("--project");
    if (!is_absent && !core::IsId(id)) {
      return absl::InvalidArgumentError(
          absl::StrFormat("%s: expected [a-z]([a-z0-9-]{0,61}[a-z0-9])?; found \"%s\"", flag, id));
    }
  }
  return Change(path, [&token](Tokens* tokens) -> absl::Status {
    for (const auth::Token& one : *tokens) {
      if (one.name == token.name) {
        return absl::AlreadyExistsError("there is a token \"" + token.name + "\"; remove it first");
      }
    }
    if (tokens->size() >= auth::kMaxTokens) {
      return absl::ResourceExhaustedError(absl::StrFormat("at most %d tokens", auth::kMaxTokens));
    }
    tokens->push_back(token);
    return absl::OkStatus();
  });
}

absl::Status RemoveToken(const std::string& path, const std::string& name) {
  return Change(path, [&name](Tokens* tokens) -> absl::Status {
    const size_t removed =
        std::erase_if(*tokens, [&](const auth::Token& one) { return one.name == name; });
    return removed > 0 ? absl::OkStatus() : absl::NotFoundError("no token \"" + name + "\"");
  });
}

TokenFileWatch::Stamp TokenFileWatch::Look() const {
  struct stat known {};
  if (stat(path_.c_str(), &known) != 0) return {};
  return {known.st_ino, known.st_size,
          static_cast<int64_t>(known.st_mtim.tv_sec) * 1'000'000'000 + known.st_mtim.tv_nsec};
}

std::optional<absl::StatusOr<Tokens>> TokenFileWatch::Poll() {
  // Looked at first: a change in between is seen the next time.
  const Stamp now = Look();
  if (seen_ == now) return std::nullopt;
  seen_ = now;
  return ReadTokens(path_);
}

}  // namespace jenner::store
