// Products x W^T by the kernels (worker/kernels) beside the library's, at::mm: MKL in float32,
// oneDNN in bfloat16. The shapes are those of SmolLM2-135M's block and head. Prints one JSON object
// of GFLOP/s, the best of 12 each. Rounding of the rows to bfloat16 is in the kernels' time.
//   kernel_bench [--threads N] [--rows N]
#include <ATen/ATen.h>
#include <ATen/Parallel.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <iostream>
#include <nlohmann/json.hpp>
#include <string>

#include "worker/model/packed_linear.h"
#include "worker/model/products.h"

namespace jenner {
namespace {

using nlohmann::json;

struct Flags {
  int threads = 2;
  int64_t rows = 448;
};

struct Shape {
  const char* name;
  int64_t inputs;
  int64_t outputs;
};
constexpr Shape kShapes[] = {{"qkv", 576, 960},
                             {"o", 576, 576},
                             {"gate_up", 576, 3072},
                             {"down", 1536, 576},
                             {"head", 576, 49152}};

template <typename Call>
double Best(double flops, const Call& call) {
  double best = 0;
  for (int i = 0; i < 12; ++i) {
    const auto started = std::chrono::steady_clock::now();
    call();
    const std::chrono::duration<double> took = std::chrono::steady_clock::now() - started;
    best = std::max(best, flops * 1e-9 / took.count());
  }
  return best;
}

json Measure(const Shape& shape, const Flags& flags, bool is_float) {
  const at::Tensor x = at::randn({flags.rows, shape.inputs});
  const at::Tensor w = at::randn({shape.outputs, shape.inputs});
  const at::ScalarType type = is_float ? at::kFloat : at::kBFloat16;
  const at::Tensor x_typed = x.to(type);
  const at::Tensor w_typed = w.to(type);
  at::Tensor library_out = at::empty({flags.rows, shape.outputs}, type);
  at::Tensor out = at::empty({flags.rows, shape.outputs});
  const auto packed =
      model::Pack({w.const_data_ptr<float>(), shape.inputs}, shape.outputs, shape.inputs,
                  is_float ? kernels::Storage::kFloat32 : kernels::Storage::kBfloat16);
  const double flops = 2.0 * static_cast<double>(flags.rows * shape.inputs * shape.outputs);
  return {{"library", Best(flops, [&] { at::mm_out(library_out, x_typed, w_typed.t()); })},
          {"kernels", Best(flops, [&] { model::MultiplyInto(packed, x, &out); })}};
}

}  // namespace
}  // namespace jenner

int main(int argc, char** argv) {
  jenner::Flags flags;
  CLI::App app{"Products by the kernels beside the library's."};
  app.add_option("--threads", flags.threads)->check(CLI::Range(1, 1024))->capture_default_str();
  app.add_option("--rows", flags.rows)->check(CLI::Range(1, 100000))->capture_default_str();
  CLI11_PARSE(app, argc, argv);
  at::set_num_threads(flags.threads);
  nlohmann::json result = {{"threads", flags.threads}, {"rows", flags.rows}};
  for (const jenner::Shape& shape : jenner::kShapes) {
    result["float32"][shape.name] = jenner::Measure(shape, flags, true);
    result["bfloat16"][shape.name] = jenner::Measure(shape, flags, false);
  }
  std::cout << result.dump(1) << "\n";
  return 0;
}
