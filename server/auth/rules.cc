#include "server/auth/rules.h"

namespace jenner::auth {
namespace {

constexpr Audience kClient = Audience::kClient;
constexpr Audience kWorker = Audience::kWorker;

constexpr Rule kRules[] = {
    // method                          audience  role                      owned  audited
    {"Experiments/CreateExperiment", kClient, Role::kSubmitter, false, true},
    {"Experiments/GetExperiment", kClient, Role::kViewer, false, false},
    {"Experiments/ListExperiments", kClient, Role::kViewer, false, false},
    {"Experiments/CancelExperiment", kClient, Role::kSubmitter, true, true},
    {"Experiments/PauseExperiment", kClient, Role::kSubmitter, true, true},
    {"Experiments/ResumeExperiment", kClient, Role::kSubmitter, true, true},
    {"Experiments/DeleteExperiment", kClient, Role::kSubmitter, true, true},
    {"Experiments/WatchExperiment", kClient, Role::kViewer, false, false},
    {"Experiments/GetResults", kClient, Role::kViewer, false, false},
    {"Experiments/ListSamples", kClient, Role::kViewer, false, false},
    {"Experiments/GetLogs", kClient, Role::kViewer, false, false},
    {"Datasets/UploadDataset", kClient, Role::kSubmitter, false, true},
    {"Datasets/GetDataset", kClient, Role::kViewer, false, false},
    {"Datasets/DownloadDataset", kClient, Role::kViewer, false, false},
    {"Studies/GetStudy", kClient, Role::kViewer, false, false},
    {"Studies/FreezeScreen", kClient, Role::kSubmitter, false, true},
    {"Coordinators/GetCoordinator", kClient, Role::kViewer, false, false},
    {"Workers/ListWorkers", kClient, Role::kViewer, false, false},
    {"Workers/CordonWorker", kClient, Role::kAdmin, false, true},
    {"Workers/UncordonWorker", kClient, Role::kAdmin, false, true},
    // What agents report becomes events, which are a record of their own: only refusals and blobs
    // are audited.
    {"Workers/Synchronize", kWorker, Role::kAdmin, false, false},
    {"Workers/UploadTelemetry", kWorker, Role::kAdmin, false, false},
    {"Workers/UploadBlob", kWorker, Role::kAdmin, false, true},
    {"Workers/DownloadBlob", kWorker, Role::kAdmin, false, false},
};

}  // namespace

std::span<const Rule> Rules() { return kRules; }

const Rule* FindRule(std::string_view method) {
  for (const Rule& rule : kRules) {
    if (rule.method == method) return &rule;
  }
  return nullptr;
}

}  // namespace jenner::auth
