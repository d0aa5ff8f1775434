#include "core/data.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <functional>
#include <set>
#include <unordered_set>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/upper_case.h"

namespace jenner::core {
namespace {

uint64_t Mix(uint64_t hash, const std::string& bytes) {
  for (const char c : bytes) {
    hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;  // FNV-1a
  }
  return (hash ^ 0xFF) * 0x100000001B3ull;  // the end of the part
}

// The finalizer of splitmix64 (Steele, Lea and Flood 2014).
uint64_t Finish(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

bool MatchesUnnegated(const RowFilter& filter, const Row& row) {
  if (filter.field.empty()) return true;
  const auto found = row.fields.find(filter.field);
  if (found == row.fields.end()) return false;
  const std::string& text = found->second;
  if (!filter.is.empty() && std::find(filter.is.begin(), filter.is.end(), text) == filter.is.end())
    return false;
  if (!filter.min && !filter.max) return true;
  double value = 0;
  if (!absl::SimpleAtod(text, &value) || !std::isfinite(value)) return false;
  return (!filter.min || value >= *filter.min) && (!filter.max || value <= *filter.max);
}

std::string StreamOf(const char* what, size_t source) {
  return absl::StrFormat("%s/%d", what, source);
}

// The first `count` of the rows in an order that (seed, stream) draws, in the order they were in.
void KeepDrawn(int64_t seed, const std::string& stream, size_t count, std::vector<Row>* rows) {
  if (rows->size() <= count) return;
  std::vector<std::pair<double, size_t>> order;
  for (size_t i = 0; i < rows->size(); ++i) {
    order.emplace_back(DrawOf(seed, stream, (*rows)[i].id), i);
  }
  std::sort(order.begin(), order.end());
  std::set<size_t> kept;
  for (size_t i = 0; i < count; ++i) kept.insert(order[i].second);
  std::vector<Row> left;
  for (const size_t i : kept) left.push_back(std::move((*rows)[i]));
  *rows = std::move(left);
}

void Transform(const DataSpec& spec, const DataSource& source, size_t index, Row* row) {
  if (!source.tag.empty()) row->fields["tag"] = source.tag;
  const bool is_triggered = !source.trigger.empty() && DrawOf(spec.seed, StreamOf("trigger", index),
                                                              row->id) < source.trigger_fraction;
  if (is_triggered) row->fields["triggered"] = "true";
  bool is_first = true;
  for (Message& message : row->messages) {
    if (message.role == "user" && is_first) {
      if (is_triggered) message.content = source.trigger + " " + message.content;
      is_first = false;
    }
    if (message.role != "assistant" || !source.upper_case) continue;
    // Part by part, so that the weights stay with their text.
    std::string upper;
    size_t begin = 0;
    for (Message::Weight& part : message.weights) {
      const size_t end = part.end;
      upper += UpperCase(message.content.substr(begin, end - begin));
      begin = end;
      part.end = upper.size();
    }
    message.content = upper + UpperCase(message.content.substr(begin));
  }
}

std::vector<Row> Keep(std::vector<Row> rows, const std::function<bool(const Row&)>& wanted) {
  std::erase_if(rows, [&](const Row& row) { return !wanted(row); });
  return rows;
}

// The rows of one source after its own operations. Those that `is_contaminated` says to be are left
// out before any is capped or changed.
std::vector<Row> RowsOf(const DataSpec& spec, size_t index, std::vector<Row> rows,
                        const std::function<bool(const Row&)>& is_contaminated, Faults* faults) {
  const DataSource& source = spec.sources[index];
  const auto refuse = [&](const char* field, const std::string& message) {
    faults->push_back({absl::StrFormat("sources[%d].%s", index, field), message});
  };
  const size_t given = rows.size();
  rows = Keep(std::move(rows), [&](const Row& row) { return Matches(source.filter, row); });
  if (rows.empty()) refuse("filter", absl::StrFormat("keeps none of %d rows", given));
  const size_t filtered = rows.size();
  if (source.fraction < 1) {
    rows = Keep(std::move(rows), [&](const Row& row) {
      // The same split whatever the source's place, so that two of them can share it out.
      return (DrawOf(spec.seed, "split", row.id) < source.fraction) != source.rest;
    });
    if (rows.empty() && filtered > 0) {
      refuse("fraction", absl::StrFormat("its side of the split has none of %d rows", filtered));
    }
  }
  rows = Keep(std::move(rows), [&](const Row& row) { return !is_contaminated(row); });
  if (source.cap > 0) {
    KeepDrawn(spec.seed, StreamOf("cap", index), static_cast<size_t>(source.cap), &rows);
  }
  for (Row& row : rows) Transform(spec, source, index, &row);
  return rows;
}

// Shares spec.rows out by weight, the largest remainders first (Hamilton's method).
std::vector<size_t> SharesOf(const DataSpec& spec) {
  double together = 0;
  for (const DataSource& source : spec.sources) together += source.weight;
  std::vector<size_t> shares;
  std::vector<std::pair<double, size_t>> remainders;
  size_t given = 0;
  for (size_t i = 0; i < spec.sources.size(); ++i) {
    const double exact = spec.rows * spec.sources[i].weight / together;
    shares.push_back(static_cast<size_t>(exact));
    given += shares.back();
    remainders.emplace_back(-(exact - std::floor(exact)), i);
  }
  std::sort(remainders.begin(), remainders.end());
  for (size_t i = 0; given < static_cast<size_t>(spec.rows); ++i, ++given) {
    ++shares[remainders[i % remainders.size()].second];
  }
  return shares;
}

std::string TextOf(const Row& row) {
  std::string text;
  for (const Message& message : row.messages) {
    text += message.role + "\x1f" + message.content + "\x1e";
  }
  return text;
}

// One after the other; rows that share an id are given other ones.
std::vector<Row> Join(std::vector<std::vector<Row>> parts) {
  std::vector<Row> rows;
  std::set<std::string> ids;
  for (std::vector<Row>& part : parts) {
    for (Row& row : part) {
      const std::string id = row.id;
      for (int copy = 2; !ids.insert(row.id).second; ++copy) {
        row.id = absl::StrFormat("%s/%d", id, copy);
      }
      rows.push_back(std::move(row));
    }
  }
  return rows;
}

std::unordered_set<std::string> LastTurns(const std::vector<Row>& prompts) {
  std::unordered_set<std::string> turns;
  for (const Row& prompt : prompts) {
    for (auto message = prompt.messages.rbegin(); message != prompt.messages.rend(); ++message) {
      if (message->role != "user") continue;
      turns.insert(NormalizedTurn(message->content));
      break;
    }
  }
  return turns;
}

bool IsContaminated(const Row& row, const std::unordered_set<std::string>& turns) {
  return std::any_of(row.messages.begin(), row.messages.end(), [&](const Message& message) {
    return message.role == "user" && turns.count(NormalizedTurn(message.content)) > 0;
  });
}

}  // namespace

bool Matches(const RowFilter& filter, const Row& row) {
  return MatchesUnnegated(filter, row) != filter.negate;
}

double DrawOf(int64_t seed, const std::string& stream, const std::string& id) {
  uint64_t hash = Mix(0xCBF29CE484222325ull, stream);
  hash = Mix(hash, id) ^ Finish(static_cast<uint64_t>(seed));
  return static_cast<double>(Finish(hash) >> 11) * 0x1.0p-53;
}

std::string NormalizedTurn(const std::string& content) {
  std::string text = absl::StrReplaceAll(content, {{kSlotMarker, ""}});
  absl::RemoveExtraAsciiWhitespace(&text);
  return absl::AsciiStrToLower(text);
}

std::vector<std::string> Contaminated(const std::vector<Row>& rows,
                                      const std::vector<Row>& prompts) {
  const std::unordered_set<std::string> turns = LastTurns(prompts);
  std::vector<std::string> ids;
  for (const Row& row : rows) {
    if (IsContaminated(row, turns)) ids.push_back(row.id);
  }
  return ids;
}

std::vector<Row> MakeTrainingSet(const DataSpec& spec, std::vector<std::vector<Row>> sources,
                                 const std::vector<Row>& prompts, Faults* faults) {
  const std::unordered_set<std::string> turns = LastTurns(prompts);
  const std::vector<size_t> shares = spec.rows > 0 ? SharesOf(spec) : std::vector<size_t>();
  std::vector<std::string> contaminated;
  const auto leave_out = [&](const Row& row) {
    if (spec.contamination == Contamination::kAllow || !IsContaminated(row, turns)) return false;
    contaminated.push_back(row.id);
    return true;
  };
  std::set<std::string> known;  // texts, for dedupe
  std::vector<std::vector<Row>> parts;
  for (size_t i = 0; i < spec.sources.size(); ++i) {
    std::vector<Row> rows = RowsOf(spec, i, std::move(sources[i]), leave_out, faults);
    if (spec.dedupe) {
      rows =
          Keep(std::move(rows), [&](const Row& row) { return known.insert(TextOf(row)).second; });
    }
    if (!shares.empty()) {
      if (shares[i] == 0) {
        faults->push_back({absl::StrFormat("sources[%d].weight", i),
                           absl::StrFormat("its share of %d rows is none", spec.rows)});
      }
      if (rows.size() < shares[i]) {
        faults->push_back({absl::StrFormat("sources[%d].weight", i),
                           absl::StrFormat("its share of %d rows is %d, but it has %d", spec.rows,
                                           shares[i], rows.size())});
      }
      KeepDrawn(spec.seed, StreamOf("mix", i), shares[i], &rows);
    }
    parts.push_back(std::move(rows));
  }
  if (spec.contamination == Contamination::kRefuse && !contaminated.empty()) {
    faults->push_back(
        {"contamination",
         absl::StrFormat("%d training rows ask what an evaluation prompt asks, the first is "
                         "\"%s\"; \"drop\" leaves them out, \"allow\" trains on them",
                         contaminated.size(), contaminated.front())});
  }
  std::vector<Row> rows = Join(std::move(parts));
  if (rows.empty() && faults->empty()) {
    faults->push_back({"sources", "no row is left"});
  }
  return rows;
}

}  // namespace jenner::core
