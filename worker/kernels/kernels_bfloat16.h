// The product of kernels.h by AVX512_BF16 instructions, which Highway 1.0.3 does not have. Internal
// to kernels.cc.
#ifndef JENNER_WORKER_KERNELS_KERNELS_BFLOAT16_H_
#define JENNER_WORKER_KERNELS_KERNELS_BFLOAT16_H_

#include "worker/kernels/kernels.h"

namespace jenner::kernels {

inline constexpr int64_t kAvx512PanelWidth = 48;

// Has this machine AVX-512 with bfloat16 products?
bool HasBfloat16Instructions();

// As Multiply. REQUIRES: HasBfloat16Instructions(), panels of kAvx512PanelWidth.
void MultiplyAvx512Bfloat16(ConstRows16 x, int64_t row_begin, int64_t row_end,
                            const PackedMatrix& weight, int64_t panel_begin, int64_t panel_end,
                            bool add, Rows out);

}  // namespace jenner::kernels

#endif  // JENNER_WORKER_KERNELS_KERNELS_BFLOAT16_H_
