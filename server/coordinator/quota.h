// Quotas: how much an owner may have at once. Configuration: not in the event log, so that another
// one takes effect with a restart. Plain values.
#ifndef JENNER_SERVER_COORDINATOR_QUOTA_H_
#define JENNER_SERVER_COORDINATOR_QUOTA_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

namespace jenner::coordinator {

// Nothing: no limit.
struct Quota {
  std::optional<int32_t> slots = {};        // slots and GPUs held; more jobs wait
  std::optional<int32_t> jobs = {};         // that wait or are paused; more are refused
  std::optional<int32_t> experiments = {};  // that have not ended; more are refused
  bool operator==(const Quota&) const = default;
};

struct Quotas {
  Quota otherwise = {};                      // of owners that are not named
  std::map<std::string, Quota> owners = {};  // each complete: `otherwise` is not looked at
  bool operator==(const Quotas&) const = default;

  const Quota& Of(const std::string& owner) const {
    const auto found = owners.find(owner);
    return found == owners.end() ? otherwise : found->second;
  }
};

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_QUOTA_H_
