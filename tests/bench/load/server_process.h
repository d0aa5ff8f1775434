// ServerProcess: a jenner-server of this build on a data directory, and what /proc and /metrics
// tell of it.
#ifndef JENNER_TESTS_BENCH_LOAD_SERVER_PROCESS_H_
#define JENNER_TESTS_BENCH_LOAD_SERVER_PROCESS_H_

#include <sys/types.h>

#include <string>
#include <vector>

namespace jenner::load {

// Not thread-safe.
class ServerProcess {
 public:
  // Starts it and returns once it listens; address() is "" if it does not. `flags` beside those of
  // the data directory and the ports; its log goes to `folder`/server.log.
  ServerProcess(const std::string& folder, int port, const std::vector<std::string>& flags);
  ~ServerProcess();
  ServerProcess(const ServerProcess&) = delete;
  ServerProcess& operator=(const ServerProcess&) = delete;

  const std::string& address() const { return address_; }
  int port() const;
  pid_t pid() const { return pid_; }
  // SIGKILL, and its end.
  void Kill();

  double CpuSeconds() const;  // user and system
  double ResidentMebibytes() const;
  // A sample of /metrics: name with labels, as it is written there; 0: there is none.
  double Metric(const std::string& sample) const;

 private:
  std::string Scrape() const;

  pid_t pid_ = -1;
  std::string address_;
  std::string metrics_address_;
};

}  // namespace jenner::load

#endif  // JENNER_TESTS_BENCH_LOAD_SERVER_PROCESS_H_
