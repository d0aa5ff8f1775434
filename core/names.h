// Resource names and ids, as in the API: experiments/{experiment}/jobs/{job}, workers/{worker}.
#ifndef JENNER_CORE_NAMES_H_
#define JENNER_CORE_NAMES_H_

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace jenner::core {

// [a-z]([a-z0-9-]{0,61}[a-z0-9])?
inline bool IsId(std::string_view id) {
  const auto lower = [](char c) { return c >= 'a' && c <= 'z'; };
  const auto digit = [](char c) { return c >= '0' && c <= '9'; };
  return !id.empty() && id.size() <= 63 && lower(id.front()) && id.back() != '-' &&
         std::all_of(id.begin(), id.end(),
                     [&](char c) { return lower(c) || digit(c) || c == '-'; });
}

// "{experiment}/{job}", as agents name a job.
inline bool IsJobPath(std::string_view path) {
  const size_t slash = path.find('/');
  return slash != std::string_view::npos && IsId(path.substr(0, slash)) &&
         IsId(path.substr(slash + 1));
}

// Whose experiment it is: 1 to 63 letters, digits, '.', '_', '-' or '@'.
inline bool IsOwner(std::string_view owner) {
  return !owner.empty() && owner.size() <= 63 &&
         std::all_of(owner.begin(), owner.end(), [](char c) {
           return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
                  c == '.' || c == '_' || c == '-' || c == '@';
         });
}

// A path below a folder, whoever joins it to one: at most 512 bytes, no part is empty, "." or "..",
// no control characters, no backslash.
inline bool IsPathBelow(std::string_view path) {
  constexpr size_t kMaxBytes = 512;
  if (path.empty() || path.size() > kMaxBytes) return false;
  for (const char c : path) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || c == '\\') return false;
  }
  for (size_t begin = 0; begin <= path.size();) {
    const size_t end = std::min(path.find('/', begin), path.size());
    const std::string_view part = path.substr(begin, end - begin);
    if (part.empty() || part == "." || part == "..") return false;
    begin = end + 1;
  }
  return true;
}

inline std::string ExperimentName(const std::string& id) { return "experiments/" + id; }
inline std::string JobName(const std::string& experiment, const std::string& job) {
  return "experiments/" + experiment + "/jobs/" + job;
}
inline std::string WorkerName(const std::string& id) { return "workers/" + id; }

// The id in "<collection>/<id>"; nullopt if `name` is not of that form.
inline std::optional<std::string> IdIn(std::string_view collection, std::string_view name) {
  if (name.size() <= collection.size() + 1 || name.substr(0, collection.size()) != collection ||
      name[collection.size()] != '/') {
    return std::nullopt;
  }
  const std::string_view id = name.substr(collection.size() + 1);
  if (!IsId(id)) return std::nullopt;
  return std::string(id);
}

}  // namespace jenner::core

#endif  // JENNER_CORE_NAMES_H_
