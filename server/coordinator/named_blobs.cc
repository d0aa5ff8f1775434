#include "server/coordinator/named_blobs.h"

#include "core/dataset_refs.h"
#include "core/sha256.h"

namespace jenner::coordinator {

std::map<std::string, std::string> NamedBlobs(const State& state) {
  std::map<std::string, std::string> named;
  for (const auto& [id, experiment] : state.experiments) {
    const auto add = [&named, &by = id](const std::string& ref) {
      if (const auto sha256 = core::HexOfRef(ref)) named.emplace(*sha256, by);
    };
    core::ForEachDataset(experiment.spec, [&add](const std::string&, const std::string& ref,
                                                 core::DatasetUse) { add(ref); });
    for (const auto& [name, data] : experiment.spec.data) add(data.result);
    add(experiment.spec.selection);
    for (const Job& job : experiment.jobs) {
      for (const Artifact& artifact : job.artifacts) named.emplace(artifact.sha256, id);
      for (const Artifact& file : job.checkpoint.files) named.emplace(file.sha256, id);
    }
  }
  return named;
}

}  // namespace jenner::coordinator
