#include "server/retention.h"

#include <algorithm>
#include <filesystem>
#include <system_error>

#include "absl/strings/str_format.h"
#include "logging/log.h"
#include "server/coordinator/named_blobs.h"

namespace jenner::server {
namespace {

using coordinator::RunState;
using logging::Level;
using logging::Log;

void Complain(const char* what, const std::string& whose, const absl::Status& status) {
  Log(Level::kWarning, what, {{"of", whose}, {"status", status.ToString()}});
}

// When the oldest attempt that runs began.
absl::Time OldestAttempt(const coordinator::State& state) {
  absl::Time oldest = absl::InfiniteFuture();
  for (const auto& [id, experiment] : state.experiments) {
    for (const coordinator::Job& job : experiment.jobs) {
      if (!job.ranks.empty()) oldest = std::min(oldest, job.start_time);
    }
  }
  return oldest;
}

int64_t FileBytes(const std::string& path) {
  std::error_code error;
  const std::uintmax_t size = std::filesystem::file_size(path, error);
  return error ? 0 : static_cast<int64_t>(size);
}

}  // namespace

void Retention::Tick(absl::Time now) {
  if (now - last_ < options_.interval || is_looking_) return;
  last_ = now;
  is_looking_ = true;
  rpc::Request request;
  request.answer = [this](const absl::Status&, const rpc::View& view) { Begin(view); };
  if (!backend_.coordinator->Push(std::move(request))) is_looking_ = false;
}

void Retention::Begin(const rpc::View& view) {
  if (options_.keep_attempts > 0) DropAttempts(view);
  if (options_.keep_experiments > absl::ZeroDuration()) DeleteExpired(view);
  auto look = std::make_shared<Look>();
  look->named = coordinator::NamedBlobs(view.state);
  look->checkpoint_cutoff = view.now - kKeepCheckpointFiles;
  if (options_.keep_unreferenced > absl::ZeroDuration()) {
    look->cutoff = std::min(view.now - options_.keep_unreferenced, OldestAttempt(view.state));
  }
  Sweep(look);
}

void Retention::DropAttempts(const rpc::View& view) {
  std::erase_if(dropped_, [&](const std::string& key) {
    return view.state.experiments.count(key.substr(0, key.find('/'))) == 0;
  });
  size_t count = 0;
  for (const auto& [id, experiment] : view.state.experiments) {
    for (const coordinator::Job& job : experiment.jobs) {
      const int32_t from = job.attempt - options_.keep_attempts + 1;
      if (job.state != RunState::kSucceeded || from <= 1) continue;
      if (count == kMaxAttempts) return;
      const std::string key = id + "/" + job.plan.id;
      if (dropped_.count(key) > 0) continue;
      const bool is_posted =
          backend_.store_tasks->Push([this, experiment_id = id, job_id = job.plan.id, from] {
            const absl::StatusOr<int64_t> dropped =
                backend_.metric_store->DropAttempts(experiment_id, job_id, from);
            if (!dropped.ok()) return Complain("attempts stay", experiment_id, dropped.status());
            backend_.metrics->Removed("rows", *dropped, 0);
          });
      if (!is_posted) return;
      dropped_.insert(key);
      ++count;
    }
  }
}

void Retention::DeleteExpired(const rpc::View& view) {
  size_t count = 0;
  for (const auto& [id, experiment] : view.state.experiments) {
    const bool is_old = coordinator::IsTerminal(experiment.state) &&
                        experiment.end_time + options_.keep_experiments <= view.now;
    if (!is_old) continue;
    if (++count > kMaxExperiments) return;
    // The rows first, as DeleteExperiment: what fails is found again by the next look.
    const bool is_posted = backend_.store_tasks->Push([this, experiment_id = id] {
      const absl::Status removed = backend_.metric_store->DeleteExperiment(experiment_id);
      if (!removed.ok()) return Complain("an experiment stays", experiment_id, removed);
      rpc::Request request;
      request.command = coordinator::DeleteExperiment{experiment_id};
      request.answer = [this](const absl::Status& decided, const rpc::View&) {
        if (decided.ok()) backend_.metrics->Removed("experiments", 1, 0);
      };
      (void)backend_.coordinator->Push(std::move(request));
    });
    if (!is_posted) return;
  }
}

// A folder at a time, so that uploads find their way in between.
void Retention::Sweep(const std::shared_ptr<Look>& look) {
  const bool is_posted = backend_.file_tasks->Push([this, look] {
    if (look->next_folder == store::BlobStore::kNumFolders) return End(*look);
    const store::BlobStore::Swept swept = backend_.blobs->Sweep(
        look->next_folder++, std::max(look->cutoff, look->checkpoint_cutoff),
        [this, &look](const std::string& sha256, absl::Time time) {
          const bool is_old = time < look->cutoff || backend_.checkpoint_files->count(sha256) > 0;
          const bool is_wanted = !is_old || look->named.count(sha256) > 0;
          if (is_wanted) return true;
          backend_.datasets->Forget(sha256);
          backend_.checkpoint_files->erase(sha256);
          return false;
        });
    look->blob_bytes += swept.kept_bytes;
    backend_.metrics->Removed("blobs", swept.num_removed, swept.removed_bytes);
    Sweep(look);
  });
  if (!is_posted) is_looking_ = false;
}

void Retention::End(const Look& look) {
  backend_.metrics->SetStoreBytes("blobs", look.blob_bytes);
  for (const auto& [name, path] : files_) {
    backend_.metrics->SetStoreBytes(name, FileBytes(path) + FileBytes(path + "-wal"));
  }
  backend_.metrics->RetentionEnded(backend_.clock());
  is_looking_ = false;
}

}  // namespace jenner::server
