// ReportData as the document of the page and as flat tables.
#include <google/protobuf/descriptor.h>

#include <algorithm>
#include <set>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "client/cli/output.h"
#include "client/cli/report_data.h"

namespace jenner::cli {
namespace {

using google::protobuf::Descriptor;
using google::protobuf::Message;
using Json = nlohmann::ordered_json;

constexpr int kVersion = 1;

// A table and where the page finds its rows: at `rows` of the document, of each the list `each`.
struct Source {
  std::string rows;
  std::string each;
  FlatTable table;
};

template <typename T>
std::vector<const Message*> Pointers(const std::vector<T>& messages) {
  std::vector<const Message*> pointers;
  for (const T& message : messages) pointers.push_back(&message);
  return pointers;
}

Source Make(const std::string& name, const std::string& rows, const Descriptor& type,
            const std::vector<const Message*>& messages, const std::string& each = "") {
  return {rows, each, Flatten(name, type, messages, each)};
}

// Scores as columns "score.<trait>", for the traits that there are.
void AddScores(const std::vector<const v1::Sample*>& samples, FlatTable* table) {
  std::set<std::string> traits;
  for (const v1::Sample* sample : samples) {
    for (const v1::Score& score : sample->scores()) traits.insert(score.trait());
  }
  for (const std::string& trait : traits) table->columns.push_back({"score." + trait, "float64"});
  for (size_t i = 0; i < samples.size(); ++i) {
    std::map<std::string, Json> values;
    for (const v1::Score& score : samples[i]->scores()) {
      if (score.has_value()) values[score.trait()] = score.value();
    }
    for (const std::string& trait : traits) table->rows[i].push_back(values[trait]);
  }
}

// Every list of the study's, and the lists in those.
void AddStudy(const v1::Study& study, std::vector<Source>* sources) {
  const Descriptor& type = *v1::Study::descriptor();
  for (const std::string& list : ListsOf(type)) {
    const Descriptor& row = TypeOfList(type, list);
    const std::vector<const Message*> messages = MessagesOf(study, list);
    sources->push_back(Make(list, "study." + list, row, messages));
    for (const std::string& each : ListsOf(row)) {
      if (each.find('.') != std::string::npos) continue;  // examples in a candidate's context
      sources->push_back(Make(absl::StrCat(list, ".", each), "study." + list, row, messages, each));
    }
  }
}

std::vector<Source> Sources(const ReportData& data, const std::vector<const v1::Sample*>& samples) {
  std::vector<Source> sources;
  AddStudy(data.study, &sources);
  sources.push_back(Make("results", "results", *v1::ResultRow::descriptor(), Pointers(data.results),
                         "cell.traits"));
  sources.push_back(Make("train_points", "train_points", *v1::TrainPoint::descriptor(),
                         Pointers(data.train_points)));
  sources.push_back(
      Make("samples", "samples", *v1::Sample::descriptor(), {samples.begin(), samples.end()}));
  AddScores(samples, &sources.back().table);
  FlatTable prompts{
      "prompts", {{"prompt_set", "string"}, {"prompt_id", "string"}, {"text", "string"}}, {}};
  for (const PromptText& prompt : data.prompts) {
    prompts.rows.push_back({prompt.prompt_set, prompt.prompt_id, prompt.text});
  }
  sources.push_back({"prompts", "", std::move(prompts)});
  sources.push_back(
      Make("jobs", "experiment.jobs", *v1::Job::descriptor(), MessagesOf(data.experiment, "jobs")));
  return sources;
}

// `text` as a member of the document's object.
void AddMember(const std::string& key, const std::string& text, std::string* document) {
  absl::StrAppend(document, document->size() > 1 ? ",\n" : "", Json(key).dump(), ":", text);
}

std::string List(const std::vector<const Message*>& messages, bool sparse = false) {
  std::string text = "[";
  for (const Message* message : messages) {
    absl::StrAppend(&text, text.size() > 1 ? ",\n" : "", ToJson(*message, false, sparse));
  }
  return text + "]";
}

// There may be very many: without defaults, and without the arms, which are the job's.
std::string SamplesJson(const std::vector<const v1::Sample*>& samples) {
  std::vector<v1::Sample> without_arms;
  for (const v1::Sample* sample : samples) {
    without_arms.push_back(*sample);
    without_arms.back().clear_arms();
  }
  return List(Pointers(without_arms), true);
}

// How the page makes flat tables of what is in the document: rows are there once.
Json TablesJson(const std::vector<Source>& sources) {
  Json tables = Json::array();
  for (const Source& source : sources) {
    Json columns = Json::array();
    for (const FlatTable::Column& column : source.table.columns) {
      columns.push_back({{"name", column.name}, {"type", column.type}});
    }
    tables.push_back({{"name", source.table.name},
                      {"rows", source.rows},
                      {"each", source.each},
                      {"columns", std::move(columns)}});
  }
  return tables;
}

}  // namespace

std::string ReportDocument(const ReportData& data, size_t max_samples, absl::Time now) {
  const std::vector<const v1::Sample*> samples = ChooseSamples(data.samples, max_samples);
  const std::vector<Source> sources = Sources(data, samples);
  Json prompts = Json::array();
  for (const PromptText& prompt : data.prompts) {
    prompts.push_back({{"prompt_set", prompt.prompt_set},
                       {"prompt_id", prompt.prompt_id},
                       {"text", prompt.text}});
  }
  const Json generated = {
      {"time", absl::FormatTime("%Y-%m-%dT%H:%M:%SZ", now, absl::UTCTimeZone())},
      {"jenner_version", JENNER_VERSION}};
  std::string document = "{";
  AddMember("format", "\"jenner-report\"", &document);
  AddMember("version", absl::StrCat(kVersion), &document);
  AddMember("generated", generated.dump(), &document);
  AddMember("notes", Json(data.notes).dump(), &document);
  AddMember("experiment", ToJson(data.experiment, false), &document);
  AddMember("study", ToJson(data.study, false), &document);
  AddMember("results", List(Pointers(data.results)), &document);
  AddMember("train_points", List(Pointers(data.train_points), true), &document);
  AddMember("num_samples", absl::StrCat(data.samples.size()), &document);
  AddMember("samples", SamplesJson(samples), &document);
  AddMember("prompts", prompts.dump(), &document);
  AddMember("tables", TablesJson(sources).dump(), &document);
  document += "}";
  // All of these stand in strings of the JSON only.
  return absl::StrReplaceAll(
      document, {{"<", "\\u003c"}, {"\xe2\x80\xa8", "\\u2028"}, {"\xe2\x80\xa9", "\\u2029"}});
}

std::vector<FlatTable> ReportTables(const ReportData& data) {
  std::vector<const v1::Sample*> samples;
  for (const v1::Sample& sample : data.samples) samples.push_back(&sample);
  std::vector<FlatTable> tables;
  for (Source& source : Sources(data, samples)) tables.push_back(std::move(source.table));
  return tables;
}

}  // namespace jenner::cli
