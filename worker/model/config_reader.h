// ConfigReader: typed, checked fields of one JSON object of a config.json.
#ifndef JENNER_WORKER_MODEL_CONFIG_READER_H_
#define JENNER_WORKER_MODEL_CONFIG_READER_H_

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "absl/status/status.h"
#include "worker/model/config.h"

namespace jenner::model {

// The first fault is kept and names file and field; what is read after it means nothing. A field
// that is null counts as missing. Not thread-safe.
class ConfigReader {
 public:
  // `object` must outlive the reader.
  ConfigReader(const nlohmann::json& object, std::string file);

  const nlohmann::json& object() const { return object_; }
  bool Has(const std::string& field) const;
  const nlohmann::json& At(const std::string& field) const { return object_[field]; }
  void Refuse(const std::string& field, const std::string& message);

  // An integer from 1 to `max`; `otherwise` if it is missing, which is a fault if that is 0.
  int64_t Count(const std::string& field, int64_t max, int64_t otherwise = 0);
  // A finite number above 0; `otherwise` if it is missing.
  double Positive(const std::string& field, double otherwise);
  bool Flag(const std::string& field, bool otherwise);

  // A field that must be missing or `only`: this code computes nothing else.
  void Only(const std::string& field, const nlohmann::json& only, const std::string& otherwise);

  // "rope_theta" and "rope_scaling", or "rope_parameters" as transformers 5 writes them. Scalings:
  // default, linear, llama3.
  Rope ReadRope(double default_theta);
  // One object of that kind.
  Rope ReadRopeObject(const std::string& field, const nlohmann::json& object, double default_theta);

  // "layer_types" if it is there; else `otherwise`(layer). True: a sliding layer.
  template <typename Otherwise>
  std::vector<bool> ReadSlidingLayers(int64_t num_layers, const Otherwise& otherwise) {
    std::vector<bool> sliding;
    if (Has("layer_types")) return ParseLayerTypes(num_layers);
    for (int64_t i = 0; i < num_layers; ++i) sliding.push_back(otherwise(i));
    return sliding;
  }

  const absl::Status& status() const { return status_; }

 private:
  std::vector<bool> ParseLayerTypes(int64_t num_layers);

  const nlohmann::json& object_;
  std::string file_;
  absl::Status status_;
};

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_CONFIG_READER_H_
