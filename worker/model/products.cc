#include "worker/model/products.h"

#include "worker/kernels/gradients.h"

namespace jenner::model {

using kernels::kRowBlock;

// Tiles: panel by panel, then row block by row block.
void MultiplyAll(kernels::ConstRows x, kernels::ConstRows16 x16, int64_t num_rows,
                 std::span<const Product> products) {
  const int64_t blocks = (num_rows + kRowBlock - 1) / kRowBlock;
  int64_t num_tiles = 0;
  for (const Product& product : products) num_tiles += product.weight->num_panels() * blocks;
  at::parallel_for(0, num_tiles, 1, [&](int64_t begin, int64_t end) {
    int64_t first = 0;  // of the product, among all tiles
    for (const Product& product : products) {
      const int64_t count = product.weight->num_panels() * blocks;
      for (int64_t at = std::max(begin, first); at < std::min(end, first + count);) {
        const int64_t panel = (at - first) / blocks;
        const int64_t block = (at - first) % blocks;
        // The blocks of one panel together, so that it is read once.
        const int64_t together = std::min(blocks - block, std::min(end, first + count) - at);
        const int64_t row_begin = block * kRowBlock;
        const int64_t row_end = std::min(num_rows, (block + together) * kRowBlock);
        if (product.weight->storage() == kernels::Storage::kFloat32) {
          Multiply(x, row_begin, row_end, *product.weight, panel, panel + 1, /*add=*/false,
                   product.out);
        } else {
          Multiply(x16, row_begin, row_end, *product.weight, panel, panel + 1, /*add=*/false,
                   product.out);
        }
        at += together;
      }
      first += count;
    }
  });
}

void MultiplyTransposed(kernels::ConstRows x, int64_t columns_of_x, kernels::ConstRows y,
                        int64_t columns_of_y, int64_t num_rows, bool add, kernels::Rows out) {
  constexpr int64_t kBlock = kernels::kColumnBlock;
  at::parallel_for(0, (columns_of_y + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    kernels::MultiplyTransposed(x, columns_of_x, y, num_rows, begin * kBlock,
                                std::min(columns_of_y, end * kBlock), add, out);
  });
}

kernels::PackedMatrix Pack(kernels::ConstRows weight_OI, int64_t outputs, int64_t inputs,
                           kernels::Storage storage) {
  kernels::PackedMatrix packed(outputs, inputs, storage);
  at::parallel_for(0, packed.num_panels(), 1, [&](int64_t begin, int64_t end) {
    packed.Fill(weight_OI.data, weight_OI.stride, 1, begin, end);
  });
  return packed;
}

kernels::PackedMatrix PackTransposed(kernels::ConstRows weight_OI, int64_t outputs, int64_t inputs,
                                     kernels::Storage storage) {
  kernels::PackedMatrix packed(inputs, outputs, storage);
  at::parallel_for(0, packed.num_panels(), 1, [&](int64_t begin, int64_t end) {
    packed.FillTransposed(weight_OI.data, weight_OI.stride, 1, begin, end);
  });
  return packed;
}

}  // namespace jenner::model
