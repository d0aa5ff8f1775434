// For tests of EventLogs: a folder of a test's own, and batches.
#ifndef JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_
#define JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

#include "server/store/event_log.h"

namespace jenner::store {

class TempDir {
 public:
  TempDir() {
    std::string pattern = ::testing::TempDir() + "/jenner-store-XXXXXX";
    path_ = mkdtemp(pattern.data());
  }
  ~TempDir() { std::filesystem::remove_all(path_); }
  TempDir(const TempDir&) = delete;
  TempDir& operator=(const TempDir&) = delete;
  std::string path() const { return path_; }

 private:
  std::string path_;
};

inline const absl::Time kTime = absl::FromUnixMicros(1'700'000'000'123'456);

inline std::vector<NewEvent> Batch(std::vector<std::string> payloads) {
  std::vector<NewEvent> batch;
  for (std::string& payload : payloads) batch.push_back({kTime, std::move(payload)});
  return batch;
}

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_
