#include "worker/model/config_reader.h"

#include <cmath>

#include "absl/strings/str_format.h"

namespace jenner::model {
namespace {

using nlohmann::json;

constexpr size_t kShown = 40;

}  // namespace

ConfigReader::ConfigReader(const json& object, std::string file)
    : object_(object), file_(std::move(file)) {}

bool ConfigReader::Has(const std::string& field) const {
  return object_.contains(field) && !object_[field].is_null();
}

void ConfigReader::Refuse(const std::string& field, const std::string& message) {
  if (!status_.ok()) return;
  status_ = absl::InvalidArgumentError(absl::StrFormat("%s: %s: %s", file_, field, message));
}

int64_t ConfigReader::Count(const std::string& field, int64_t max, int64_t otherwise) {
  if (!Has(field)) {
    if (otherwise == 0) Refuse(field, "missing");
    return std::max<int64_t>(1, otherwise);
  }
  const json& value = At(field);
  if (!value.is_number_integer() || value.get<int64_t>() < 1 || value.get<int64_t>() > max) {
    Refuse(field, absl::StrFormat("expected an integer from 1 to %d, found %s", max,
                                  value.dump().substr(0, kShown)));
    return 1;
  }
  return value.get<int64_t>();
}

double ConfigReader::Positive(const std::string& field, double otherwise) {
  if (!Has(field)) return otherwise;
  const json& value = At(field);
  if (!value.is_number() || !(value.get<double>() > 0) || !std::isfinite(value.get<double>())) {
    Refuse(field, "expected a number above 0, found " + value.dump().substr(0, kShown));
    return otherwise;
  }
  return value.get<double>();
}

bool ConfigReader::Flag(const std::string& field, bool otherwise) {
  if (!Has(field)) return otherwise;
  if (!At(field).is_boolean()) {
    Refuse(field, "expected true or false");
    return otherwise;
  }
  return At(field).get<bool>();
}

void ConfigReader::Only(const std::string& field, const json& only, const std::string& otherwise) {
  if (Has(field) && At(field) != only) {
    Refuse(field, otherwise + ", found " + At(field).dump().substr(0, kShown));
  }
}

Rope ConfigReader::ReadRope(double default_theta) {
  if (Has("rope_parameters")) {
    return ReadRopeObject("rope_parameters", At("rope_parameters"), default_theta);
  }
  const double theta = Positive("rope_theta", default_theta);
  if (!Has("rope_scaling")) return {theta, 1, std::nullopt};
  return ReadRopeObject("rope_scaling", At("rope_scaling"), theta);
}

Rope ConfigReader::ReadRopeObject(const std::string& field, const json& object,
                                  double default_theta) {
  Rope rope{default_theta, 1, std::nullopt};
  if (!object.is_object()) {
    Refuse(field, "expected an object");
    return rope;
  }
  ConfigReader inner(object, file_ + ": " + field);
  rope.theta = inner.Positive("rope_theta", default_theta);
  inner.Only("partial_rotary_factor", 1.0, "only whole heads are rotated");
  const json type = object.value("rope_type", object.value("type", json("default")));
  if (type == "linear") {
    rope.linear_factor = inner.Positive("factor", 1);
  } else if (type == "llama3") {
    Llama3Rope llama3;
    llama3.factor = inner.Positive("factor", llama3.factor);
    llama3.low_freq_factor = inner.Positive("low_freq_factor", llama3.low_freq_factor);
    llama3.high_freq_factor = inner.Positive("high_freq_factor", llama3.high_freq_factor);
    llama3.original_max_positions = inner.Count("original_max_position_embeddings", kMaxPositions,
                                                llama3.original_max_positions);
    if (llama3.high_freq_factor <= llama3.low_freq_factor)
      inner.Refuse("high_freq_factor", "expected above low_freq_factor");
    rope.llama3 = llama3;
  } else if (type != "default") {
    Refuse(field, "unsupported rope type " + type.dump().substr(0, kShown) +
                      "; supported: default, linear, llama3");
  }
  if (status_.ok()) status_ = inner.status();
  return rope;
}

std::vector<bool> ConfigReader::ParseLayerTypes(int64_t num_layers) {
  const json& types = At("layer_types");
  std::vector<bool> sliding;
  if (!types.is_array() || static_cast<int64_t>(types.size()) != num_layers) {
    Refuse("layer_types", absl::StrFormat("expected a list of %d", num_layers));
    return std::vector<bool>(static_cast<size_t>(num_layers));
  }
  for (const json& type : types) {
    if (type != "sliding_attention" && type != "full_attention") {
      Refuse("layer_types", "unsupported " + type.dump().substr(0, kShown) +
                                "; supported: full_attention, sliding_attention");
    }
    sliding.push_back(type == "sliding_attention");
  }
  return sliding;
}

}  // namespace jenner::model
