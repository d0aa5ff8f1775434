#include "worker/model/products.h"

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
          Multiply(x, row_begin, row_end, *product.weight, panel, panel + 1, product.add,
                   product.out);
        } else {
          Multiply(x16, row_begin, row_end, *product.weight, panel, panel + 1, product.add,
                   product.out);
        }
        at += together;
      }
      first += count;
    }
  });
}

void Transpose(kernels::ConstRows x, int64_t num_rows, int64_t width, kernels::Rows out) {
  constexpr int64_t kBlock = 32;  // squares that fit the innermost cache
  at::parallel_for(0, (width + kBlock - 1) / kBlock, 1, [&](int64_t begin, int64_t end) {
    for (int64_t left = begin * kBlock; left < std::min(width, end * kBlock); left += kBlock) {
      const int64_t right = std::min(width, left + kBlock);
      for (int64_t top = 0; top < num_rows; top += kBlock) {
        const int64_t bottom = std::min(num_rows, top + kBlock);
        for (int64_t i = left; i < right; ++i) {
          for (int64_t n = top; n < bottom; ++n)
            out.data[i * out.stride + n] = x.data[n * x.stride + i];
        }
      }
    }
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
