// A folder of small files for one test: made new under the test's temporary folder, removed at the
// end of its scope. For tests of worker/text.
#ifndef JENNER_WORKER_TEXT_TEST_FOLDER_H_
#define JENNER_WORKER_TEXT_TEST_FOLDER_H_

#include <gtest/gtest.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <string>

namespace jenner::text {

using Files = std::map<std::string, std::string>;  // name, with folders in front or not: content

class TestFolder {
 public:
  explicit TestFolder(const Files& files) {
    path_ = testing::TempDir() + "jenner_text_XXXXXX";
    if (mkdtemp(path_.data()) == nullptr) ADD_FAILURE() << path_;
    for (const auto& [name, content] : files) Write(name, content);
  }
  TestFolder(const TestFolder&) = delete;
  TestFolder& operator=(const TestFolder&) = delete;
  ~TestFolder() { std::filesystem::remove_all(path_); }

  void Write(const std::string& name, const std::string& content) {
    const std::filesystem::path file = std::filesystem::path(path_) / name;
    std::filesystem::create_directories(file.parent_path());
    std::ofstream(file, std::ios::binary) << content;
  }

  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_TEST_FOLDER_H_
