#include "worker/model/safetensors.h"

#include <ATen/ATen.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <random>

namespace jenner::model {
namespace {

using testing::HasSubstr;

std::string Header(const std::string& json) {
  std::string out(8, '\0');
  for (size_t i = 0; i < 8; ++i) out[i] = static_cast<char>(json.size() >> (8 * i));
  return out + json;
}

absl::Status Parse(const std::string& json, uint64_t data_bytes) {
  const std::string prefix = Header(json);
  return ParseSafetensorsHeader(prefix, prefix.size() + data_bytes, "file").status();
}

std::string Write(const std::string& name, const std::string& bytes) {
  const std::string path = testing::TempDir() + "/" + name;
  std::ofstream(path, std::ios::binary) << bytes;
  return path;
}

TEST(SafetensorsTest, RoundTripOfEachDtype) {
  const std::string path = testing::TempDir() + "/round.safetensors";
  const at::Tensor a = at::arange(6, at::kFloat).view({2, 3});
  ASSERT_TRUE(WriteSafetensors(path,
                               {{"b", a.to(at::kBFloat16)},
                                {"a", a.t()},
                                {"h", a.to(at::kHalf)},
                                {"e", at::empty({0, 4})}},
                               {{"k", "v"}})
                  .ok());
  std::map<std::string, std::string> metadata;
  const auto tensors = ReadSafetensors(path, &metadata);
  ASSERT_TRUE(tensors.ok()) << tensors.status();
  EXPECT_EQ(metadata.at("k"), "v");
  EXPECT_TRUE(at::equal(tensors->at("a"), a.t().contiguous()));
  EXPECT_EQ(tensors->at("b").scalar_type(), at::kBFloat16);
  EXPECT_EQ(tensors->at("e").sizes(), (at::IntArrayRef{0, 4}));
  EXPECT_FALSE(std::filesystem::exists(path + ".tmp"));
}

TEST(SafetensorsTest, HostileHeaders) {
  const std::string good = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})";
  EXPECT_TRUE(Parse(good, 8).ok());
  const struct {
    std::string json;
    uint64_t bytes;
    std::string message;
  } cases[] = {
      {good, 4, "offsets outside"},
      {good, 12, "4 bytes after the last tensor"},
      {R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, "shape needs 12 bytes"},
      {R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0,
       "impossible shape"},
      {R"({"a":{"dtype":"F32","shape":[-1],"data_offsets":[0,8]}})", 8, "impossible shape"},
      {R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})", 8, "impossible shape"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8, "offsets outside"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,18446744073709551615]}})", 8,
       "offsets outside"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}})",
       12, "hole at byte"},
      {R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})",
       12, "overlap at byte"},
      {R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})",
       8, "duplicate key \"a\""},
      {R"({"a":{"dtype":"F32","shape":[2]}})", 8, "expected dtype, shape and data_offsets"},
      {R"({"a":3})", 8, "expected dtype"},
      {R"({"__metadata__":{"x":1}})", 0, "expected text"},
      {"[]", 0, "not a JSON object"},
      {"{", 0, "not a JSON object"},
      {R"({"a":{"a":{"a":{"a":{"a":{}}}}}})", 0, "nested too deep"},
  };
  for (const auto& one : cases) {
    const absl::Status status = Parse(one.json, one.bytes);
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << one.json << status;
    EXPECT_THAT(std::string(status.message()), HasSubstr(one.message)) << one.json;
  }
  EXPECT_EQ(Parse(R"({"a":{"dtype":"I64","shape":[1],"data_offsets":[0,8]}})", 8).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(
      Parse(R"({"a":{"dtype":"F32","shape":[1,1,1,1,1,1,1,1,1],"data_offsets":[0,4]}})", 4).code(),
      absl::StatusCode::kInvalidArgument);
}

TEST(SafetensorsTest, TruncatedFiles) {
  const std::string path = testing::TempDir() + "/whole.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, {{"a", at::ones({16})}}).ok());
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  for (size_t size = 0; size < bytes.size(); ++size) {
    const absl::Status status =
        ReadSafetensors(Write("cut.safetensors", bytes.substr(0, size))).status();
    EXPECT_EQ(status.code(), absl::StatusCode::kDataLoss) << size;
    EXPECT_THAT(std::string(status.message()), HasSubstr("cut.safetensors"));
  }
  EXPECT_EQ(ReadSafetensors(Write("huge.safetensors", std::string(8, '\xff'))).status().code(),
            absl::StatusCode::kDataLoss);
  EXPECT_EQ(ReadSafetensors(testing::TempDir() + "/absent").status().code(),
            absl::StatusCode::kNotFound);
}

TEST(SafetensorsTest, FlippedBitsNeverCrash) {
  const std::string path = testing::TempDir() + "/flip.safetensors";
  ASSERT_TRUE(WriteSafetensors(path, {{"a", at::ones({4})}, {"b", at::ones({2, 2})}}).ok());
  std::ifstream file(path, std::ios::binary);
  const std::string bytes((std::istreambuf_iterator<char>(file)), {});
  std::mt19937_64 random(1);
  for (int i = 0; i < 2000; ++i) {
    std::string broken = bytes;
    for (int j = 0; j < 3; ++j)
      broken[random() % broken.size()] ^= static_cast<char>(1 << (random() % 8));
    const auto header = ParseSafetensorsHeader(broken, broken.size(), "f");
    if (!header.ok()) continue;
    for (const auto& [name, entry] : header->entries)
      EXPECT_LE(header->data_begin + entry.end, broken.size());
  }
}

TEST(SafetensorsTest, Shards) {
  const std::string folder = testing::TempDir() + "/shards";
  std::filesystem::create_directories(folder);
  ASSERT_TRUE(WriteSafetensors(folder + "/one.safetensors", {{"a", at::ones({2})}}).ok());
  ASSERT_TRUE(WriteSafetensors(folder + "/two.safetensors", {{"b", at::zeros({2})}}).ok());
  const auto index = [&](const std::string& map) {
    std::ofstream(folder + "/model.safetensors.index.json") << R"({"weight_map":)" << map << "}";
    return ReadSafetensorsFolder(folder);
  };
  EXPECT_EQ(index(R"({"a":"one.safetensors","b":"two.safetensors"})")->size(), 2u);
  for (const char* bad :
       {R"({"a":"../one.safetensors"})", R"({"a":"/etc/passwd"})", R"({"a":3})", "[]",
        R"({"a":"two.safetensors"})", R"({"a":"one.safetensors","c":"two.safetensors"})"}) {
    EXPECT_EQ(index(bad).status().code(), absl::StatusCode::kDataLoss) << bad;
  }
}

TEST(SafetensorsTest, RefusesToWriteNonsense) {
  const std::string path = testing::TempDir() + "/no.safetensors";
  EXPECT_EQ(WriteSafetensors(path, {{"a", at::ones({1})}, {"a", at::ones({1})}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_EQ(WriteSafetensors(path, {{"a", at::ones({1}, at::kLong)}}).code(),
            absl::StatusCode::kInvalidArgument);
  EXPECT_FALSE(WriteSafetensors("/nowhere/x", {{"a", at::ones({1})}}).ok());
}

}  // namespace
}  // namespace jenner::model
