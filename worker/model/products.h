// Products of rows by packed weights, shared out among torch's threads. What comes out does not
// depend on how many there are (worker/kernels/kernels.h).
#ifndef JENNER_WORKER_MODEL_PRODUCTS_H_
#define JENNER_WORKER_MODEL_PRODUCTS_H_

#include <ATen/Parallel.h>

#include <algorithm>
#include <cstdint>
#include <span>

#include "worker/kernels/kernels.h"

#ifndef _OPENMP
#error "at::parallel_for has one thread only without OpenMP"
#endif

namespace jenner::model {

struct Product {
  const kernels::PackedMatrix* weight;
  kernels::Rows out;
  bool add = false;  // to what is there
};

// Of all rows by each weight. `x` is read for weights in float32, `x16`, the same rounded, for
// those in bfloat16.
void MultiplyAll(kernels::ConstRows x, kernels::ConstRows16 x16, int64_t num_rows,
                 std::span<const Product> products);

// A weight [O, I], or its transpose, that is given as [O, I] and becomes [I, O].
kernels::PackedMatrix Pack(kernels::ConstRows weight_OI, int64_t outputs, int64_t inputs,
                           kernels::Storage storage);
kernels::PackedMatrix PackTransposed(kernels::ConstRows weight_OI, int64_t outputs, int64_t inputs,
                                     kernels::Storage storage);

// x [N, I] to out [I, N].
void Transpose(kernels::ConstRows x, int64_t num_rows, int64_t width, kernels::Rows out);

// Calls `function(begin, end)` for parts of the rows, divided at multiples of kRowBlock.
template <typename Function>
void ForRows(int64_t num_rows, const Function& function) {
  constexpr int64_t kBlock = kernels::kRowBlock;
  at::parallel_for(0, (num_rows + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    function(begin * kBlock, std::min(num_rows, end * kBlock));
  });
}

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_PRODUCTS_H_
