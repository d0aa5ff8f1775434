// Weights of a model on the CPU, and the differentiable products by them: what most of the time of
// training goes to. Legend: N rows, I inputs, O outputs, R rank.
#ifndef JENNER_WORKER_MODEL_PACKED_LINEAR_H_
#define JENNER_WORKER_MODEL_PACKED_LINEAR_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <memory>
#include <vector>

#include "worker/kernels/kernels.h"

namespace jenner::model {

// A frozen weight [O, I] in the orders that products read it. Each is made when it is first asked
// for, and kept. Not thread-safe.
class PackedLinear {
 public:
  // `weight_OI`: float32 on the CPU, rows contiguous; shared, and not to change.
  PackedLinear(at::Tensor weight_OI, kernels::Storage storage)
      : weight_OI_(std::move(weight_OI)), storage_(storage) {}
  // For x W^T.
  const std::shared_ptr<const kernels::PackedMatrix>& Forward() const;
  // For g W, the gradient of x by the gradient g of x W^T.
  const kernels::PackedMatrix& Backward() const;
  int64_t outputs() const { return weight_OI_.size(0); }
  int64_t inputs() const { return weight_OI_.size(1); }

 private:
  at::Tensor weight_OI_;
  kernels::Storage storage_;
  mutable std::shared_ptr<const kernels::PackedMatrix> forward_;
  mutable std::shared_ptr<const kernels::PackedMatrix> backward_;
};

// One target's adapter: adds scale B (A x) to the outputs from out_begin on.
struct LoraPart {
  at::Tensor a_RI;
  at::Tensor b_OR;
  double scale = 1;
  int64_t out_begin = 0;
};

// x W^T + bias + the parts, [N, O] float32. Differentiable in x and in the A and B of parts that
// require gradients, both or none. x: [N, I] float32 on the CPU; bias [O] frozen, or undefined. In
// bfloat16 storage the factors of the products by W are rounded to it, of the gradient's, too; sums
// and adapters are float32.
at::Tensor Multiply(const std::shared_ptr<const PackedLinear>& weight, const at::Tensor& x_NI,
                    const at::Tensor& bias_O, const std::vector<LoraPart>& parts);

// x W^T + bias of a weight that is trained: W is `leaves` one under the other, which share the
// storage of `weight_OI`, float32 on the CPU; `biases` are the leaves of the bias, or none, and
// share that of bias_O. Differentiable in x and all leaves. In bfloat16 storage the factors of the
// weight's own gradient are rounded, too.
at::Tensor MultiplyTrained(const at::Tensor& weight_OI, const std::vector<at::Tensor>& leaves,
                           const at::Tensor& bias_O, const std::vector<at::Tensor>& biases,
                           kernels::Storage storage, const at::Tensor& x_NI);

// The product of rows x by the weight, without gradients, into `out` of the right shape. Both:
// float32, columns contiguous.
void MultiplyInto(const kernels::PackedMatrix& weight, const at::Tensor& x, at::Tensor* out);

// out [A, B] += X^T Y for X [N, A] and Y [N, B], contiguous rows.
void AddTransposedProduct(const at::Tensor& x_NA, const at::Tensor& y_NB, kernels::Storage storage,
                          at::Tensor* out_AB);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_PACKED_LINEAR_H_
