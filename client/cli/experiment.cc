#include <iostream>
#include <sstream>

#include "client/cli/output.h"
#include "client/cli/spec_file.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "wire/convert.h"

namespace jenner::cli {
namespace {

int PrintExperiment(const Globals& globals, const absl::StatusOr<v1::Experiment>& experiment) {
  if (!experiment.ok()) return Report(experiment.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatExperiment(*experiment);
  } else {
    PrintOne(globals, *experiment);
  }
  return kExitOk;
}

}  // namespace

int Report(const absl::Status& status) {
  // A refused spec has one line a fault.
  std::istringstream lines{std::string(status.message())};
  for (std::string line; std::getline(lines, line);) std::cerr << "jenner: " << line << "\n";
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

int ExitCodeOf(v1::State state) {
  if (state == v1::STATE_SUCCEEDED) return kExitOk;
  return state == v1::STATE_CANCELLED ? kExitCancelled : kExitFailed;
}

std::string ExperimentName(const std::string& given) {
  return given.rfind("experiments/", 0) == 0 ? given : "experiments/" + given;
}

int Create(const Globals& globals, const CreateFlags& flags) {
  absl::StatusOr<SpecFile> file = ReadSpecFile(flags.file, flags.overrides);
  if (!file.ok()) return Report(file.status());
  client::Client client(globals.client);
  for (const SpecFile::Dataset& dataset : file->datasets) {
    const auto use = dataset.is_training ? v1::DATASET_USE_TRAINING : v1::DATASET_USE_EVALUATION;
    const auto uploaded = client.UploadDataset(dataset.bytes, use);
    if (!uploaded.ok()) return Report(uploaded.status());
  }
  v1::CreateExperimentRequest request;
  request.set_experiment_id(flags.id);
  request.set_request_id(flags.request_id);
  request.set_validate_only(flags.dry_run);
  *request.mutable_spec() = wire::ToProto(file->spec);
  const absl::StatusOr<v1::Experiment> created = client.CreateExperiment(std::move(request));
  if (!created.ok()) return Report(created.status());
  const std::string id = LastComponent(created->name());
  if (flags.dry_run) return PrintExperiment(globals, created);
  std::cerr << "jenner: created experiment " << id << " with " << created->jobs_size() << " jobs\n";
  if (flags.watch || flags.wait) return WatchToEnd(globals, created->name(), "", !flags.watch);
  std::cerr << "jenner: next: jenner experiment watch " << id << " | results " << id << " | cancel "
            << id << "\n";
  return PrintExperiment(globals, created);
}

int List(const Globals& globals, int limit) {
  const auto experiments = client::Client(globals.client).ListExperiments(limit);
  if (!experiments.ok()) return Report(experiments.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatExperiments(*experiments);
  } else {
    PrintAll(globals, *experiments);
  }
  return kExitOk;
}

int Get(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).GetExperiment(ExperimentName(name)));
}

int Cancel(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).CancelExperiment(ExperimentName(name)));
}

int Delete(const Globals& globals, const std::string& name) {
  const absl::Status status = client::Client(globals.client).DeleteExperiment(ExperimentName(name));
  if (!status.ok()) return Report(status);
  std::cerr << "jenner: deleted experiment " << LastComponent(name) << "\n";
  return kExitOk;
}

int Results(const Globals& globals, const std::string& name) {
  const auto rows = client::Client(globals.client).GetResults(ExperimentName(name));
  if (!rows.ok()) return Report(rows.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatResults(*rows);
  } else {
    PrintAll(globals, *rows);
  }
  return kExitOk;
}

int Samples(const Globals& globals, const SampleFlags& flags) {
  v1::ListSamplesRequest request;
  request.set_name(ExperimentName(flags.name));
  request.set_arm(flags.arm);
  request.set_context(flags.context);
  if (flags.step >= 0) request.set_step(flags.step);
  const auto samples = client::Client(globals.client).ListSamples(request, flags.limit);
  if (!samples.ok()) return Report(samples.status());
  if (globals.output != Output::kTable) {
    PrintAll(globals, *samples);
    return kExitOk;
  }
  std::vector<std::vector<std::string>> rows;
  for (const v1::Sample& sample : *samples) {
    std::string scores;
    for (const v1::Score& score : sample.scores()) {
      scores += (scores.empty() ? "" : " ") + score.trait() + "=" +
                (score.has_value() ? std::to_string(static_cast<int>(score.value())) : "n/a");
    }
    std::string answer = sample.answer();
    for (char& c : answer) c = c == '\n' || c == '\r' || c == '\t' ? ' ' : c;
    const std::string arm = sample.arms_size() > 0 ? sample.arms(0) : "";
    rows.push_back({arm, std::to_string(sample.step()), sample.context(), sample.prompt_id(),
                    scores, sample.finish_reason(), answer});
  }
  std::cout << FormatTable({"ARM/SEED", "STEP", "CONTEXT", "PROMPT", "SCORES", "END", "ANSWER"},
                           rows);
  return kExitOk;
}

int ListWorkers(const Globals& globals) {
  const auto workers = client::Client(globals.client).ListWorkers();
  if (!workers.ok()) return Report(workers.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatWorkers(*workers);
  } else {
    PrintAll(globals, *workers);
  }
  return kExitOk;
}

}  // namespace jenner::cli
