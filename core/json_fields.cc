#include "core/json_fields.h"

#include <algorithm>
#include <set>

namespace jenner::core {
namespace {

// Refuses what nlohmann's parser lets through: duplicate keys and deep nesting.
class Watchdog {
 public:
  bool operator()(int depth, Json::parse_event_t event, Json& parsed) {
    if (depth > kMaxJsonDepth && fault_.empty()) {
      fault_ = absl::StrFormat("nested deeper than %d", kMaxJsonDepth);
    }
    if (event == Json::parse_event_t::object_start) {
      keys_.emplace_back();
    } else if (event == Json::parse_event_t::object_end) {
      keys_.pop_back();
    } else if (event == Json::parse_event_t::key && !keys_.empty()) {
      const std::string key = parsed.get<std::string>();
      if (!keys_.back().insert(key).second && fault_.empty())
        fault_ = "duplicate key \"" + key + "\"";
    }
    // Nothing is kept once there is a fault, so that depth costs no memory.
    return fault_.empty() || event == Json::parse_event_t::object_end ||
           event == Json::parse_event_t::array_end;
  }
  const std::string& fault() const { return fault_; }

 private:
  std::vector<std::set<std::string>> keys_;
  std::string fault_;
};

size_t EditDistance(const std::string& a, const std::string& b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
    }
  }
  return row[b.size()];
}

}  // namespace

std::optional<Json> ParseJson(const std::string& text, Faults* faults) {
  if (text.size() > kMaxJsonBytes) {
    faults->push_back(
        {"", absl::StrFormat("%d bytes; at most %d are read", text.size(), kMaxJsonBytes)});
    return std::nullopt;
  }
  Watchdog watchdog;
  try {
    Json json = Json::parse(text, [&](int depth, Json::parse_event_t event, Json& parsed) {
      return watchdog(depth, event, parsed);
    });
    if (watchdog.fault().empty()) return json;
    faults->push_back({"", watchdog.fault()});
  } catch (const Json::exception& error) {
    faults->push_back({"", std::string("not JSON: ") + error.what()});
  }
  return std::nullopt;
}

std::string Nearest(const std::string& word, const std::vector<std::string>& known) {
  std::string best;
  size_t best_distance = 3;
  if (word.size() > 64) return best;
  for (const std::string& candidate : known) {
    const size_t distance = EditDistance(word, candidate);
    if (distance < best_distance && distance < candidate.size()) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

}  // namespace jenner::core
