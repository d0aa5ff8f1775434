#include "worker/model/token_batch.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <numeric>

namespace jenner::model {
namespace {

// 0, 1, ..., common - 1, then `own` tokens from `first` on.
std::vector<int32_t> Row(int32_t common, int32_t first, size_t own) {
  std::vector<int32_t> row(static_cast<size_t>(common) + own);
  std::iota(row.begin(), row.begin() + common, 0);
  std::iota(row.begin() + common, row.end(), first);
  return row;
}

std::vector<int64_t> Ids(const TokenBatch& batch) {
  const int64_t* data = batch.ids_N.const_data_ptr<int64_t>();
  return {data, data + batch.ids_N.numel()};
}

TEST(PackRows, KeepsWhatRowsHaveInCommonOnce) {
  const std::vector<int32_t> a = Row(10, 100, 2), b = Row(10, 200, 3);
  const TokenBatch batch = PackRows({a, b}, true);
  EXPECT_EQ(batch.prefix, 10);
  EXPECT_EQ(batch.row_starts, (std::vector<int64_t>{10, 12, 15}));
  EXPECT_EQ(Ids(batch),
            (std::vector<int64_t>{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 100, 101, 200, 201, 202}));
  for (size_t i = 0; i < b.size(); ++i)
    EXPECT_EQ(Ids(batch)[static_cast<size_t>(batch.At(1, static_cast<int64_t>(i)))], b[i]);
}

TEST(PackRows, EveryRowKeepsATokenOfItsOwn) {
  const std::vector<int32_t> a = Row(10, 100, 0), b = Row(10, 200, 3);
  const TokenBatch batch = PackRows({b, a}, true);
  EXPECT_EQ(batch.prefix, 9);
  EXPECT_EQ(batch.row_starts, (std::vector<int64_t>{9, 13, 14}));
}

TEST(PackRows, DoesNotShareWhatIsNotWorthItNorUnasked) {
  const std::vector<int32_t> a = Row(7, 100, 2), b = Row(7, 200, 3), c = Row(20, 300, 1);
  EXPECT_EQ(PackRows({a, b}, true).prefix, 0);
  EXPECT_EQ(PackRows({c}, true).prefix, 0);
  const TokenBatch batch = PackRows({c, c}, false);
  EXPECT_EQ(batch.prefix, 0);
  EXPECT_EQ(batch.row_starts, (std::vector<int64_t>{0, 21, 42}));
  EXPECT_EQ(batch.At(1, 3), 24);
}

}  // namespace
}  // namespace jenner::model
