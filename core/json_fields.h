// Strict JSON <-> structs by one list of fields each. A struct takes part through
//   template <typename V> void VisitFields(V& visit, Struct& value) { visit("name", value.name);
//   ... }
// found by argument-dependent lookup; an enumeration through EnumNames(Enum). FieldReader collects
// every fault (unknown key with the nearest known one, wrong type, out of range); FieldWriter
// writes every field, those visited by Unless() if they differ from their default. Included by
// *_json.cc only.
#ifndef JENNER_CORE_JSON_FIELDS_H_
#define JENNER_CORE_JSON_FIELDS_H_

#include <cmath>
#include <cstdint>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/fault.h"
#include "core/nearest.h"

namespace jenner::core {

using Json = nlohmann::json;

inline constexpr int kMaxJsonDepth = 32;
inline constexpr size_t kMaxJsonBytes = size_t{4} << 20;

// `text` as JSON, or nullopt and faults: too large or deep, malformed (with its byte), every
// duplicate key with its path.
std::optional<Json> ParseJson(const std::string& text, Faults* faults,
                              size_t max_bytes = kMaxJsonBytes);

inline std::string Join(const std::string& path, const std::string& key) {
  return path.empty() ? key : path + "." + key;
}

template <typename E>
using NameTable = std::vector<std::pair<std::string, E>>;

class FieldReader;

// Reads `json` into *out; adds faults under `path`, and leaves *out as it was where there is one.
template <typename T>
void ReadValue(const Json& json, const std::string& path, T* out, Faults* faults);

class FieldReader {
 public:
  FieldReader(const Json& object, std::string path, Faults* faults)
      : object_(object), path_(std::move(path)), faults_(faults) {}

  template <typename T>
  void operator()(const char* key, T& value) {
    known_.push_back(key);
    const auto found = object_.find(key);
    if (found != object_.end()) ReadValue(*found, Join(path_, key), &value, faults_);
  }

  // A field that is read elsewhere.
  void Known(const char* key) { known_.push_back(key); }
  // A field that is left out where it has its default.
  template <typename T>
  void Unless(const T&, const char* key, T& value) {
    (*this)(key, value);
  }

  // After the last field: every other key is a fault.
  void RefuseOthers() {
    for (const auto& [key, unused] : object_.items()) {
      bool is_known = false;
      for (const std::string& known : known_) is_known = is_known || known == key;
      if (is_known) continue;
      const std::string nearest = Nearest(key, known_);
      faults_->push_back(
          {Join(path_, key), nearest.empty() ? std::string("unknown key")
                                             : "unknown key; did you mean \"" + nearest + "\"?"});
    }
  }

 private:
  const Json& object_;
  std::string path_;
  Faults* faults_;
  std::vector<std::string> known_;
};

class FieldWriter {
 public:
  template <typename T>
  void operator()(const char* key, T& value);
  template <typename T>
  void Unless(const T& default_value, const char* key, T& value) {
    if (!(value == default_value)) (*this)(key, value);
  }
  Json object = Json::object();
};

namespace json_internal {

template <typename T>
struct IsVector : std::false_type {};
template <typename T>
struct IsVector<std::vector<T>> : std::true_type {};
template <typename T>
struct IsOptional : std::false_type {};
template <typename T>
struct IsOptional<std::optional<T>> : std::true_type {};
template <typename T>
struct IsMap : std::false_type {};
template <typename T>
struct IsMap<std::map<std::string, T>> : std::true_type {};

inline void WrongType(const Json& json, const std::string& path, const char* expected,
                      Faults* faults) {
  std::string shown = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (shown.size() > 40) shown = shown.substr(0, 40) + "...";
  faults->push_back(
      {path, "expected " + std::string(expected) + ", found " + json.type_name() + " " + shown});
}

template <typename T>
void ReadInteger(const Json& json, const std::string& path, T* out, Faults* faults) {
  if (!json.is_number_integer()) return WrongType(json, path, "an integer", faults);
  const bool fits =
      json.is_number_unsigned()
          ? json.get<uint64_t>() <= static_cast<uint64_t>(std::numeric_limits<T>::max())
          : json.get<int64_t>() >= std::numeric_limits<T>::min() &&
                json.get<int64_t>() <= std::numeric_limits<T>::max();
  if (!fits) {
    faults->push_back(
        {path, absl::StrFormat("%s does not fit in %d bits", json.dump(), int{sizeof(T) * 8})});
    return;
  }
  *out = json.get<T>();
}

template <typename T>
void ReadEnum(const Json& json, const std::string& path, T* out, Faults* faults) {
  std::string names;
  for (const auto& [name, value] : EnumNames(T{})) {
    if (json.is_string() && json.get<std::string>() == name) {
      *out = value;
      return;
    }
    names += (names.empty() ? "" : ", ") + name;
  }
  WrongType(json, path, ("one of " + names).c_str(), faults);
}

template <typename T>
void ReadList(const Json& json, const std::string& path, std::vector<T>* out, Faults* faults) {
  if (!json.is_array()) return WrongType(json, path, "a list", faults);
  std::vector<T> values(json.size());
  for (size_t i = 0; i < json.size(); ++i) {
    ReadValue(json[i], absl::StrFormat("%s[%d]", path, i), &values[i], faults);
  }
  *out = std::move(values);
}

template <typename T>
void ReadMap(const Json& json, const std::string& path, std::map<std::string, T>* out,
             Faults* faults) {
  if (!json.is_object()) return WrongType(json, path, "a map", faults);
  std::map<std::string, T> values;
  for (const auto& [key, value] : json.items())
    ReadValue(value, Join(path, key), &values[key], faults);
  *out = std::move(values);
}

// A struct that may be written as one word has a `void FromWord(const std::string&, Struct*)`.
template <typename T>
concept HasWord = requires(T* value) {
  FromWord(std::string(), value);
};

template <typename T>
void ReadStruct(const Json& json, const std::string& path, T* out, Faults* faults) {
  if constexpr (HasWord<T>) {
    if (json.is_string()) return FromWord(json.get<std::string>(), out);
  }
  if (!json.is_object()) return WrongType(json, path, "a map", faults);
  FieldReader reader(json, path, faults);
  VisitFields(reader, *out);
  reader.RefuseOthers();
}

}  // namespace json_internal

template <typename T>
void ReadValue(const Json& json, const std::string& path, T* out, Faults* faults) {
  using namespace json_internal;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!json.is_string()) return WrongType(json, path, "text", faults);
    *out = json.get<std::string>();
  } else if constexpr (std::is_same_v<T, bool>) {
    if (!json.is_boolean()) return WrongType(json, path, "true or false", faults);
    *out = json.get<bool>();
  } else if constexpr (std::is_enum_v<T>) {
    ReadEnum(json, path, out, faults);
  } else if constexpr (std::is_integral_v<T>) {
    ReadInteger(json, path, out, faults);
  } else if constexpr (std::is_floating_point_v<T>) {
    if (!json.is_number()) return WrongType(json, path, "a number", faults);
    if (!std::isfinite(json.get<T>())) {
      faults->push_back({path, "expected a finite number"});
      return;
    }
    *out = json.get<T>();
  } else if constexpr (IsOptional<T>::value) {
    typename T::value_type value{};
    const size_t before = faults->size();
    ReadValue(json, path, &value, faults);
    if (faults->size() == before) *out = std::move(value);
  } else if constexpr (IsVector<T>::value) {
    ReadList(json, path, out, faults);
  } else if constexpr (IsMap<T>::value) {
    ReadMap(json, path, out, faults);
  } else {
    ReadStruct(json, path, out, faults);
  }
}

// Every field of `value`, optionals only if they are set.
template <typename T>
Json WriteValue(const T& value) {
  using namespace json_internal;
  if constexpr (std::is_enum_v<T>) {
    for (const auto& [name, known] : EnumNames(T{})) {
      if (known == value) return name;
    }
    return nullptr;
  } else if constexpr (std::is_arithmetic_v<T> || std::is_same_v<T, std::string>) {
    return value;
  } else if constexpr (IsVector<T>::value) {
    Json list = Json::array();
    for (const auto& one : value) list.push_back(WriteValue(one));
    return list;
  } else if constexpr (IsMap<T>::value) {
    Json map = Json::object();
    for (const auto& [key, one] : value) map[key] = WriteValue(one);
    return map;
  } else {
    FieldWriter writer;
    VisitFields(writer, const_cast<T&>(value));  // the writer only reads
    return std::move(writer.object);
  }
}

template <typename T>
void FieldWriter::operator()(const char* key, T& value) {
  if constexpr (json_internal::IsOptional<T>::value) {
    if (value.has_value()) object[key] = WriteValue(*value);
  } else {
    object[key] = WriteValue(value);
  }
}

// Keys sorted (nlohmann::json's objects are), no white space, shortest round-trip numbers.
inline std::string Canonical(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace jenner::core

#endif  // JENNER_CORE_JSON_FIELDS_H_
