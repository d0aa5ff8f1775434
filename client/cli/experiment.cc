#include <iostream>
#include <map>
#include <sstream>

#include "client/cli/output.h"
#include "client/cli/spec_file.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "wire/convert.h"
#include "wire/status.h"

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

// A table, or if there is nothing in it a message; or JSON.
template <typename Message>
int PrintList(const Globals& globals, const absl::StatusOr<std::vector<Message>>& messages,
              std::string (*format)(const std::vector<Message>&), const std::string& none) {
  if (!messages.ok()) return Report(messages.status());
  if (globals.output != Output::kTable) {
    PrintAll(globals, *messages);
  } else if (messages->empty()) {
    std::cerr << "jenner: " << none << "\n";
  } else {
    std::cout << format(*messages);
  }
  return kExitOk;
}

int PrintDryRun(const Globals& globals,
                const absl::StatusOr<v1::CreateExperimentResponse>& preview) {
  if (!preview.ok()) return Report(preview.status());
  const v1::Experiment& experiment = preview->experiment();
  std::cerr << "jenner: the spec is valid: " << Counted(experiment.jobs_size(), "job")
            << "; nothing was created\n";
  // Whether there is room now says little of later; that no worker has the model says something.
  if (experiment.state_reason().blame() == "user")
    std::cerr << "jenner: it would wait: " << FormatReason(experiment.state_reason()) << "\n";
  if (globals.output != Output::kTable) {
    PrintOne(globals, *preview);
  } else {
    std::cout << FormatMatrix(experiment) << "\n" << FormatPlan(preview->plan());
  }
  return kExitOk;
}

// Name, state and why it waits, if it does.
void PrintCreated(const v1::Experiment& experiment) {
  std::cerr << "jenner: created experiment " << LastComponent(experiment.name()) << ": "
            << Counted(experiment.jobs_size(), "job") << ", " << StateName(experiment.state());
  if (experiment.queue_position() > 0) std::cerr << " #" << experiment.queue_position();
  if (const std::string reason = FormatReason(experiment.state_reason()); !reason.empty())
    std::cerr << ": " << reason;
  std::cerr << "\n";
}

// Uploads what `file` names and creates the experiment.
int Submit(const Globals& globals, const CreateFlags& flags, const SpecFile& file) {
  client::Client client(globals.client);
  for (const SpecFile::Dataset& dataset : file.datasets) {
    const auto use = dataset.is_training ? v1::DATASET_USE_TRAINING : v1::DATASET_USE_EVALUATION;
    const auto uploaded = client.UploadDataset(dataset.bytes, use);
    if (!uploaded.ok()) return Report(uploaded.status());
  }
  v1::CreateExperimentRequest request;
  request.set_experiment_id(flags.id);
  request.set_request_id(flags.request_id);
  request.set_owner(flags.owner);
  *request.mutable_spec() = wire::ToProto(file.spec);
  if (flags.dry_run) return PrintDryRun(globals, client.PreviewExperiment(std::move(request)));
  const absl::StatusOr<v1::Experiment> created = client.CreateExperiment(std::move(request));
  if (!created.ok()) return Report(created.status());
  PrintCreated(*created);
  if (flags.watch || flags.wait) return WatchToEnd(globals, created->name(), "", !flags.watch);
  const int code = PrintExperiment(globals, created);
  std::cout << std::flush;
  const std::string id = LastComponent(created->name());
  PrintNext(globals, {{"watch " + id, "follow it"},
                      {"results " + id, "figures so far"},
                      {"cancel " + id, "stop it"}});
  return code;
}

// "workers/x" of "x" or "workers/x".
std::string WorkerName(const std::string& given) {
  return given.rfind("workers/", 0) == 0 ? given : "workers/" + given;
}

int PrintWorker(const Globals& globals, const absl::StatusOr<v1::Worker>& worker) {
  if (!worker.ok()) return Report(worker.status());
  if (globals.output == Output::kTable) {
    std::cout << FormatWorkers({*worker});
  } else {
    PrintOne(globals, *worker);
  }
  return kExitOk;
}

int ExitCodeOf(const absl::Status& status) {
  switch (status.code()) {
    case absl::StatusCode::kInvalidArgument:
    case absl::StatusCode::kAlreadyExists:
    case absl::StatusCode::kFailedPrecondition:
    case absl::StatusCode::kOutOfRange:
      return kExitUsage;
    case absl::StatusCode::kNotFound:
      return kExitNotFound;
    case absl::StatusCode::kUnauthenticated:
    case absl::StatusCode::kPermissionDenied:
      return kExitDenied;
    case absl::StatusCode::kUnavailable:
    case absl::StatusCode::kDeadlineExceeded:
      return kExitUnavailable;
    case absl::StatusCode::kCancelled:
      return kExitInterrupted;
    default:
      return kExitFailed;
  }
}

}  // namespace

int Report(const absl::Status& status) {
  // The message has the first faults, the details have all.
  const core::Faults faults = wire::FaultsOf(status);
  std::istringstream lines{
      std::string(faults.empty() ? status.message() : core::ToStatus(faults).message())};
  for (std::string line; std::getline(lines, line);) std::cerr << "jenner: " << line << "\n";
  if (absl::IsUnavailable(status)) {
    std::cerr << "jenner: is jenner-server running there? --server or JENNER_SERVER names it\n";
  }
  const int code = ExitCodeOf(status);
  // For the server's log. Where the input is at fault the message says it all.
  const std::map<std::string, std::string> metadata = wire::MetadataOf(status);
  const auto trace = metadata.find("trace_id");
  if (trace != metadata.end() && code != kExitUsage && code != kExitNotFound) {
    std::cerr << "jenner: trace " << trace->second << "\n";
  }
  return code;
}

void PrintNext(const Globals& globals, const std::vector<std::vector<std::string>>& commands) {
  std::vector<std::vector<std::string>> rows;
  for (const auto& command : commands) {
    rows.push_back({"  " + globals.command + " experiment " + command[0], command[1]});
  }
  std::cerr << FormatTable({"next:", ""}, rows);
}

int ExitCodeOf(v1::State state) {
  if (state == v1::STATE_SUCCEEDED) return kExitOk;
  return state == v1::STATE_CANCELLED ? kExitCancelled : kExitFailed;
}

std::string ExperimentName(const std::string& given) {
  return given.rfind("experiments/", 0) == 0 ? given : "experiments/" + given;
}

int Create(const Globals& globals, const CreateFlags& flags) {
  const absl::StatusOr<SpecFile> file = ReadSpecFile(flags.file, flags.overrides);
  return file.ok() ? Submit(globals, flags, *file) : Report(file.status());
}

int Clone(const Globals& globals, const std::string& name, const CreateFlags& flags) {
  const absl::StatusOr<v1::Experiment> original =
      client::Client(globals.client).GetExperiment(ExperimentName(name));
  if (!original.ok()) return Report(original.status());
  core::Faults faults;
  const core::ExperimentSpec spec = wire::ToCore(original->spec(), &faults);
  if (!faults.empty()) return Report(core::ToStatus(faults));
  const absl::StatusOr<SpecFile> file = OverrideSpec(spec, flags.overrides);
  return file.ok() ? Submit(globals, flags, *file) : Report(file.status());
}

int List(const Globals& globals, int limit) {
  return PrintList(globals, client::Client(globals.client).ListExperiments(limit),
                   FormatExperiments, "no experiments");
}

int Get(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).GetExperiment(ExperimentName(name)));
}

int Cancel(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).CancelExperiment(ExperimentName(name)));
}

int Kill(const Globals& globals, const std::string& name) {
  return PrintExperiment(
      globals, client::Client(globals.client).CancelExperiment(ExperimentName(name), true));
}

int Pause(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).PauseExperiment(ExperimentName(name)));
}

int Resume(const Globals& globals, const std::string& name) {
  return PrintExperiment(globals,
                         client::Client(globals.client).ResumeExperiment(ExperimentName(name)));
}

int Delete(const Globals& globals, const std::string& name) {
  const absl::Status status = client::Client(globals.client).DeleteExperiment(ExperimentName(name));
  if (!status.ok()) return Report(status);
  std::cerr << "jenner: deleted experiment " << LastComponent(name) << "\n";
  return kExitOk;
}

int Results(const Globals& globals, const std::string& name) {
  return PrintList(globals, client::Client(globals.client).GetResults(ExperimentName(name)),
                   FormatResults, "no cell of " + LastComponent(name) + " is complete");
}

int Samples(const Globals& globals, const SampleFlags& flags) {
  v1::ListSamplesRequest request;
  request.set_name(ExperimentName(flags.name));
  request.set_arm(flags.arm);
  request.set_prompt_set(flags.prompt_set);
  request.set_context(flags.context);
  if (flags.step >= 0) request.set_step(flags.step);
  return PrintList(globals, client::Client(globals.client).ListSamples(request, flags.limit),
                   FormatSamples, "no samples");
}

int Cordon(const Globals& globals, const std::string& name) {
  return PrintWorker(globals, client::Client(globals.client).CordonWorker(WorkerName(name), false));
}

int Drain(const Globals& globals, const std::string& name) {
  return PrintWorker(globals, client::Client(globals.client).CordonWorker(WorkerName(name), true));
}

int Uncordon(const Globals& globals, const std::string& name) {
  return PrintWorker(globals, client::Client(globals.client).UncordonWorker(WorkerName(name)));
}

int ListWorkers(const Globals& globals) {
  return PrintList(globals, client::Client(globals.client).ListWorkers(), FormatWorkers,
                   "no workers");
}

}  // namespace jenner::cli
