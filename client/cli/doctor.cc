#include <sys/statvfs.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iostream>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "client/cli/data.h"
#include "client/cli/doctor_server.h"
#include "client/cli/findings.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

constexpr absl::Duration kPatience = absl::Seconds(5);  // with a server that does not answer

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
  // "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.54.15 ...": there where a driver is
  // loaded.
  std::ifstream driver("/proc/driver/nvidia/version");
  if (std::string line; std::getline(driver, line)) findings->Note("GPU driver here: " + line);
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

void CheckServer(const client::ClientOptions& options, Findings* findings) {
  client::Client client(options);
  const absl::Time asked = absl::Now();
  const auto answer = client.GetCoordinator();
  const absl::Time answered = absl::Now();
  const bool is_older = absl::IsUnimplemented(answer.status());
  if (!answer.ok() && !is_older) {
    const bool is_refused =
        absl::IsUnauthenticated(answer.status()) || absl::IsPermissionDenied(answer.status());
    return findings->Bad(std::string(answer.status().message()),
                         is_refused ? "a token that it knows: --token-file or JENNER_TOKEN_FILE"
                                    : "is jenner-server running there, and of the CA that --ca "
                                      "names? --server or JENNER_SERVER names it");
  }
  findings->Good("server at " + options.server + " answers and is ready");
  std::string version = JENNER_VERSION;
  if (is_older) {
    findings->Warn("the server is of before GetCoordinator: what it is cannot be told",
                   "upgrade it; this command has version " + version);
  } else {
    CheckCertificates(options.tls, answer->certificate, answered, findings);
    CheckCoordinator(answer->coordinator, JENNER_VERSION, asked, answered, findings);
    version = answer->coordinator.version();
  }
  const auto workers = client.ListWorkers();
  if (!workers.ok()) {
    return findings->Bad("workers: " + std::string(workers.status().message()), "try again");
  }
  CheckWorkers(*workers, version, findings);
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
  options.on_version = nullptr;  // it is among the findings
  CheckServer(options, &findings);
  findings.End();
  return findings.failed() ? kExitFailed : kExitOk;
}

}  // namespace jenner::cli
