#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <nlohmann/json.hpp>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "client/cli/data.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

using nlohmann::json;

constexpr absl::Duration kPatience = absl::Seconds(5);  // with a server that does not answer

// What was found, printed as it comes; as one JSON list at the end.
class Findings {
 public:
  explicit Findings(Output output) : output_(output) {}

  void Good(const std::string& text) { Add("ok", text, ""); }
  void Note(const std::string& text) { Add("note", text, ""); }
  void Bad(const std::string& text, const std::string& remedy) {
    Add("fail", text, remedy);
    failed_ = true;
  }
  void End() const {
    if (output_ == Output::kJson) std::cout << list_.dump(1) << "\n";
  }
  bool failed() const { return failed_; }

 private:
  void Add(const std::string& result, const std::string& text, const std::string& remedy) {
    const json finding = {{"result", result}, {"text", text}, {"remedy", remedy}};
    if (output_ == Output::kTable) {
      std::cout << absl::StrFormat("%-4s  %s\n", result == "fail" ? "FAIL" : result, text);
      if (!remedy.empty()) std::cout << "      " << remedy << "\n";
      std::cout << std::flush;
    } else if (output_ == Output::kJsonl) {
      std::cout << finding.dump() << "\n";
    }
    list_.push_back(finding);
  }

  const Output output_;
  json list_ = json::array();
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
      const std::string gpus = worker.gpus() == 0 ? "" : Counted(worker.gpus(), "GPU") + ", ";
      findings->Good(
          absl::StrFormat("worker %s: %s, %s%s: %s", name, Counted(worker.slots(), "slot"), gpus,
                          Counted(worker.models_size(), "model"), FormatArms(worker.models(), 8)));
    }
  }
  if (alive == 0)
    findings->Bad("no worker is alive",
                  "start one: jenner-worker --server HOST:PORT --name w1 --models-dir DIR "
                  "--work-dir w1");
}

// The models here are what `data preview` reads, and often what a worker here offers.
void CheckModels(const std::string& models_dir, Findings* findings) {
  std::set<std::string> names;
  std::error_code ignored;
  for (const auto& entry : std::filesystem::directory_iterator(models_dir, ignored)) {
    if (std::filesystem::exists(entry.path() / "config.json", ignored))
      names.insert(entry.path().filename());
  }
  if (names.empty()) {
    findings->Note("no model in " + models_dir +
                   ": `jenner data preview` needs one (--models-dir)");
  }
  for (const std::string& name : names) {
    const absl::Status status = CheckModelText(models_dir + "/" + name);
    if (status.ok()) {
      findings->Good("tokenizer and chat template of " + name);
    } else {
      findings->Bad("model " + name + ": " + std::string(status.message()),
                    "fetch the model again");
    }
  }
}

}  // namespace

int Doctor(const Globals& globals, const std::string& models_dir) {
  Findings findings(globals.output);
  CheckMachine(&findings);
  CheckModels(models_dir, &findings);
  client::ClientOptions options = globals.client;
  options.timeout = std::min(options.timeout, kPatience);
  const auto workers = client::Client(options).ListWorkers();
  if (!workers.ok()) {
    findings.Bad(std::string(workers.status().message()),
                 "is jenner-server running there? --server or JENNER_SERVER names it");
  } else {
    findings.Good("server at " + options.server + " answers");
    CheckWorkers(*workers, &findings);
  }
  findings.End();
  return findings.failed() ? kExitFailed : kExitOk;
}

}  // namespace jenner::cli
