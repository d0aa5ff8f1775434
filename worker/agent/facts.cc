#include "worker/agent/facts.h"

#include <signal.h>
#include <algorithm>

#include <nlohmann/json.hpp>
#include <utility>

#include "absl/strings/str_cat.h"
#include "core/exit_code.h"
#include "core/sha256.h"

namespace jenner::agent {
namespace {

using nlohmann::json;

// What the coordinator takes (server/rpc/workers.cc).
constexpr size_t kMaxNameBytes = 255;
constexpr size_t kMaxArtifacts = 64;

json Parse(const std::string& text) {
  return json::parse(text, nullptr, /*allow_exceptions=*/false);
}

// The length of the UTF-8 character at `at`; 0 if there is none (RFC 3629, table 3-7 of Unicode).
size_t CharacterAt(const std::string& text, size_t at) {
  const auto byte = [&](size_t i) {
    return i < text.size() ? static_cast<unsigned char>(text[i]) : 0U;
  };
  const unsigned lead = byte(at);
  if (lead < 0x80) return 1;
  const size_t length = lead >= 0xC2 && lead <= 0xDF   ? 2
                        : lead >= 0xE0 && lead <= 0xEF ? 3
                        : lead >= 0xF0 && lead <= 0xF4 ? 4
                                                       : 0;
  const unsigned lowest = lead == 0xE0 ? 0xA0 : lead == 0xF0 ? 0x90 : 0x80;
  const unsigned highest = lead == 0xED ? 0x9F : lead == 0xF4 ? 0x8F : 0xBF;
  for (size_t i = 1; i < length; ++i) {
    const unsigned next = byte(at + i);
    if (next < (i == 1 ? lowest : 0x80) || next > (i == 1 ? highest : 0xBF)) return 0;
  }
  return length;
}

std::string Text(const json& object, const char* field) {
  const json value = object.value(field, json());
  return value.is_string() ? value.get<std::string>() : std::string();
}

int64_t Number(const json& object, const char* field) {
  const json value = object.value(field, json());
  return value.is_number_integer() ? value.get<int64_t>() : 0;
}

}  // namespace

std::string ToUtf8(std::string text, size_t max_bytes) {
  size_t at = 0;
  while (at < text.size() && at < max_bytes) {
    const size_t length = CharacterAt(text, at);
    if (at + length > max_bytes) break;
    if (length == 0) text[at] = '?';
    at += length == 0 ? 1 : length;
  }
  text.resize(at);
  return text;
}

bool IsTelemetry(const std::string& line) {
  const json event = Parse(line);
  if (!event.is_object()) return false;
  const std::string kind = Text(event, "kind");
  return kind == "train_step" || kind == "sample" || kind == "evaluation";
}

void Learn(const std::string& line, RankFacts* facts) {
  const json event = Parse(line);
  const std::string kind = event.is_object() ? Text(event, "kind") : "";
  if (kind.empty()) {
    ++facts->num_broken;
  } else if (kind == "rendezvous") {
    facts->store_address = Text(event, "address").substr(0, kMaxNameBytes);
  } else if (kind == "plan") {
    facts->total_steps = static_cast<int32_t>(Number(event, "total_steps"));
  } else if (kind == "train_step") {
    facts->step = static_cast<int32_t>(Number(event, "step"));
  } else if (kind == "checkpoint") {
    facts->checkpoint = {static_cast<int32_t>(Number(event, "step")), Text(event, "path")};
  } else if (kind == "resumed") {
    facts->resumed_step = static_cast<int32_t>(Number(event, "step"));
  } else if (kind == "artifact") {
    Artifact artifact{Text(event, "name"), Text(event, "path"), Text(event, "sha256"),
                      Number(event, "bytes")};
    const bool is_sound = !artifact.name.empty() && artifact.name.size() <= kMaxNameBytes &&
                          core::IsSha256Hex(artifact.sha256) && artifact.size_bytes >= 0;
    if (is_sound && facts->artifacts.size() < kMaxArtifacts) {
      facts->artifacts.push_back(std::move(artifact));
    } else {
      ++facts->num_broken;
    }
  } else if (kind == "finished") {
    facts->finished = true;
  } else if (kind == "failed") {
    facts->error_code = ToUtf8(Text(event, "code"), 64);
    facts->error_message = ToUtf8(Text(event, "message"), kMaxErrorBytes);
  }
}

Outcome OutcomeOf(int exit_code, bool was_stopped, const RankFacts& facts,
                  const std::string& last_words) {
  const int internal = static_cast<int>(core::ExitCode::kInternal);
  if (exit_code == 0 && facts.num_broken > 0) {
    return {internal, "INTERNAL",
            absl::StrCat("jenner-trainer wrote ", facts.num_broken, " lines that are no events")};
  }
  if (exit_code == 0 && !facts.finished) {
    return {internal, "INTERNAL", "jenner-trainer ended with exit code 0 before it had finished"};
  }
  if (exit_code == 0) return {};
  if (!facts.error_code.empty()) return {exit_code, facts.error_code, facts.error_message};
  Outcome outcome{exit_code, "TRAINER_DIED",
                  absl::StrCat("jenner-trainer ended with exit code ", exit_code)};
  if (exit_code > 128) {
    outcome.error_code = "TRAINER_KILLED";
    outcome.error_message = absl::StrCat("jenner-trainer was ended by signal ", exit_code - 128);
    if (exit_code == 128 + SIGKILL) absl::StrAppend(&outcome.error_message, " (out of memory?)");
  }
  if (was_stopped) {
    outcome.error_code = "TERMINATED";
    outcome.error_message = "stopped; it did not end by itself in time";
  }
  if (!last_words.empty()) absl::StrAppend(&outcome.error_message, "; its log ends: ", last_words);
  outcome.error_message = ToUtf8(outcome.error_message, kMaxErrorBytes);
  return outcome;
}

std::vector<std::string> DatasetsOf(const std::string& job_json) {
  const json job = Parse(job_json);
  std::vector<std::string> hashes;
  const auto add = [&hashes](const json& part, const char* field) {
    const auto hex = core::HexOfRef(part.is_object() ? Text(part, field) : "");
    if (!hex || std::find(hashes.begin(), hashes.end(), *hex) != hashes.end()) return;
    hashes.push_back(*hex);
  };
  if (!job.is_object()) return hashes;
  add(job.value("training", json()), "dataset");
  const json evaluation = job.value("evaluation", json());
  add(evaluation, "prompts");
  if (!evaluation.is_object()) return hashes;
  const json sets = evaluation.value("sets", json::array());
  if (!sets.is_array()) return hashes;
  for (const json& set : sets) add(set, "prompts");
  return hashes;
}

}  // namespace jenner::agent
