#include "core/json_fields.h"

#include <algorithm>
#include <set>

namespace jenner::core {
namespace {

// Finds what nlohmann's parser lets through, with its path: duplicate keys and deep nesting.
class Watchdog {
 public:
  explicit Watchdog(Faults* faults) : faults_(faults) {}

  bool operator()(Json::parse_event_t event, const Json& parsed) {
    using Seen = Json::parse_event_t;
    if (too_deep_) return event == Seen::object_end || event == Seen::array_end;
    if (event == Seen::object_end || event == Seen::array_end) {
      levels_.pop_back();
    } else if (event == Seen::key) {
      levels_.back().key = parsed.get<std::string>();
      if (!levels_.back().keys.insert(levels_.back().key).second) {
        faults_->push_back({Path(), "duplicate key"});
      }
    } else {
      if (!levels_.empty()) ++levels_.back().index;
      if (event != Seen::value) levels_.push_back({event == Seen::array_start, -1, "", {}});
      if (levels_.size() > kMaxJsonDepth) {
        too_deep_ = true;  // nothing is kept from here on, so that depth costs no memory
        faults_->push_back({Path(), absl::StrFormat("nested deeper than %d", kMaxJsonDepth)});
        return false;
      }
    }
    return true;
  }

 private:
  struct Level {
    bool is_list = false;
    int64_t index = -1;          // of the current element
    std::string key;             // the current one
    std::set<std::string> keys;  // so far
  };

  std::string Path() const {
    std::string path;
    for (const Level& level : levels_) {
      if (level.is_list && level.index >= 0) path += absl::StrFormat("[%d]", level.index);
      if (!level.is_list && !level.key.empty()) path = Join(path, level.key);
    }
    return path;
  }

  Faults* faults_;
  std::vector<Level> levels_;
  bool too_deep_ = false;
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

std::optional<Json> ParseJson(const std::string& text, Faults* faults, size_t max_bytes) {
  if (text.size() > max_bytes) {
    faults->push_back(
        {"", absl::StrFormat("%d bytes; at most %d are read", text.size(), max_bytes)});
    return std::nullopt;
  }
  const size_t before = faults->size();
  Watchdog watchdog(faults);
  try {
    Json json = Json::parse(text, [&](int, Json::parse_event_t event, Json& parsed) {
      return watchdog(event, parsed);
    });
    if (faults->size() == before) return json;
  } catch (const Json::exception& error) {
    const std::string what = error.what();  // "[json.exception.parse_error.101] parse error at ..."
    const size_t begin = what.find("] ");
    faults->push_back(
        {"", "not JSON: " + (begin == std::string::npos ? what : what.substr(begin + 2))});
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
