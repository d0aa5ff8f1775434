#pragma GCC diagnostic ignored "-Wconversion"
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <chrono>
#include <cstdio>
#include <vector>
#include "worker/kernels/kernels.h"
using namespace jenner::kernels;
template <typename F> double Best(const F& f) {
  double best = 1e9;
  for (int i = 0; i < 12; ++i) {
    auto s = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - s).count());
  }
  return best;
}
int main() {
  at::set_num_threads(2);
  for (int64_t N : {64, 400, 448}) for (auto [I, O] : std::vector<std::pair<int64_t,int64_t>>{{576,960},{576,576},{576,3072},{1536,576},{3072,576},{960,576},{576,49152}}) {
    auto x = at::randn({N, I}); auto w = at::randn({O, I}); auto y = at::empty({N, O});
    auto xb = x.to(at::kBFloat16), wb = w.to(at::kBFloat16), yb = y.to(at::kBFloat16);
    double fl = static_cast<double>(2 * N * I * O) / 1e9;
    double mkl = Best([&]{ at::mm_out(y, x, w.t()); });
    double dn = Best([&]{ at::mm_out(yb, xb, wb.t()); });
    PackedMatrix p(w.const_data_ptr<float>(), O, I, I, 1, Storage::kFloat32);
    PackedMatrix pb(w.const_data_ptr<float>(), O, I, I, 1, Storage::kBfloat16);
    std::vector<uint16_t> x16(N * I);
    auto run = [&](auto rows, const PackedMatrix& m) {
      int64_t blocks = (N + 7) / 8; (void)blocks;
      at::parallel_for(0, m.num_panels(), 1, [&](int64_t b, int64_t e) {
        Multiply(rows, 0, N, m, b, e, false, Rows{y.mutable_data_ptr<float>(), O});
      });
    };
    double f32 = Best([&]{ run(ConstRows{x.const_data_ptr<float>(), I}, p); });
    double b16 = Best([&]{ for (int64_t r = 0; r < N; ++r) RoundToBfloat16(x.const_data_ptr<float>() + r * I, I, x16.data() + r * I); run(ConstRows16{x16.data(), I}, pb); });
    double b16n = Best([&]{ run(ConstRows16{x16.data(), I}, pb); });
    printf("N %ld I %ld O %ld: mkl %.0f ours %.0f | onednn bf16 %.0f ours %.0f without rounding %.0f GFLOP/s\n", N, I, O, fl / mkl, fl / f32, fl / dn, fl / b16, fl / b16n);
  }
}
