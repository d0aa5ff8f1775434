#include "server/store/blob_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "core/sha256.h"
#include "server/store/dataset_store.h"

namespace jenner::store {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;

constexpr int64_t kMax = 1 << 20;

class BlobStoreTest : public ::testing::Test {
 protected:
  BlobStoreTest() {
    std::string pattern = ::testing::TempDir() + "/jenner-blobs-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    blobs_ = *BlobStore::Open(dir_ + "/blobs");
    datasets_ = *DatasetStore::Open(dir_ + "/datasets", *blobs_);
  }
  ~BlobStoreTest() override { fs::remove_all(dir_); }

  static int64_t Size(const std::string& bytes) { return static_cast<int64_t>(bytes.size()); }
  absl::Status Put(const std::string& bytes) {
    auto writer = blobs_->Create(core::Sha256Hex(bytes), Size(bytes), kMax);
    if (!writer.ok()) return writer.status();
    if (absl::Status written = (*writer)->Write(bytes); !written.ok()) return written;
    return (*writer)->Commit();
  }
  std::string PathOf(const std::string& bytes) const {
    const std::string sha = core::Sha256Hex(bytes);
    return dir_ + "/blobs/" + sha.substr(0, 2) + "/" + sha;
  }
  absl::Status AddDataset(const std::string& bytes, core::DatasetUse use) {
    const std::string sha = core::Sha256Hex(bytes);
    auto writer = *blobs_->Create(sha, Size(bytes), kMax);
    EXPECT_TRUE(writer->Write(bytes).ok());
    return datasets_->Add(std::move(writer), sha, use);
  }
  int NumTemporary() const {
    int count = 0;
    for ([[maybe_unused]] const auto& entry : fs::directory_iterator(dir_ + "/blobs/tmp")) ++count;
    return count;
  }

  std::string dir_;
  std::unique_ptr<BlobStore> blobs_;
  std::unique_ptr<DatasetStore> datasets_;
};

// As a link in its own file system, as a copy from another one.
TEST_F(BlobStoreTest, ImportsWholeFilesOnly) {
  std::vector<std::string> folders = {dir_ + "/elsewhere"};
  std::string memory = "/dev/shm/jenner-blobs-XXXXXX";
  if (mkdtemp(memory.data()) != nullptr) folders.push_back(memory);
  for (const std::string& folder : folders) {
    fs::create_directories(folder);
    const std::string text = "bytes of " + folder;
    const std::string sha256 = core::Sha256Hex(text);
    const std::string path = folder + "/file";
    EXPECT_TRUE(absl::IsNotFound(blobs_->Import(path, sha256)));
    std::ofstream(path) << text << "more";
    EXPECT_TRUE(absl::IsDataLoss(blobs_->Import(path, sha256)));
    EXPECT_FALSE(fs::exists(blobs_->PathOf(sha256)));
    std::ofstream(path) << text;
    ASSERT_TRUE(blobs_->Import(path, sha256).ok());
    fs::remove(path);
    EXPECT_EQ((*blobs_->Read(sha256))->Read(1000).value(), text);
    EXPECT_EQ(NumTemporary(), 0);
    EXPECT_TRUE(absl::IsInvalidArgument(blobs_->Import(path, "no hash")));
    fs::remove_all(folder);
  }
}

TEST_F(BlobStoreTest, GivesBackWhatWasPut) {
  for (const std::string& bytes :
       {std::string("hello"), std::string(), std::string(100'000, 'x')}) {
    ASSERT_TRUE(Put(bytes).ok());
    ASSERT_TRUE(Put(bytes).ok()) << "twice is no error";
    auto reader = *blobs_->Read(core::Sha256Hex(bytes));
    EXPECT_EQ(reader->size_bytes(), Size(bytes));
    std::string read;
    for (;;) {
      const std::string chunk = *reader->Read(30'000);
      if (chunk.empty()) break;
      read += chunk;
    }
    EXPECT_EQ(read, bytes);
    EXPECT_EQ(*reader->Read(10), "");
  }
  EXPECT_EQ(NumTemporary(), 0);
}

TEST_F(BlobStoreTest, RefusesWhatWasNotAnnounced) {
  const std::string sha = core::Sha256Hex("hello");
  EXPECT_THAT(std::string((*blobs_->Create(sha, 5, kMax))->Commit().message()),
              HasSubstr("0 bytes came"));
  auto other = *blobs_->Create(sha, 5, kMax);
  ASSERT_TRUE(other->Write("HELLO").ok());
  EXPECT_TRUE(absl::IsInvalidArgument(other->Commit()));
  other.reset();
  auto more = *blobs_->Create(sha, 5, kMax);
  EXPECT_TRUE(absl::IsInvalidArgument(more->Write("hello!")));
  more.reset();
  EXPECT_TRUE(absl::IsNotFound(blobs_->Read(sha).status()));
  EXPECT_EQ(NumTemporary(), 0);
  EXPECT_TRUE(absl::IsResourceExhausted(blobs_->Create(sha, kMax + 1, kMax).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(blobs_->Create(sha, -1, kMax).status()));
}

TEST_F(BlobStoreTest, NamesCannotLeaveTheFolder) {
  for (const std::string& name :
       {std::string("../../etc/passwd"), std::string(), std::string(63, 'a'), std::string(64, 'A'),
        std::string(62, 'a') + "/.", std::string("../") + std::string(61, 'a')}) {
    EXPECT_TRUE(absl::IsInvalidArgument(blobs_->Create(name, 1, kMax).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(blobs_->Read(name).status())) << name;
    EXPECT_TRUE(absl::IsInvalidArgument(datasets_->Find(name).status())) << name;
  }
}

TEST_F(BlobStoreTest, RotIsDataLoss) {
  const std::string bytes(5000, 'x');
  ASSERT_TRUE(Put(bytes).ok());
  std::fstream(PathOf(bytes), std::ios::in | std::ios::out).put('y');
  auto reader = *blobs_->Read(core::Sha256Hex(bytes));
  EXPECT_TRUE(reader->Read(4000).ok()) << "not known yet";
  EXPECT_TRUE(absl::IsDataLoss(reader->Read(4000).status()));
  fs::resize_file(PathOf(bytes), 10);
  EXPECT_TRUE(absl::IsDataLoss((*blobs_->Read(core::Sha256Hex(bytes)))->Read(4000).status()));
}

TEST_F(BlobStoreTest, LeftoversOfAnEarlierProcessAreRemoved) {
  std::ofstream(dir_ + "/blobs/tmp/blob-abcdef") << "half";
  ASSERT_TRUE(BlobStore::Open(dir_ + "/blobs").ok());
  EXPECT_EQ(NumTemporary(), 0);
}

TEST_F(BlobStoreTest, DatasetsAreCheckedForTheirUse) {
  const std::string row =
      R"({"messages":[{"role":"user","content":"a"},{"role":"assistant","content":"b"}]})";
  const std::string sha = core::Sha256Hex(row);
  EXPECT_TRUE(absl::IsNotFound(datasets_->Find(sha).status()));
  EXPECT_TRUE(absl::IsInvalidArgument(AddDataset(row, core::DatasetUse::kEvaluation)));
  EXPECT_TRUE(absl::IsNotFound(blobs_->Read(sha).status())) << "a refused dataset is not kept";
  ASSERT_TRUE(AddDataset(row, core::DatasetUse::kTraining).ok());
  EXPECT_TRUE(datasets_->Find(sha)->for_training);
  EXPECT_FALSE(datasets_->Find(sha)->for_evaluation);
  EXPECT_EQ(datasets_->Find(sha)->size_bytes, Size(row));
  const absl::Status bad = AddDataset(row + "\nnonsense\n", core::DatasetUse::kTraining);
  EXPECT_THAT(std::string(bad.message()), HasSubstr("2"));
  ASSERT_TRUE(Put("a blob, not a dataset").ok());
  EXPECT_TRUE(absl::IsNotFound(datasets_->Find(core::Sha256Hex("a blob, not a dataset")).status()));
}

}  // namespace
}  // namespace jenner::store
