// Logits for tools/golden/reference_check.py: reads {"model": folder, "adapter": folder or "",
// "rows":
// [[id, ...], ...]} from standard input and writes the float32 logits [T, V] of each row, row-major
// and end to end, to standard output.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <cstdio>
#include <iostream>
#include <nlohmann/json.hpp>

#include "worker/model/peft.h"
#include "worker/model/transformer.h"

namespace jenner {
namespace {

using nlohmann::json;

absl::Status Run() {
  json input;
  std::cin >> input;  // reads no further than the object
  auto transformer = model::Transformer::Load(input.at("model"), core::Dtype::kFloat32);
  if (!transformer.ok()) return transformer.status();
  if (const std::string adapter = input.at("adapter"); !adapter.empty()) {
    auto read = model::ReadAdapter(adapter, (*transformer)->config(), "");
    if (!read.ok()) return read.status();
    (*transformer)->AttachAdapter(*std::move(read));
  }
  const at::NoGradGuard no_gradients;
  for (const json& row : input.at("rows")) {
    const auto ids = row.get<std::vector<int64_t>>();
    const auto size = static_cast<int64_t>(ids.size());
    const at::Tensor ids_N = at::tensor(at::ArrayRef<int64_t>(ids), at::kLong);
    const at::Tensor logits =
        (*transformer)->LogitsFromHidden((*transformer)->Forward({ids_N, {0, size}})).contiguous();
    std::fwrite(logits.data_ptr<float>(), sizeof(float), static_cast<size_t>(logits.numel()),
                stdout);
  }
  return absl::OkStatus();
}

}  // namespace
}  // namespace jenner

int main() {
  const absl::Status status = jenner::Run();
  if (!status.ok()) std::cerr << status << "\n";
  return status.ok() ? 0 : 1;
}
