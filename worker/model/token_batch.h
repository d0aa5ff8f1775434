// TokenBatch: rows of tokens for one forward pass, end to end without padding, what all of them
// begin with kept once.
#ifndef JENNER_WORKER_MODEL_TOKEN_BATCH_H_
#define JENNER_WORKER_MODEL_TOKEN_BATCH_H_

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <span>
#include <vector>

namespace jenner::model {

// The tokens [0, prefix) of ids_N are those that every row begins with; what row b has besides is
// ids_N[row_starts[b] .. row_starts[b + 1]). Positions count from 0 in each row, prefix included,
// and a token attends to those before it in its own row only.
struct TokenBatch {
  at::Tensor ids_N;                 // int64, contiguous, any device, each in [0, vocab)
  std::vector<int64_t> row_starts;  // B + 1 ascending values, first `prefix`, last N
  int64_t prefix = 0;

  // Where position `position` of row `row` is in ids_N.
  int64_t At(size_t row, int64_t position) const {
    return position < prefix ? position : row_starts[row] + position - prefix;
  }
};

// Rows of at least one token. With `share` what they have in common is kept once, if it is long
// enough to be worth it; each row keeps at least one token of its own.
TokenBatch PackRows(const std::vector<std::span<const int32_t>>& rows, bool share);

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_TOKEN_BATCH_H_
