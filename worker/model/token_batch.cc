#include "worker/model/token_batch.h"

#include <ATen/ATen.h>

#include <algorithm>

#include "core/check.h"

namespace jenner::model {
namespace {

// Below it the masks that a prefix needs cost more than it saves.
constexpr int64_t kMinPrefix = 8;

int64_t CommonPrefix(const std::vector<std::span<const int32_t>>& rows) {
  if (rows.size() < 2) return 0;
  auto common = static_cast<int64_t>(rows[0].size()) - 1;
  for (const std::span<const int32_t> row : rows) {
    common = std::min(common, static_cast<int64_t>(row.size()) - 1);
    common = std::mismatch(row.begin(), row.begin() + common, rows[0].begin()).first - row.begin();
  }
  return common < kMinPrefix ? 0 : common;
}

}  // namespace

TokenBatch PackRows(const std::vector<std::span<const int32_t>>& rows, bool share) {
  TokenBatch batch;
  batch.prefix = share ? CommonPrefix(rows) : 0;
  std::vector<int64_t> ids;
  if (batch.prefix > 0) ids.assign(rows[0].begin(), rows[0].begin() + batch.prefix);
  batch.row_starts.push_back(batch.prefix);
  for (const std::span<const int32_t> row : rows) {
    JENNER_CHECK(!row.empty());
    ids.insert(ids.end(), row.begin() + batch.prefix, row.end());
    batch.row_starts.push_back(static_cast<int64_t>(ids.size()));
  }
  batch.ids_N = at::tensor(ids, at::kLong);
  return batch;
}

}  // namespace jenner::model
