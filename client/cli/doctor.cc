#include <sys/statvfs.h>

#include <fstream>
#include <iostream>
#include <thread>

#include "absl/strings/str_format.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

class Findings {
 public:
  void Good(const std::string& text) { std::cout << "ok    " << text << "\n"; }
  void Bad(const std::string& text, const std::string& remedy) {
    std::cout << "FAIL  " << text << "\n      " << remedy << "\n";
    failed_ = true;
  }
  void Note(const std::string& text) { std::cout << "note  " << text << "\n"; }
  bool failed() const { return failed_; }

 private:
  bool failed_ = false;
};

bool CpuHas(const std::string& flag) {
  std::ifstream file("/proc/cpuinfo");
  for (std::string line; std::getline(file, line);) {
    if (line.rfind("flags", 0) == 0)
      return (line + " ").find(" " + flag + " ") != std::string::npos;
  }
  return false;
}

void CheckMachine(Findings* findings) {
  findings->Note(absl::StrFormat(
      "this machine: %d cores, AVX-512 %s, bfloat16 units %s", std::thread::hardware_concurrency(),
      CpuHas("avx512f") ? "yes" : "no", CpuHas("avx512_bf16") ? "yes" : "no"));
  struct statvfs disk {};
  if (statvfs(".", &disk) == 0) {
    const double free_gib =
        static_cast<double>(disk.f_bavail) * static_cast<double>(disk.f_frsize) / (1 << 30);
    const std::string text = absl::StrFormat("disk here: %.1f GiB free", free_gib);
    if (free_gib < 2) {
      findings->Bad(text, "a training keeps checkpoints of up to a few GiB: free some space");
    } else {
      findings->Good(text);
    }
  }
}

void CheckWorkers(const std::vector<v1::Worker>& workers, Findings* findings) {
  int alive = 0;
  for (const v1::Worker& worker : workers) {
    const std::string name = LastComponent(worker.name());
    if (worker.liveness() != v1::Worker::LIVENESS_ALIVE) {
      findings->Note("worker " + name + " is lost");
      continue;
    }
    ++alive;
    if (worker.version() != JENNER_VERSION) {
      findings->Bad(
          "worker " + name + " has version " + worker.version(),
          std::string("this command has ") + JENNER_VERSION + ": install the same everywhere");
    }
    if (worker.models_size() == 0) {
      findings->Bad("worker " + name + " offers no model",
                    "put a model folder under its --models-dir");
    } else {
      findings->Good(absl::StrFormat("worker %s: %d slots, %d models", name, worker.slots(),
                                     worker.models_size()));
    }
  }
  if (alive == 0)
    findings->Bad("no worker is alive", "start one: jenner-worker --server ADDRESS --name w1 ...");
}

}  // namespace

int Doctor(const Globals& globals) {
  Findings findings;
  CheckMachine(&findings);
  client::Client client(globals.client);
  const auto workers = client.ListWorkers();
  if (!workers.ok()) {
    findings.Bad("server: " + std::string(workers.status().message()),
                 "is jenner-server running there? --server or JENNER_SERVER names it");
  } else {
    findings.Good("server at " + globals.client.server + " answers");
    CheckWorkers(*workers, &findings);
  }
  return findings.failed() ? kExitFailed : kExitOk;
}

}  // namespace jenner::cli
