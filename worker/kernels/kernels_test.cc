// Kernels against sums in double, for every instruction set that this machine has; and the contract
// that a row's numbers do not depend on the rows beside it.
#include "worker/kernels/kernels.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>
#include <numbers>
#include <tuple>
#include <vector>

#include "worker/kernels/targets_test.h"

namespace jenner::kernels {
namespace {

INSTANTIATE_TEST_SUITE_P(Targets, KernelsTest, testing::ValuesIn(Targets()), TargetName);

// A product by either kind of weight.
void Product(const std::vector<float>& x, int64_t x_stride, int64_t begin, int64_t end,
             const PackedMatrix& weight, int64_t panel_begin, int64_t panel_end, bool add,
             Rows out) {
  if (weight.storage() == Storage::kFloat32) {
    Multiply({x.data(), x_stride}, begin, end, weight, panel_begin, panel_end, add, out);
    return;
  }
  const int64_t stride = (x_stride + 1) / 2 * 2;
  const auto rows = static_cast<int64_t>(x.size()) / x_stride;
  std::vector<uint16_t> x16(static_cast<size_t>(rows * stride), 0x7f80);  // infinity
  for (int64_t r = 0; r < rows; ++r)
    RoundToBfloat16(x.data() + r * x_stride, weight.inputs(), x16.data() + r * stride);
  Multiply({x16.data(), stride}, begin, end, weight, panel_begin, panel_end, add, out);
}

// What bfloat16 keeps of a number: 8 bits of its mantissa, ties to even.
float Rounded(float value) {
  int exponent = 0;
  const double mantissa = std::frexp(value, &exponent);
  return static_cast<float>(std::ldexp(std::nearbyint(mantissa * 256) / 256, exponent));
}

// [O, I + 2] to [I, O].
std::vector<float> Transposed(const std::vector<float>& weight, int64_t outputs, int64_t inputs) {
  std::vector<float> out;
  for (int64_t i = 0; i < inputs; ++i) {
    for (int64_t o = 0; o < outputs; ++o)
      out.push_back(weight[static_cast<size_t>(o * (inputs + 2) + i)]);
  }
  return out;
}

void ExpectSame(const PackedMatrix& a, const PackedMatrix& b) {
  ASSERT_EQ(a.panel_bytes(), b.panel_bytes());
  ASSERT_EQ(a.num_panels(), b.num_panels());
  EXPECT_EQ(
      std::memcmp(a.Panel(0), b.Panel(0), static_cast<size_t>(a.panel_bytes() * a.num_panels())),
      0);
}

TEST_P(KernelsTest, ProductsAreThoseOfDouble) {
  for (const int64_t outputs : {1, 16, 47, 48, 49, 130}) {
    for (const int64_t inputs : {1, 3, 64, 200}) {
      for (const Storage storage : {Storage::kFloat32, Storage::kBfloat16}) {
        constexpr int64_t kRows = 21;
        const int64_t x_stride = inputs + 3;
        const int64_t out_stride = outputs + 5;
        const std::vector<float> weight = Random(outputs * (inputs + 2), 1);
        const std::vector<float> x = Random(kRows * x_stride, 2);
        const PackedMatrix packed(weight.data(), outputs, inputs, inputs + 2, 0.5, storage);
        ExpectSame(packed, PackedMatrix::OfTransposed(Transposed(weight, outputs, inputs).data(),
                                                      outputs, inputs, outputs, 0.5, storage));
        ASSERT_EQ(packed.num_panels(),
                  (outputs + PackedMatrix::PanelWidth() - 1) / PackedMatrix::PanelWidth());
        for (const bool add : {false, true}) {
          std::vector<float> out(static_cast<size_t>(kRows * out_stride), 7);
          Product(x, x_stride, 0, kRows, packed, 0, packed.num_panels(), add,
                  {out.data(), out_stride});
          for (int64_t r = 0; r < kRows; ++r) {
            for (int64_t o = 0; o < out_stride; ++o) {
              double expected = o < outputs && !add ? 0 : 7;  // beyond the outputs: untouched
              double size = 7;
              for (int64_t i = 0; o < outputs && i < inputs; ++i) {
                const float half = 0.5f * weight[static_cast<size_t>(o * (inputs + 2) + i)];
                const float factor = x[static_cast<size_t>(r * x_stride + i)];
                const double term = storage == Storage::kFloat32
                                        ? static_cast<double>(half) * factor
                                        : static_cast<double>(Rounded(half)) * Rounded(factor);
                expected += term;
                size += std::abs(term);
              }
              ASSERT_NEAR(out[static_cast<size_t>(r * out_stride + o)], expected, 1e-6 * size)
                  << "row " << r << ", output " << o << " of " << outputs << ", inputs " << inputs;
            }
          }
        }
      }
    }
  }
}

TEST_P(KernelsTest, ARowDoesNotDependOnTheRowsBesideIt) {
  constexpr int64_t kInputs = 100;
  constexpr int64_t kOutputs = 200;
  constexpr int64_t kRows = 40;
  const std::vector<float> weight = Random(kOutputs * kInputs, 3);
  const std::vector<float> x = Random(kRows * kInputs, 4);
  for (const Storage storage : {Storage::kFloat32, Storage::kBfloat16}) {
    const PackedMatrix packed(weight.data(), kOutputs, kInputs, kInputs, 1, storage);
    const auto product = [&](int64_t begin, int64_t end) {
      std::vector<float> out(static_cast<size_t>(kRows * kOutputs));
      for (int64_t p = 0; p < packed.num_panels(); ++p) {
        Product(x, kInputs, begin, end, packed, p, p + 1, false, {out.data(), kOutputs});
      }
      return out;
    };
    const std::vector<float> all = product(0, kRows);
    for (int64_t r = 0; r < kRows; ++r) {
      for (const int64_t together : {1, 2, 3, 5, 7, 8, 11}) {
        const std::vector<float> some = product(r, std::min(kRows, r + together));
        ASSERT_TRUE(std::equal(all.begin() + r * kOutputs, all.begin() + (r + 1) * kOutputs,
                               some.begin() + r * kOutputs))
            << "row " << r << " of " << together;
      }
    }
  }
}

TEST_P(KernelsTest, ElementWise) {
  for (const int64_t size : {1, 15, 16, 17, 64, 83}) {
    const std::vector<float> x = Random(size, 5);
    const std::vector<float> y = Random(size, 6);
    const auto count = static_cast<size_t>(size);
    std::vector<float> out(count);
    RmsNorm(x.data(), y.data(), size, 1e-5, out.data());
    double squares = 0;
    for (const float value : x) squares += static_cast<double>(value) * value;
    for (size_t i = 0; i < count; ++i) {
      const double expected = x[i] / std::sqrt(squares / static_cast<double>(size) + 1e-5) * y[i];
      EXPECT_NEAR(out[i], expected, 2e-6 * (1 + std::abs(expected)));
    }
    std::vector<float> gate = x;
    gate[0] = -200;  // exp overflows
    std::vector<float> in_place = gate;
    SiluMultiply(gate.data(), y.data(), size, in_place.data());
    for (size_t i = 0; i < count; ++i) {
      const double expected = gate[i] / (1 + std::exp(-static_cast<double>(gate[i]))) * y[i];
      EXPECT_NEAR(in_place[i], expected, 1e-6 * (1 + std::abs(expected)));
    }
    gate[0] = size % 2 == 0 ? 50 : -50;
    in_place = gate;
    GeluMultiply(gate.data(), y.data(), size, in_place.data());
    for (size_t i = 0; i < count; ++i) {
      const double v = gate[i];
      const double inner = std::sqrt(2 / std::numbers::pi) * (v + 0.044715 * v * v * v);
      const double expected = v / 2 * (1 + std::tanh(inner)) * y[i];
      EXPECT_NEAR(in_place[i], expected, 1e-6 * (1 + std::abs(expected)));
    }
    std::vector<float> capped = gate;
    Softcap(2.5f, size, capped.data());
    for (size_t i = 0; i < count; ++i) EXPECT_NEAR(capped[i], 2.5 * std::tanh(gate[i] / 2.5), 1e-6);
    std::vector<float> sum = x;
    Add(y.data(), size, sum.data());
    for (size_t i = 0; i < count; ++i) EXPECT_EQ(sum[i], x[i] + y[i]);
  }
}

TEST_P(KernelsTest, RoundsToBfloat16) {
  std::vector<float> x = Random(1001, 10);
  x[0] = 1.00390625f;  // ties: to the even neighbour, 1
  x[1] = 1.01171875f;  // and 1.015625
  x[2] = std::numeric_limits<float>::infinity();
  x[3] = -0.0f;
  x[4] = std::numeric_limits<float>::max();  // overflows
  std::vector<uint16_t> out(1002, 1);
  RoundToBfloat16(x.data(), 1001, out.data());
  const auto value = [&](size_t i) {
    return std::bit_cast<float>(static_cast<uint32_t>(out[i]) << 16);
  };
  EXPECT_EQ(value(0), 1.0f);
  EXPECT_EQ(value(1), 1.015625f);
  EXPECT_EQ(value(2), x[2]);
  EXPECT_EQ(out[3], 0x8000);
  EXPECT_EQ(value(4), x[2]);
  for (size_t i = 5; i < x.size(); ++i) EXPECT_EQ(value(i), Rounded(x[i])) << x[i];
  EXPECT_EQ(out[1001], 0);
  x[0] = std::bit_cast<float>(0x7fffffffu);  // a NaN whose bits overflow
  RoundToBfloat16(x.data(), 1, out.data());
  EXPECT_TRUE(std::isnan(value(0)));
}

TEST_P(KernelsTest, RotatesHalves) {
  const std::vector<float> cos = {0.5f, -1.0f, 0.0f};
  const std::vector<float> sin = {0.25f, 0.0f, 1.0f};
  std::vector<float> x = {1, 2, 3, 4, 5, 6};
  Rotate(cos.data(), sin.data(), 3, x.data());
  EXPECT_EQ(x, (std::vector<float>{0.5f - 1.0f, -2, -6, 2 + 0.25f, -5, 3}));
}

TEST_P(KernelsTest, AttentionIsSoftmaxOverTheLength) {
  for (const int64_t group : {1, 3, 4, 6}) {
    for (const int64_t head_dim : {2, 16, 24, 64, 80}) {
      for (const auto& [first, length, softcap] : {std::tuple{0, 1, 0.0},
                                                   {0, 15, 0.0},
                                                   {0, 16, 0.0},
                                                   {0, 17, 0.0},
                                                   {0, 75, 0.0},
                                                   {0, 17, 1.5},
                                                   {14, 15, 0.0},
                                                   {16, 17, 0.0},
                                                   {31, 75, 0.0},
                                                   {50, 75, 1.5}}) {
        const int64_t capacity = (length + 2 * kKeyBlock) / kKeyBlock * kKeyBlock;
        const int64_t stride = ValueStride(head_dim);
        // What is beyond the length must not matter, whatever it is.
        std::vector<float> keys(static_cast<size_t>(capacity * head_dim),
                                std::numeric_limits<float>::quiet_NaN());
        std::vector<float> values(static_cast<size_t>(capacity * stride), 1e30f);
        const std::vector<float> k = Random(length * head_dim, 7);
        const std::vector<float> v = Random(length * head_dim, 8);
        const std::vector<float> q = Random(group * head_dim, 9);
        const auto at = [&](const std::vector<float>& from, int64_t row, int64_t e) {
          return static_cast<double>(from[static_cast<size_t>(row * head_dim + e)]);
        };
        for (int64_t l = 0; l < length; ++l) {
          for (int64_t e = 0; e < head_dim; ++e) {
            keys[static_cast<size_t>((l / kKeyBlock * head_dim + e) * kKeyBlock + l % kKeyBlock)] =
                static_cast<float>(at(k, l, e));
            values[static_cast<size_t>(l * stride + e)] = static_cast<float>(at(v, l, e));
          }
        }
        const auto scratch = hwy::AllocateAligned<float>(
            static_cast<size_t>(AttendScratch(group, head_dim, capacity)));
        std::vector<float> out(static_cast<size_t>(group * head_dim));
        const Sight sight{first, length, 0.3f, static_cast<float>(softcap)};
        Attend(q.data(), {keys.data(), values.data()}, group, head_dim, sight, scratch.get(),
               out.data());
        for (int64_t g = 0; g < group; ++g) {
          std::vector<double> weights(static_cast<size_t>(length));
          double total = 0;
          for (int64_t l = first; l < length; ++l) {
            double score = 0;
            for (int64_t e = 0; e < head_dim; ++e) score += 0.3 * at(q, g, e) * at(k, l, e);
            if (softcap != 0) score = softcap * std::tanh(score / softcap);
            total += weights[static_cast<size_t>(l)] = std::exp(score);
          }
          for (int64_t e = 0; e < head_dim; ++e) {
            double expected = 0;
            for (int64_t l = 0; l < length; ++l)
              expected += weights[static_cast<size_t>(l)] / total * at(v, l, e);
            ASSERT_NEAR(out[static_cast<size_t>(g * head_dim + e)], expected, 1e-5)
                << "group " << group << " head_dim " << head_dim << " length " << length;
          }
        }
      }
    }
  }
}

TEST_P(KernelsTest, ArgmaxTakesTheLowestOfATie) {
  for (const int64_t size : {1, 3, 16, 50, 100}) {
    std::vector<float> x(static_cast<size_t>(size), -3);
    for (int64_t i = 0; i < size; ++i) {
      x[static_cast<size_t>(i)] = 2;
      if (i + 1 < size) x.back() = 2;
      EXPECT_EQ(Argmax(x.data(), size), i) << size;
      std::fill(x.begin(), x.end(), -3.0f);
    }
    std::fill(x.begin(), x.end(), std::numeric_limits<float>::quiet_NaN());
    EXPECT_EQ(Argmax(x.data(), size), -1);
    std::fill(x.begin(), x.end(), -std::numeric_limits<float>::infinity());
    EXPECT_EQ(Argmax(x.data(), size), 0);
  }
}

}  // namespace
}  // namespace jenner::kernels
