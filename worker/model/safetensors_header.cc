#include "worker/model/safetensors_header.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::model {
namespace {

using nlohmann::json;

constexpr size_t kMaxNameBytes = 1024;

// Of one element; 0: not a dtype that is read.
uint64_t BytesOf(const std::string& dtype) {
  if (dtype == "F32") return 4;
  return dtype == "BF16" || dtype == "F16" ? 2 : 0;
}

std::optional<uint64_t> Unsigned(const json& value) {
  if (!value.is_number_unsigned()) return std::nullopt;
  return value.get<uint64_t>();
}

// One entry of the header; offsets against `data_size` and shape against offsets.
absl::StatusOr<TensorEntry> ParseEntry(const std::string& name, const json& value,
                                       uint64_t data_size, const std::string& file) {
  const auto broken = [&](const std::string& what) {
    return absl::DataLossError(file + ": tensor \"" + name + "\": " + what);
  };
  if (!value.is_object() || value.size() != 3 || !value.contains("dtype") ||
      !value["dtype"].is_string() || !value.contains("shape") || !value["shape"].is_array() ||
      !value.contains("data_offsets") || !value["data_offsets"].is_array() ||
      value["data_offsets"].size() != 2) {
    return broken("expected dtype, shape and data_offsets");
  }
  TensorEntry entry;
  entry.dtype = value["dtype"].get<std::string>();
  uint64_t bytes = BytesOf(entry.dtype);
  if (bytes == 0)
    return absl::InvalidArgumentError(file + ": tensor \"" + name + "\": dtype \"" + entry.dtype +
                                      "\" is not read");
  if (value["shape"].size() > kMaxTensorDims)
    return absl::InvalidArgumentError(file + ": tensor \"" + name + "\": too many dimensions");
  for (const json& dim : value["shape"]) {
    const std::optional<uint64_t> size = Unsigned(dim);
    uint64_t product = 0;
    if (!size || *size > INT64_MAX || __builtin_mul_overflow(bytes, *size, &product))
      return broken("impossible shape");
    entry.shape.push_back(static_cast<int64_t>(*size));
    bytes = product;
  }
  const std::optional<uint64_t> begin = Unsigned(value["data_offsets"][0]);
  const std::optional<uint64_t> end = Unsigned(value["data_offsets"][1]);
  if (!begin || !end || *begin > *end || *end > data_size)
    return broken("offsets outside the file");
  if (*end - *begin != bytes) {
    return broken(absl::StrFormat("shape needs %d bytes, offsets give %d", bytes, *end - *begin));
  }
  entry.begin = *begin;
  entry.end = *end;
  return entry;
}

// Every byte of the data belongs to exactly one tensor.
absl::Status CheckCoverage(const SafetensorsHeader& header, uint64_t data_size,
                           const std::string& file) {
  std::vector<std::pair<uint64_t, uint64_t>> spans;
  for (const auto& [name, entry] : header.entries) spans.emplace_back(entry.begin, entry.end);
  std::sort(spans.begin(), spans.end());
  uint64_t at = 0;
  for (const auto& [begin, end] : spans) {
    if (begin != at) {
      return absl::DataLossError(absl::StrFormat(
          "%s: %s at byte %d", file, begin > at ? "hole" : "overlap", header.data_begin + at));
    }
    at = end;
  }
  if (at != data_size) {
    return absl::DataLossError(
        absl::StrFormat("%s: %d bytes after the last tensor", file, data_size - at));
  }
  return absl::OkStatus();
}

// The header's JSON, refusing duplicate keys and deep nesting.
absl::StatusOr<json> ParseHeaderJson(const std::string& text, const std::string& file) {
  std::string fault;
  std::vector<std::set<std::string>> keys;
  const json parsed = json::parse(
      text,
      [&](int depth, json::parse_event_t event, json& value) {
        if (depth > 4) fault = "nested too deep";
        if (event == json::parse_event_t::object_start) keys.emplace_back();
        if (event == json::parse_event_t::object_end) keys.pop_back();
        if (event == json::parse_event_t::key &&
            !keys.back().insert(value.get<std::string>()).second) {
          fault = "duplicate key \"" + value.get<std::string>().substr(0, 80) + "\"";
        }
        return true;
      },
      /*allow_exceptions=*/false);
  if (!fault.empty()) return absl::DataLossError(file + ": header: " + fault);
  if (!parsed.is_object()) return absl::DataLossError(file + ": the header is not a JSON object");
  return parsed;
}

}  // namespace

absl::StatusOr<SafetensorsHeader> ParseSafetensorsHeader(const std::string& prefix,
                                                         uint64_t file_size,
                                                         const std::string& file) {
  if (file_size < 8 || prefix.size() < 8)
    return absl::DataLossError(file + ": truncated: no header length");
  uint64_t length = 0;
  for (int i = 7; i >= 0; --i)
    length = length << 8 | static_cast<unsigned char>(prefix[static_cast<size_t>(i)]);
  if (length > kMaxSafetensorsHeader || length > file_size - 8) {
    return absl::DataLossError(absl::StrFormat(
        "%s: header length %d at byte 0 exceeds the file or the limit", file, length));
  }
  if (prefix.size() < 8 + length) return absl::DataLossError(file + ": truncated header");
  ASSIGN_OR_RETURN(const json parsed, ParseHeaderJson(prefix.substr(8, length), file));
  if (parsed.size() > kMaxTensors) return absl::DataLossError(file + ": too many tensors");
  SafetensorsHeader header;
  header.data_begin = 8 + length;
  const uint64_t data_size = file_size - header.data_begin;
  for (const auto& [name, value] : parsed.items()) {
    if (name == "__metadata__") {
      for (const auto& [key, text] : value.items()) {
        if (!text.is_string()) return absl::DataLossError(file + ": __metadata__: expected text");
        header.metadata[key] = text.get<std::string>();
      }
      continue;
    }
    if (name.size() > kMaxNameBytes)
      return absl::DataLossError(file + ": a tensor's name is too long");
    ASSIGN_OR_RETURN(header.entries[name], ParseEntry(name, value, data_size, file));
  }
  RETURN_IF_ERROR(CheckCoverage(header, data_size, file));
  return header;
}

}  // namespace jenner::model
