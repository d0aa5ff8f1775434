#include "client/cli/spec_file.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/yaml.h>

#include <cerrno>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <regex>
#include <sstream>

#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "core/dataset.h"
#include "core/dataset_refs.h"
#include "core/resolve.h"
#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/status.h"

namespace jenner::cli {
namespace {

using nlohmann::json;

constexpr int kMaxDepth = 16;
constexpr int kMaxNodes = 100'000;

// A plain scalar by YAML 1.2's core schema.
json PlainScalar(const std::string& text) {
  static const std::regex kInteger("[-+]?[0-9]+");
  static const std::regex kNumber("[-+]?(\\.[0-9]+|[0-9]+(\\.[0-9]*)?)([eE][-+]?[0-9]+)?");
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return nullptr;
  if (text == "true" || text == "True" || text == "TRUE") return true;
  if (text == "false" || text == "False" || text == "FALSE") return false;
  if (text.size() <= 64 && std::regex_match(text, kInteger)) {
    errno = 0;
    const long long value = std::strtoll(text.c_str(), nullptr, 10);
    if (errno == 0) return value;
  }
  if (text.size() <= 64 && std::regex_match(text, kNumber)) {
    const double value = std::strtod(text.c_str(), nullptr);
    if (std::isfinite(value)) return value;
  }
  return text;
}

// Takes a document apart and keeps nothing.
class Skipper final : public YAML::EventHandler {
 public:
  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

// Not by YAML::LoadAll, which for some texts finds documents without end (yaml-cpp 0.7).
bool HasTwoDocuments(const std::string& yaml) {
  std::istringstream text(yaml);
  YAML::Parser parser(text);
  Skipper skipper;
  return parser.HandleNextDocument(skipper) && parser.HandleNextDocument(skipper);
}

class Converter {
 public:
  Converter(std::map<std::string, int>* lines, core::Faults* faults)
      : lines_(lines), faults_(faults) {}

  json Convert(const YAML::Node& node, const std::string& path, int depth) {
    if (stopped_) return nullptr;
    if (depth > kMaxDepth || ++nodes_ > kMaxNodes) {
      stopped_ = true;
      faults_->push_back(
          {path, absl::StrFormat("more than %d levels or %d values", kMaxDepth, kMaxNodes)});
      return nullptr;
    }
    if (!path.empty()) (*lines_)[path] = node.Mark().line + 1;
    switch (node.Type()) {
      case YAML::NodeType::Map:
        return ConvertMap(node, path, depth);
      case YAML::NodeType::Sequence: {
        json list = json::array();
        for (size_t i = 0; i < node.size(); ++i) {
          list.push_back(Convert(node[i], absl::StrFormat("%s[%d]", path, i), depth + 1));
        }
        return list;
      }
      case YAML::NodeType::Scalar:
        // yaml-cpp tags quoted and block scalars "!".
        return node.Tag() == "!" ? json(node.Scalar()) : PlainScalar(node.Scalar());
      default:
        return nullptr;
    }
  }

 private:
  json ConvertMap(const YAML::Node& node, const std::string& path, int depth) {
    json map = json::object();
    for (const auto& entry : node) {
      if (!entry.first.IsScalar()) {
        faults_->push_back({path, "a key is not text"});
        continue;
      }
      const std::string& key = entry.first.Scalar();
      const std::string below = path.empty() ? key : path + "." + key;
      if (map.contains(key)) {
        faults_->push_back({below, absl::StrFormat("duplicate key, again in line %d",
                                                   entry.first.Mark().line + 1)});
        continue;
      }
      if (key == "<<") {
        faults_->push_back({below, "merge keys are not read"});
        continue;
      }
      map[key] = Convert(entry.second, below, depth + 1);
      (*lines_)[below] = entry.first.Mark().line + 1;
    }
    return map;
  }

  std::map<std::string, int>* lines_;
  core::Faults* faults_;
  int nodes_ = 0;
  bool stopped_ = false;
};

// Where the value of a field comes from: field path -> "spec.yaml:12" or "--set seeds=[1]".
using Origins = std::map<std::string, std::string>;

// Sets the value at a path: "training.epochs", "arms[0].name" or "arms.0.name".
void Override(const std::string& setting, json* root, Origins* origins, core::Faults* faults) {
  const std::string flag = "--set " + setting;
  const size_t equals = setting.find('=');
  if (equals == std::string::npos || equals == 0) {
    faults->push_back({flag, "expected path=value"});
    return;
  }
  std::map<std::string, int> lines;
  core::Faults own;
  const std::string value = YamlToJson(setting.substr(equals + 1), &lines, &own);
  json* at = root;
  std::string field;
  std::istringstream steps(absl::StrReplaceAll(setting.substr(0, equals), {{"[", "."}, {"]", ""}}));
  for (std::string step; std::getline(steps, step, '.');) {
    if (at->is_array()) {
      char* end = nullptr;
      const unsigned long index = std::strtoul(step.c_str(), &end, 10);
      if (step.empty() || *end != '\0' || index >= at->size()) {
        faults->push_back({flag, "no element \"" + step + "\""});
        return;
      }
      at = &(*at)[index];
      field += absl::StrFormat("[%d]", index);
    } else if (at->is_object() || at->is_null()) {
      at = &(*at)[step];
      field += (field.empty() ? "" : ".") + step;
    } else {
      faults->push_back({flag, "nothing below \"" + step + "\""});
      return;
    }
  }
  if (!own.empty()) {
    faults->push_back({flag, own[0].message});
    return;
  }
  *at = json::parse(value);
  // Nothing of the file is left below it.
  for (const char* below : {".", "["}) {
    const std::string prefix = field + below;
    auto first = origins->lower_bound(prefix);
    while (first != origins->end() && first->first.rfind(prefix, 0) == 0)
      first = origins->erase(first);
  }
  (*origins)[field] = flag;
}

// Reads and checks the dataset at `*ref`, keeps its bytes and puts its reference in place.
void LoadDataset(const std::string& field, const std::filesystem::path& folder, bool is_training,
                 std::string* ref, SpecFile* file, core::Faults* faults) {
  if (ref->empty() || core::LooksLikeRef(*ref)) return;
  const std::string path = (folder / *ref).string();
  absl::StatusOr<std::string> bytes = ReadFile(path, static_cast<size_t>(core::kMaxDatasetBytes));
  const auto use = is_training ? core::DatasetUse::kTraining : core::DatasetUse::kEvaluation;
  const absl::Status status =
      bytes.ok() ? core::ParseDataset(*bytes, use).status() : bytes.status();
  if (!status.ok()) {
    std::istringstream messages{std::string(status.message())};
    for (std::string line; std::getline(messages, line);) {
      faults->push_back({field, bytes.ok() ? path + ": " + line : line});
    }
    return;
  }
  *ref = core::RefOf(*bytes);
  file->datasets.push_back({path, *std::move(bytes), is_training});
}

// Puts the origin of its field, or of the nearest field above that has one, behind each message.
void AddOrigins(const Origins& origins, core::Faults* faults) {
  for (core::Fault& fault : *faults) {
    std::string field = fault.field;
    while (!field.empty() && origins.count(field) == 0) {
      const size_t cut = field.find_last_of(".[");
      field = cut == std::string::npos ? "" : field.substr(0, cut);
    }
    if (!field.empty()) fault.message += " (" + origins.at(field) + ")";
  }
}

// The spec of `json_text` with `overrides`, and its datasets. Not OK: `faults` and what else is
// wrong.
absl::StatusOr<SpecFile> Finish(std::string json_text, const std::vector<std::string>& overrides,
                                const std::filesystem::path& folder, Origins origins,
                                core::Faults faults) {
  json root = json::parse(json_text, nullptr, /*allow_exceptions=*/false);
  if (faults.empty() && !overrides.empty() && !root.is_discarded()) {
    for (const std::string& setting : overrides) Override(setting, &root, &origins, &faults);
    json_text = root.dump(-1, ' ', false, json::error_handler_t::replace);
  }
  if (!faults.empty()) return core::ToStatus(faults);

  SpecFile file;
  file.spec = core::ParseExperimentSpec(json_text, &faults);
  // With a selection only the server knows all contexts: it resolves and validates.
  const bool is_whole = file.spec.selection.empty();
  if (is_whole) file.spec = core::Resolve(std::move(file.spec));
  core::ForEachDataset(
      file.spec, [&](const std::string& field, std::string& ref, core::DatasetUse use) {
        LoadDataset(field, folder, use == core::DatasetUse::kTraining, &ref, &file, &faults);
      });
  // A field that could not be read would only be reported again for its missing value.
  for (const core::Fault& fault : is_whole ? core::Validate(file.spec) : core::Faults()) {
    bool known = false;
    for (const core::Fault& earlier : faults) {
      known = known || earlier.field.rfind(fault.field, 0) == 0 ||
              fault.field.rfind(earlier.field, 0) == 0;
    }
    if (!known) faults.push_back(fault);
  }
  AddOrigins(origins, &faults);
  if (!faults.empty()) return core::ToStatus(faults);
  return file;
}

}  // namespace

absl::StatusOr<std::string> ReadFile(const std::string& path, size_t max_bytes) {
  std::stringstream text;
  if (path == "-") {
    text << std::cin.rdbuf();
  } else {
    if (std::filesystem::is_directory(path))
      return absl::InvalidArgumentError(path + ": is a folder");
    std::ifstream file(path, std::ios::binary);
    if (!file) return absl::NotFoundError(path + ": " + std::strerror(errno));
    text << file.rdbuf();
  }
  std::string bytes = std::move(text).str();
  if (bytes.size() > max_bytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: %d bytes; at most %d", path, bytes.size(), max_bytes));
  }
  return bytes;
}

std::string YamlToJson(const std::string& yaml, std::map<std::string, int>* lines,
                       core::Faults* faults) {
  try {
    if (HasTwoDocuments(yaml)) {
      faults->push_back({"", "more than one YAML document"});
      return "null";
    }
    Converter converter(lines, faults);
    return converter.Convert(YAML::Load(yaml), "", 0)
        .dump(-1, ' ', false, json::error_handler_t::replace);
  } catch (const YAML::Exception& error) {
    faults->push_back({"", absl::StrFormat("not YAML: line %d, column %d: %s", error.mark.line + 1,
                                           error.mark.column + 1, error.msg)});
    return "null";
  }
}

absl::StatusOr<SpecFile> ReadSpecFile(const std::string& path,
                                      const std::vector<std::string>& overrides) {
  ASSIGN_OR_RETURN(const std::string text, ReadFile(path, kMaxSpecBytes));
  const std::string name = path == "-" ? "standard input" : path;
  core::Faults faults;
  std::map<std::string, int> lines;
  // JSON is read as JSON, by the strict parser below; all else as YAML.
  const bool is_json = path.size() > 5 && path.substr(path.size() - 5) == ".json";
  std::string json_text = is_json ? text : YamlToJson(text, &lines, &faults);
  for (core::Fault& fault : faults) fault.message += " (" + name + ")";
  Origins origins;
  for (const auto& [field, line] : lines) origins[field] = absl::StrFormat("%s:%d", name, line);
  return Finish(std::move(json_text), overrides,
                path == "-" ? "." : std::filesystem::path(path).parent_path(), std::move(origins),
                std::move(faults));
}

absl::StatusOr<SpecFile> OverrideSpec(const core::ExperimentSpec& spec,
                                      const std::vector<std::string>& overrides) {
  return Finish(core::ToJson(spec), overrides, ".", {}, {});
}

}  // namespace jenner::cli
