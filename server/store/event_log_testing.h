// For tests of EventLogs: a folder of a test's own, batches, and a writer that is killed.
#ifndef JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_
#define JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <functional>
#include <memory>
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

// A child appends batches of three ("x", "y", "z") to the log that it opened and tells each over a
// pipe once it is durable; after `enough` events it is killed with SIGKILL in the midst of it.
// *told: the last number that it told.
inline void KillInTheMidstOfAppends(const std::function<std::unique_ptr<EventLog>()>& open,
                                    int64_t enough, int64_t* told) {
  int pipe_fds[2];
  ASSERT_EQ(pipe(pipe_fds), 0);
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    close(pipe_fds[0]);
    const std::unique_ptr<EventLog> log = open();
    for (;;) {
      if (!log->Append(Batch({"x", "y", "z"})).ok()) _exit(1);  // tidy: allow, a child
      const int64_t last = log->LastSeq();
      if (write(pipe_fds[1], &last, sizeof last) != sizeof last) _exit(2);  // tidy: allow
    }
  }
  close(pipe_fds[1]);
  *told = 0;
  while (*told < enough) ASSERT_EQ(read(pipe_fds[0], told, sizeof *told), ssize_t{sizeof *told});
  kill(child, SIGKILL);
  int wait_status = 0;
  waitpid(child, &wait_status, 0);
  ASSERT_TRUE(WIFSIGNALED(wait_status));
  for (int64_t more = 0; read(pipe_fds[0], &more, sizeof more) == sizeof more;) *told = more;
  close(pipe_fds[0]);
}

// Whatever was told is there, and nothing is there in part.
inline void ExpectWholeBatches(EventLog* log, int64_t told) {
  EXPECT_GE(log->LastSeq(), told);
  EXPECT_EQ(log->LastSeq() % 3, 0) << "a batch is there in part";
  const std::vector<StoredEvent> events = *log->ReadFrom(1, 1'000'000);
  ASSERT_EQ(static_cast<int64_t>(events.size()), log->LastSeq());
  for (size_t i = 0; i < events.size(); ++i)
    EXPECT_EQ(events[i].payload, std::string(1, "xyz"[i % 3]));
}

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_EVENT_LOG_TESTING_H_
