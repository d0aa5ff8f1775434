#include "worker/kernels/packed_matrix.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <new>
#include <vector>

#include "worker/kernels/kernels.h"

namespace jenner::kernels {

PackedMatrix::PackedMatrix(int64_t outputs, int64_t inputs, Storage storage)
    : outputs_(outputs), inputs_(inputs), storage_(storage) {
  const int64_t width = PanelWidth();
  num_panels_ = (outputs + width - 1) / width;
  panel_bytes_ = (storage == Storage::kFloat32 ? inputs : (inputs + 1) / 2) * width * 4;
  const auto size = static_cast<size_t>(num_panels_ * panel_bytes_);
  data_ = hwy::AllocateAligned<uint8_t>(std::max<size_t>(size, 1));
  if (data_ == nullptr) throw std::bad_alloc();
  std::memset(data_.get(), 0, size);
}

PackedMatrix::PackedMatrix(const float* weight_OI, int64_t outputs, int64_t inputs, int64_t stride,
                           double scale, Storage storage)
    : PackedMatrix(outputs, inputs, storage) {
  Fill(weight_OI, stride, scale, 0, num_panels_);
}

PackedMatrix PackedMatrix::OfTransposed(const float* weight_IO, int64_t outputs, int64_t inputs,
                                        int64_t stride, double scale, Storage storage) {
  PackedMatrix made(outputs, inputs, storage);
  made.FillTransposed(weight_IO, stride, scale, 0, made.num_panels_);
  return made;
}

void PackedMatrix::Fill(const float* weight_OI, int64_t stride, double scale, int64_t begin,
                        int64_t end) {
  // So many inputs of all columns are written together that their lines stay in the cache.
  constexpr int64_t kBlock = 64;
  const int64_t width = PanelWidth();
  std::array<float, kBlock> numbers{};
  std::array<uint16_t, kBlock> rounded{};
  for (int64_t p = begin; p < end; ++p) {
    uint8_t* panel = data_.get() + p * panel_bytes_;
    const int64_t columns = std::min(width, outputs_ - p * width);
    for (int64_t first = 0; first < inputs_; first += kBlock) {
      const int64_t count = std::min(kBlock, inputs_ - first);
      for (int64_t c = 0; c < columns; ++c) {
        const float* row = weight_OI + (p * width + c) * stride + first;
        if (storage_ == Storage::kFloat32) {
          float* out = reinterpret_cast<float*>(panel) + first * width + c;
          if (scale == 1) {
            for (int64_t i = 0; i < count; ++i) out[i * width] = row[i];
          } else {
            for (int64_t i = 0; i < count; ++i) out[i * width] = static_cast<float>(row[i] * scale);
          }
          continue;
        }
        for (int64_t i = 0; i < count; ++i)
          numbers[static_cast<size_t>(i)] = static_cast<float>(row[i] * scale);
        rounded.fill(0);
        RoundToBfloat16(numbers.data(), count / 2 * 2, rounded.data());
        if (count % 2 != 0)
          RoundToBfloat16(&numbers[static_cast<size_t>(count - 1)], 1,
                          &rounded[static_cast<size_t>(count - 1)]);
        for (int64_t i = 0; i < count; i += 2) {
          std::memcpy(panel + ((first + i) / 2 * width + c) * 4, &rounded[static_cast<size_t>(i)],
                      4);
        }
      }
    }
  }
}

void PackedMatrix::FillTransposed(const float* weight_IO, int64_t stride, double scale,
                                  int64_t begin, int64_t end) {
  const int64_t width = PanelWidth();
  std::vector<float> numbers(static_cast<size_t>(width));
  std::vector<uint16_t> even(static_cast<size_t>(width) + 1), odd(even.size());
  for (int64_t p = begin; p < end; ++p) {
    uint8_t* panel = data_.get() + p * panel_bytes_;
    const int64_t columns = std::min(width, outputs_ - p * width);
    const auto scaled = [&](int64_t i, float* out) {
      const float* row = weight_IO + i * stride + p * width;
      if (scale == 1) {
        std::memcpy(out, row, static_cast<size_t>(columns) * sizeof(float));
      } else {
        for (int64_t c = 0; c < columns; ++c) out[c] = static_cast<float>(row[c] * scale);
      }
    };
    if (storage_ == Storage::kFloat32) {
      for (int64_t i = 0; i < inputs_; ++i) scaled(i, reinterpret_cast<float*>(panel) + i * width);
      continue;
    }
    for (int64_t i = 0; i < inputs_; i += 2) {
      scaled(i, numbers.data());
      RoundToBfloat16(numbers.data(), columns, even.data());
      if (i + 1 < inputs_) {
        scaled(i + 1, numbers.data());
        RoundToBfloat16(numbers.data(), columns, odd.data());
      } else {
        std::fill(odd.begin(), odd.end(), uint16_t{0});
      }
      auto* pairs = reinterpret_cast<uint32_t*>(panel) + i / 2 * width;
      for (int64_t c = 0; c < columns; ++c) {
        const auto at = static_cast<size_t>(c);
        pairs[c] = even[at] | static_cast<uint32_t>(odd[at]) << 16;
      }
    }
  }
}

}  // namespace jenner::kernels
