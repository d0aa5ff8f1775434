#include "server/rpc/datasets.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "server/rpc/transfer.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr char kUpload[] = "Datasets/UploadDataset";
constexpr char kPrefix[] = "datasets/";

void Fill(const std::string& sha256, int64_t size_bytes, v1::Dataset* dataset) {
  dataset->set_name(kPrefix + sha256);
  dataset->set_size_bytes(size_bytes);
}

core::Faults Check(const v1::UploadDatasetHeader& header) {
  core::Faults faults;
  if (!core::IsSha256Hex(header.sha256())) {
    faults.push_back({"header.sha256", "expected 64 lower-case hex digits"});
  }
  if (header.size_bytes() < 0) {
    faults.push_back({"header.size_bytes", absl::StrFormat("%d is negative", header.size_bytes())});
  }
  if (header.use() != v1::DATASET_USE_TRAINING && header.use() != v1::DATASET_USE_EVALUATION) {
    faults.push_back({"header.use", "expected TRAINING or EVALUATION"});
  }
  return faults;
}

}  // namespace

grpc::ServerReadReactor<v1::UploadDatasetRequest>* DatasetsService::UploadDataset(
    grpc::CallbackServerContext* context, v1::UploadDatasetResponse* response) {
  using Reactor = UploadReactor<v1::UploadDatasetRequest>;
  // Written at the header, read at the end; the steps of one upload follow one another.
  auto header = std::make_shared<v1::UploadDatasetHeader>();
  Reactor::Hooks hooks;
  hooks.about = [](const v1::UploadDatasetRequest& first) {
    return Resource{"dataset", kPrefix + first.header().sha256()};
  };
  hooks.open = [&backend = backend_, header](const v1::UploadDatasetRequest& first,
                                             const auth::Principal&, Reactor::Opened opened) {
    *header = first.header();
    const core::Faults faults = Check(*header);
    if (!faults.empty()) return opened(wire::FaultsStatus(faults));
    const bool is_posted = backend.file_tasks->Push([&backend, header, opened] {
      opened(backend.blobs->Create(header->sha256(), header->size_bytes(),
                                   backend.limits.max_dataset_bytes));
    });
    if (!is_posted) opened(Busy());
  };
  hooks.commit = [&backend = backend_, header,
                  response](std::unique_ptr<store::BlobWriter> writer) -> absl::Status {
    const core::DatasetUse use = header->use() == v1::DATASET_USE_TRAINING
                                     ? core::DatasetUse::kTraining
                                     : core::DatasetUse::kEvaluation;
    RETURN_IF_ERROR(backend.datasets->Add(std::move(writer), header->sha256(), use));
    Fill(header->sha256(), header->size_bytes(), response->mutable_dataset());
    return absl::OkStatus();
  };
  return new Reactor(backend_, kUpload, context, std::move(hooks));
}

grpc::ServerUnaryReactor* DatasetsService::GetDataset(grpc::CallbackServerContext* context,
                                                      const v1::GetDatasetRequest* request,
                                                      v1::GetDatasetResponse* response) {
  const std::string& name = request->name();
  const bool is_name = name.rfind(kPrefix, 0) == 0 &&
                       core::IsSha256Hex(std::string_view(name).substr(sizeof kPrefix - 1));
  const Call call(backend_, context, "Datasets/GetDataset",
                  is_name ? Resource{"dataset", name} : Resource{});
  if (!is_name) {
    call.Finish(wire::FaultStatus(
        "name", absl::StrFormat("expected datasets/{sha256}; found \"%s\"", name.substr(0, 80))));
    return call.reactor;
  }
  call.OnFileThread([call, response, sha256 = name.substr(sizeof kPrefix - 1)] {
    const absl::StatusOr<store::DatasetInfo> found = call.backend->datasets->Find(sha256);
    if (found.ok()) Fill(sha256, found->size_bytes, response->mutable_dataset());
    call.Finish(found.status());
  });
  return call.reactor;
}

grpc::ServerWriteReactor<v1::DownloadDatasetResponse>* DatasetsService::DownloadDataset(
    grpc::CallbackServerContext* context, const v1::DownloadDatasetRequest* request) {
  const std::string& name = request->name();
  const std::string sha256 =
      name.rfind(kPrefix, 0) == 0 ? name.substr(sizeof kPrefix - 1) : std::string();
  return new DownloadReactor<v1::DownloadDatasetResponse>(
      backend_, "Datasets/DownloadDataset", *context, sha256, {"dataset", name},
      [&backend = backend_, sha256, name] {
        if (!core::IsSha256Hex(sha256)) {
          return wire::FaultStatus(
              "name",
              absl::StrFormat("expected datasets/{sha256}; found \"%s\"", name.substr(0, 80)));
        }
        return backend.datasets->Find(sha256).status();
      });
}

}  // namespace jenner::rpc
