// Products, by the CPU's kernels and by ATen's operations, and their gradients against ATen's on
// float64 copies, with factors rounded where bfloat16 storage rounds them.
#include "worker/model/packed_linear.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>

#include <tuple>

#include "worker/model/adapted_linear.h"

namespace jenner::model {
namespace {

using kernels::Storage;

at::Tensor Leaf(at::IntArrayRef shape, bool trains = true) {
  return at::randn(shape).set_requires_grad(trains);
}

// As a product with this storage sees it.
at::Tensor Seen(const at::Tensor& x, Storage storage) {
  const at::Tensor plain = x.detach();
  return (storage == Storage::kBfloat16 ? plain.to(at::kBFloat16) : plain).to(at::kDouble);
}

void ExpectNear(const at::Tensor& got, const at::Tensor& want) {
  ASSERT_EQ(got.sizes(), want.sizes());
  const double largest = want.numel() == 0 ? 1 : want.abs().max().item<double>();
  EXPECT_LE((got.to(at::kDouble) - want).abs().max().item<double>(), 2e-6 * std::max(1.0, largest));
}

struct Case {
  int64_t rows, inputs, outputs;
  Storage storage;
};

std::vector<Case> Cases() {
  std::vector<Case> cases;
  for (const Storage storage : {Storage::kFloat32, Storage::kBfloat16}) {
    for (const int64_t rows : {1, 7, 8, 9, 70}) {
      for (const auto& [inputs, outputs] : {std::pair{33, 57}, {64, 130}})
        cases.push_back({rows, inputs, outputs, storage});
    }
  }
  return cases;
}

// Two adapted parts of other ranks with columns between them that have none; one may be frozen.
void ExpectAdaptedProductAndItsGradients(bool by_operations) {
  at::manual_seed(1);
  for (const Case& c : Cases()) {
    if (by_operations && c.storage != Storage::kFloat32) continue;
    for (const bool second_trains : {true, false}) {
      const at::Tensor weight = at::randn({c.outputs, c.inputs});
      const at::Tensor bias = at::randn({c.outputs});
      const at::Tensor x = Leaf({c.rows, c.inputs});
      const at::Tensor g = at::randn({c.rows, c.outputs});
      const std::vector<LoraPart> parts = {
          {Leaf({3, c.inputs}), Leaf({20, 3}), 2.0, 0},
          {Leaf({17, c.inputs}, second_trains), Leaf({25, 17}, second_trains), 0.5, 30}};
      const auto packed = std::make_shared<const PackedLinear>(weight, c.storage);
      const at::Tensor y =
          by_operations ? AdaptedLinear(weight, bias, x, parts) : Multiply(packed, x, bias, parts);
      y.backward(g);
      at::Tensor want_y = Seen(x, c.storage).mm(Seen(weight, c.storage).t()) + bias.to(at::kDouble);
      at::Tensor want_dx = Seen(g, c.storage).mm(Seen(weight, c.storage));
      const at::Tensor x64 = x.detach().to(at::kDouble);
      for (const LoraPart& part : parts) {
        const at::Tensor a = part.a_RI.detach().to(at::kDouble);
        const at::Tensor b = part.b_OR.detach().to(at::kDouble) * part.scale;
        const at::Tensor g_part = g.to(at::kDouble).narrow(1, part.out_begin, b.size(0));
        want_y.narrow(1, part.out_begin, b.size(0)) += x64.mm(a.t()).mm(b.t());
        const at::Tensor d_low = g_part.mm(b);
        want_dx += d_low.mm(a);
        if (!part.a_RI.requires_grad()) {
          EXPECT_FALSE(part.a_RI.grad().defined() || part.b_OR.grad().defined());
          continue;
        }
        ExpectNear(part.a_RI.grad(), d_low.t().mm(x64));
        ExpectNear(part.b_OR.grad(), g_part.t().mm(x64.mm(a.t())) * part.scale);
      }
      ExpectNear(y.detach(), want_y);
      ExpectNear(x.grad(), want_dx);
    }
  }
}

TEST(PackedLinearTest, AdaptedProductAndItsGradients) {
  ExpectAdaptedProductAndItsGradients(/*by_operations=*/false);
}

TEST(AdaptedLinearTest, ProductAndItsGradients) {
  ExpectAdaptedProductAndItsGradients(/*by_operations=*/true);
}

// Rounded to 8 bits twice, which is the product by W, and the sum.
TEST(AdaptedLinearTest, Bfloat16IsNear) {
  at::manual_seed(3);
  const at::Tensor weight = at::randn({40, 33}).to(at::kBFloat16);
  const at::Tensor values = at::randn({9, 33}).to(at::kBFloat16);
  const at::Tensor g = at::randn({9, 40}).to(at::kBFloat16);
  const LoraPart part = {Leaf({3, 33}), Leaf({20, 3}), 0.5, 10};
  std::vector<at::Tensor> found[2];
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const at::Tensor x = values.to(type).clone().set_requires_grad(true);
    part.a_RI.mutable_grad() = part.b_OR.mutable_grad() = at::Tensor();
    const at::Tensor y = AdaptedLinear(weight.to(type), {}, x, {part});
    EXPECT_EQ(y.scalar_type(), type);
    y.backward(g.to(type));
    found[type == at::kFloat ? 0 : 1] = {y.detach(), x.grad(), part.a_RI.grad(), part.b_OR.grad()};
  }
  for (size_t i = 0; i < found[0].size(); ++i) {
    const at::Tensor difference = found[1][i].to(at::kFloat) - found[0][i];
    EXPECT_LE(difference.abs().max().item<double>(),
              0x1p-7 * found[0][i].abs().max().item<double>())
        << i;
  }
}

TEST(PackedLinearTest, TrainedProductAndItsGradients) {
  at::manual_seed(2);
  for (const Case& c : Cases()) {
    const at::Tensor weight = at::randn({c.outputs, c.inputs});
    const at::Tensor bias = at::randn({c.outputs});
    std::vector<at::Tensor> leaves, biases;
    for (const auto& [begin, height] : {std::pair(int64_t{0}, int64_t{40}), {40, c.outputs - 40}}) {
      leaves.push_back(weight.narrow(0, begin, height).detach().set_requires_grad(true));
      biases.push_back(bias.narrow(0, begin, height).detach().set_requires_grad(true));
    }
    const at::Tensor x = Leaf({c.rows, c.inputs});
    const at::Tensor g = at::randn({c.rows, c.outputs});
    const at::Tensor y = MultiplyTrained(weight, leaves, bias, biases, c.storage, x);
    y.backward(g);
    ExpectNear(y.detach(),
               Seen(x, c.storage).mm(Seen(weight, c.storage).t()) + bias.to(at::kDouble));
    ExpectNear(x.grad(), Seen(g, c.storage).mm(Seen(weight, c.storage)));
    ExpectNear(at::cat({leaves[0].grad(), leaves[1].grad()}, 0),
               Seen(g, c.storage).t().mm(Seen(x, c.storage)));
    ExpectNear(at::cat({biases[0].grad(), biases[1].grad()}, 0), g.to(at::kDouble).sum(0));
  }
}

}  // namespace
}  // namespace jenner::model
