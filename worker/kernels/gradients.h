// Kernels of training that generation does not need: gradients of kernels.h's, and the softmax of
// a loss. Float32 on plain arrays, for several instruction sets; the contract of kernels.h holds.
#ifndef JENNER_WORKER_KERNELS_GRADIENTS_H_
#define JENNER_WORKER_KERNELS_GRADIENTS_H_

#include <cstdint>

namespace jenner::kernels {

// Of RmsNorm(x, weight) = x r weight, r = 1 / sqrt(mean(x^2) + eps), one row of `size` numbers, by
// the gradient g of its result: d_x = r (weight g - x r^2 mean(weight g x)); unless d_weight is
// null, g x r is added to it.
void RmsNormGradient(const float* x, const float* weight, const float* g, int64_t size, double eps,
                     float* d_x, float* d_weight);

// Of SiluMultiply and GeluMultiply, by the gradient g of their result.
void SiluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up);
void GeluMultiplyGradient(const float* gate, const float* up, const float* g, int64_t size,
                          float* d_gate, float* d_up);

// x becomes softmax(x); returns log(sum(exp(x))), the maximum taken out. NaN, and x anything, if
// x has a NaN or an infinity. REQUIRES: size > 0.
float Softmax(float* x, int64_t size);

}  // namespace jenner::kernels

#endif  // JENNER_WORKER_KERNELS_GRADIENTS_H_
