// A weight in the order that kernels read it. Legend: O outputs, I inputs.
#ifndef JENNER_WORKER_KERNELS_PACKED_MATRIX_H_
#define JENNER_WORKER_KERNELS_PACKED_MATRIX_H_

#include <hwy/aligned_allocator.h>

#include <cstdint>

namespace jenner::kernels {

// What a weight is kept as, and what it is multiplied by. Sums are float32 either way.
enum class Storage { kFloat32, kBfloat16 };

// A weight [O, I], reordered into panels: PanelWidth() outputs, input by input (bfloat16: pair of
// inputs by pair), so that a product reads it from front to back. A value; as large as the weight,
// rounded up to whole panels.
class PackedMatrix {
 public:
  PackedMatrix() = default;
  // Zeros, to be filled.
  PackedMatrix(int64_t outputs, int64_t inputs, Storage storage);
  // Copies `weight_OI` (row-major, `stride` between rows), times `scale`.
  PackedMatrix(const float* weight_OI, int64_t outputs, int64_t inputs, int64_t stride,
               double scale, Storage storage);
  // Likewise of its transpose.
  static PackedMatrix OfTransposed(const float* weight_IO, int64_t outputs, int64_t inputs,
                                   int64_t stride, double scale, Storage storage);
  // Panels [begin, end) only: several threads may fill different ones.
  void Fill(const float* weight_OI, int64_t stride, double scale, int64_t begin, int64_t end);
  void FillTransposed(const float* weight_IO, int64_t stride, double scale, int64_t begin,
                      int64_t end);
  int64_t outputs() const { return outputs_; }
  int64_t inputs() const { return inputs_; }
  int64_t num_panels() const { return num_panels_; }
  // Outputs of a panel on this machine; only the last panel may have fewer.
  static int64_t PanelWidth();

  // Panel `panel`: float [I, PanelWidth()], or bfloat16 [I / 2 rounded up, PanelWidth(), 2]; zero
  // where there are no more outputs or inputs.
  const void* Panel(int64_t panel) const { return data_.get() + panel * panel_bytes_; }
  int64_t panel_bytes() const { return panel_bytes_; }
  Storage storage() const { return storage_; }

 private:
  int64_t outputs_ = 0;
  int64_t inputs_ = 0;
  int64_t num_panels_ = 0;
  int64_t panel_bytes_ = 0;
  Storage storage_ = Storage::kFloat32;
  hwy::AlignedFreeUniquePtr<uint8_t[]> data_;
};

}  // namespace jenner::kernels

#endif  // JENNER_WORKER_KERNELS_PACKED_MATRIX_H_
