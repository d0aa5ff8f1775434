#include "server/rpc/prepare.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/data.h"
#include "core/dataset_refs.h"
#include "core/sha256.h"
#include "core/status.h"
#include "wire/status.h"

namespace jenner::rpc {
namespace {

constexpr int64_t kChunkBytes = int64_t{1} << 20;

// Of a checked spec.
std::string HashOf(const std::string& ref) { return core::HexOfRef(ref).value_or(""); }

absl::StatusOr<std::vector<core::Row>> ReadRows(const store::BlobStore& blobs,
                                                const std::string& ref, core::DatasetUse use) {
  ASSIGN_OR_RETURN(const std::string bytes, ReadBlob(blobs, HashOf(ref)));
  absl::StatusOr<std::vector<core::Row>> rows = core::ParseDataset(bytes, use);
  if (!rows.ok()) return Annotate(rows.status(), ref);
  return rows;
}

DatasetSize SizeOf(const std::vector<core::Row>& rows) {
  DatasetSize size;
  size.num_rows = static_cast<int64_t>(rows.size());
  for (const core::Row& row : rows) {
    size.num_messages += static_cast<int64_t>(row.messages.size());
    for (const core::Message& message : row.messages) {
      size.text_bytes += static_cast<int64_t>(message.content.size());
    }
  }
  return size;
}

// Of all sets that are answered. Sets of given answers may well be what is trained on.
absl::StatusOr<std::vector<core::Row>> ReadPrompts(const core::ExperimentSpec& spec,
                                                   const store::BlobStore& blobs,
                                                   DatasetSizes* sizes) {
  ASSIGN_OR_RETURN(std::vector<core::Row> prompts,
                   ReadRows(blobs, spec.evaluation.prompts, core::DatasetUse::kEvaluation));
  (*sizes)[spec.evaluation.prompts] = SizeOf(prompts);
  for (const core::PromptSetSpec& set : spec.evaluation.sets) {
    const bool is_given = set.mode == core::EvaluationMode::kLogProbability;
    ASSIGN_OR_RETURN(
        std::vector<core::Row> more,
        ReadRows(blobs, set.prompts,
                 is_given ? core::DatasetUse::kTraining : core::DatasetUse::kEvaluation));
    (*sizes)[set.prompts] = SizeOf(more);
    if (is_given) continue;
    for (core::Row& row : more) prompts.push_back(std::move(row));
  }
  return prompts;
}

absl::StatusOr<std::unique_ptr<store::BlobWriter>> Write(const std::string& bytes,
                                                         store::BlobStore& blobs) {
  ASSIGN_OR_RETURN(std::unique_ptr<store::BlobWriter> writer,
                   blobs.Create(core::Sha256Hex(bytes), static_cast<int64_t>(bytes.size()),
                                core::kMaxDatasetBytes));
  for (size_t at = 0; at < bytes.size(); at += kChunkBytes) {
    RETURN_IF_ERROR(writer->Write(std::string_view(bytes).substr(at, kChunkBytes)));
  }
  return writer;
}

absl::Status StoreTrainingSet(const std::string& bytes, store::BlobStore& blobs,
                              store::DatasetStore& datasets) {
  const std::string sha256 = core::Sha256Hex(bytes);
  const absl::StatusOr<store::DatasetInfo> known = datasets.Find(sha256);
  if (known.ok() && known->for_training) return absl::OkStatus();
  ASSIGN_OR_RETURN(std::unique_ptr<store::BlobWriter> writer, Write(bytes, blobs));
  return datasets.Add(std::move(writer), sha256, core::DatasetUse::kTraining);
}

}  // namespace

absl::Status StoreBlob(const std::string& bytes, store::BlobStore& blobs) {
  const std::string sha256 = core::Sha256Hex(bytes);
  if (blobs.SizeBytes(sha256).ok()) {
    blobs.Touch(sha256);
    return absl::OkStatus();
  }
  ASSIGN_OR_RETURN(const std::unique_ptr<store::BlobWriter> writer, Write(bytes, blobs));
  return writer->Commit();
}

absl::StatusOr<std::string> ReadBlob(const store::BlobStore& blobs, const std::string& sha256) {
  ASSIGN_OR_RETURN(const std::unique_ptr<store::BlobReader> reader, blobs.Read(sha256));
  std::string bytes;
  for (;;) {
    ASSIGN_OR_RETURN(const std::string chunk, reader->Read(kChunkBytes));
    if (chunk.empty()) return bytes;
    bytes += chunk;
  }
}

absl::Status CheckDatasets(const core::ExperimentSpec& spec, const store::DatasetStore& datasets) {
  core::Faults missing;
  std::string first_missing;
  core::Faults misused;
  int64_t together = 0;
  core::ForEachDataset(
      spec, [&](const std::string& field, const std::string& ref, core::DatasetUse use) {
        if (ref.empty()) return;
        const bool for_training = use == core::DatasetUse::kTraining;
        const std::string sha256 = HashOf(ref);
        const absl::StatusOr<store::DatasetInfo> found = datasets.Find(sha256);
        if (!found.ok()) {
          if (missing.empty()) first_missing = sha256;
          missing.push_back({field, ref + " was not uploaded"});
        } else if (together += found->size_bytes;
                   !(for_training ? found->for_training : found->for_evaluation)) {
          misused.push_back({field, absl::StrFormat("%s was uploaded for %s only", ref,
                                                    for_training ? "evaluation" : "training")});
        }
      });
  // They are read into memory by the one thread that also serves uploads.
  if (together > core::kMaxDatasetBytes) {
    return wire::WithReason(
        wire::FaultStatus("data",
                          absl::StrFormat("%d bytes of datasets are named together, each as "
                                          "often as it is used; at most %d",
                                          together, core::kMaxDatasetBytes)),
        "DATA_TOO_LARGE");
  }
  if (!missing.empty()) {
    return wire::WithResource(
        wire::WithReason(wire::FaultsStatus(missing, absl::StatusCode::kNotFound),
                         "DATASET_NOT_FOUND"),
        "dataset", "datasets/" + first_missing);
  }
  return misused.empty() ? absl::OkStatus()
                         : wire::WithReason(wire::FaultsStatus(misused), "DATASET_USE");
}

absl::Status MakeData(store::BlobStore& blobs, store::DatasetStore& datasets, bool is_preview,
                      core::ExperimentSpec* spec, DatasetSizes* sizes) {
  core::Faults faults;
  ASSIGN_OR_RETURN(const std::vector<core::Row> prompts, ReadPrompts(*spec, blobs, sizes));
  if (!spec->dataset.empty()) {
    ASSIGN_OR_RETURN(const std::vector<core::Row> rows,
                     ReadRows(blobs, spec->dataset, core::DatasetUse::kTraining));
    (*sizes)[spec->dataset] = SizeOf(rows);
    const std::vector<std::string> ids = core::Contaminated(rows, prompts);
    if (!ids.empty()) {
      faults.push_back(
          {"dataset", absl::StrFormat("%d of its %d rows ask what an evaluation prompt asks, the "
                                      "first is \"%s\"; a set under `data` can drop or allow them",
                                      ids.size(), rows.size(), ids.front())});
    }
  }
  for (auto& [name, data] : spec->data) {
    std::vector<std::vector<core::Row>> sources;
    for (const core::DataSource& source : data.sources) {
      ASSIGN_OR_RETURN(std::vector<core::Row> rows,
                       ReadRows(blobs, source.dataset, core::DatasetUse::kTraining));
      sources.push_back(std::move(rows));
    }
    core::Faults own;
    const std::vector<core::Row> made =
        core::MakeTrainingSet(data, std::move(sources), prompts, &own);
    for (core::Fault& fault : own) {
      faults.push_back(
          {absl::StrFormat("data.%s.%s", name, fault.field), std::move(fault.message)});
    }
    if (!own.empty()) continue;
    const std::string bytes = core::FormatDataset(made);
    if (!is_preview) RETURN_IF_ERROR(StoreTrainingSet(bytes, blobs, datasets));
    data.result = core::RefOf(bytes);
    (*sizes)[data.result] = SizeOf(made);
  }
  if (faults.empty()) return absl::OkStatus();
  return wire::WithReason(wire::FaultsStatus(faults), "INVALID_DATA");
}

}  // namespace jenner::rpc
