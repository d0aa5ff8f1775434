// TempDir: a folder of a test's own, removed with its object.
#ifndef JENNER_TESTS_INTEGRATION_TEMP_DIR_H_
#define JENNER_TESTS_INTEGRATION_TEMP_DIR_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>

namespace jenner::tests {

class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "/jenner-test-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_TEMP_DIR_H_
