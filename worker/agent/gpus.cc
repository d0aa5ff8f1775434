#include "worker/agent/gpus.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"
#include "worker/agent/files.h"

namespace jenner::agent {

int CountGpus(const std::string& folder) {
  int count = 0;
  for (const std::string& name : ListFolder(folder)) {
    absl::string_view digits = name;
    if (!absl::ConsumePrefix(&digits, "nvidia") || digits.empty()) continue;
    count += std::all_of(digits.begin(), digits.end(),
                         [](unsigned char c) { return std::isdigit(c) != 0; });
  }
  return count;
}

absl::StatusOr<int> ParseGpus(const std::string& text, const std::string& folder) {
  if (text == "auto") return std::min(CountGpus(folder), kMaxGpus);
  int count = 0;
  if (!absl::SimpleAtoi(text, &count) || count < 0 || count > kMaxGpus) {
    return absl::InvalidArgumentError(
        absl::StrFormat("--gpus: expected \"auto\" or 0 to %d, found \"%s\"", kMaxGpus, text));
  }
  return count;
}

bool WantsGpu(const std::string& job_json) {
  const auto job = nlohmann::json::parse(job_json, nullptr, /*allow_exceptions=*/false);
  return job.is_object() && job.contains("device") && job["device"] == "cuda";
}

std::optional<int> FreeGpu(int num_gpus, const std::set<int>& taken) {
  for (int gpu = 0; gpu < num_gpus; ++gpu) {
    if (taken.count(gpu) == 0) return gpu;
  }
  return std::nullopt;
}

}  // namespace jenner::agent
