#include "server/store/quota_file.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <sstream>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/json_fields.h"
#include "core/names.h"
#include "core/status.h"

namespace jenner::coordinator {

template <typename V>
void VisitFields(V& visit, Quota& quota) {
  visit("slots", quota.slots);
  visit("jobs", quota.jobs);
  visit("experiments", quota.experiments);
}

template <typename V>
void VisitFields(V& visit, Quotas& quotas) {
  visit("default", quotas.otherwise);
  visit("owners", quotas.owners);
}

}  // namespace jenner::coordinator

namespace jenner::store {
namespace {

using coordinator::Quota;
using coordinator::Quotas;

void Check(const std::string& path, const Quota& quota, core::Faults* faults) {
  for (const auto& [field, limit] : {std::pair("slots", quota.slots), std::pair("jobs", quota.jobs),
                                     std::pair("experiments", quota.experiments)}) {
    if (limit.value_or(0) >= 0) continue;
    faults->push_back(
        {core::Join(path, field), absl::StrFormat("expected 0 or more, found %d", *limit)});
  }
}

}  // namespace

absl::StatusOr<Quotas> ParseQuotas(const std::string& text) {
  core::Faults faults;
  Quotas quotas;
  const std::optional<core::Json> json = core::ParseJson(text, &faults);
  if (json.has_value()) core::ReadValue(*json, "", &quotas, &faults);
  Check("default", quotas.otherwise, &faults);
  for (auto& [owner, quota] : quotas.owners) {
    const std::string path = core::Join("owners", owner.substr(0, 80));
    if (!core::IsOwner(owner)) faults.push_back({path, "not an owner's name"});
    Check(path, quota, &faults);
    if (!quota.slots.has_value()) quota.slots = quotas.otherwise.slots;
    if (!quota.jobs.has_value()) quota.jobs = quotas.otherwise.jobs;
    if (!quota.experiments.has_value()) quota.experiments = quotas.otherwise.experiments;
  }
  if (!faults.empty()) return core::ToStatus(faults);
  return quotas;
}

absl::StatusOr<Quotas> ReadQuotas(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::stringstream text;
  text << file.rdbuf();
  if (!file) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s cannot be read: %s", path, std::strerror(errno)));
  }
  absl::StatusOr<Quotas> quotas = ParseQuotas(text.str());
  if (!quotas.ok()) return Annotate(quotas.status(), path);
  return quotas;
}

}  // namespace jenner::store
