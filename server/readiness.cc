#include "server/readiness.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <memory>

#include "absl/strings/str_format.h"
#include "server/feed/mutex.h"

namespace jenner::server {
namespace {

// Outlives the check: a thread may come to it later.
struct Round {
  std::atomic<bool> coordinator = false;
  std::atomic<bool> store = false;
  std::atomic<bool> files = false;
  std::atomic<int> errno_of_probe = 0;
  std::atomic<int> num_left = 3;
  feed::Signal is_over;

  void Done(std::atomic<bool>* thread) {
    *thread = true;
    if (--num_left == 0) is_over.Notify();
  }
};

// A block: a full disk has no room for it. 0, or errno.
int WriteProbe(const std::string& path) {
  const int fd = open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  const std::string block(4096, 'p');
  int error = 0;
  const ssize_t size = write(fd, block.data(), block.size());
  if (size < 0) {
    error = errno;
  } else if (static_cast<size_t>(size) < block.size()) {
    error = ENOSPC;
  } else if (fdatasync(fd) != 0) {
    error = errno;
  }
  if (close(fd) != 0 && error == 0) error = errno;
  unlink(path.c_str());
  return error;
}

}  // namespace

absl::Status Readiness::Check() const {
  auto round = std::make_shared<Round>();
  rpc::Request question;
  question.answer = [round](const absl::Status&, const rpc::View&) {
    round->Done(&round->coordinator);
  };
  const bool is_posted = backend_.coordinator->Push(std::move(question)) &&
                         backend_.store_tasks->Push([round] { round->Done(&round->store); }) &&
                         backend_.file_tasks->Push([round, probe = probe_] {
                           round->errno_of_probe = WriteProbe(probe);
                           round->Done(&round->files);
                         });
  if (!is_posted) return rpc::Busy();
  if (!round->is_over.WaitFor(kLimit)) {
    const char* const who = !round->coordinator ? "coordinator's"
                            : !round->store     ? "metric store's"
                                                : "file";
    return absl::UnavailableError(absl::StrFormat("the %s thread has not answered within %s", who,
                                                  absl::FormatDuration(kLimit)));
  }
  if (const int error = round->errno_of_probe; error != 0) {
    return absl::UnavailableError(
        absl::StrFormat("%s cannot be written: %s", probe_, std::strerror(error)));
  }
  return absl::OkStatus();
}

}  // namespace jenner::server
