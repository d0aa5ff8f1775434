#include "worker/trainer/loss.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include <memory>

namespace jenner::trainer {
namespace {

struct Problem {
  at::Tensor hidden_MD, head_VD, targets_M;
};

Problem Make(int64_t m, int64_t d, int64_t v, double scale = 1) {
  at::manual_seed(5);
  return {at::randn({m, d}) * scale, at::randn({v, d}), at::randint(v, {m}, at::kLong)};
}

// By ATen's own loss, in float64.
double Reference(const Problem& p) {
  return at::cross_entropy_loss(at::mm(p.hidden_MD.to(at::kDouble), p.head_VD.to(at::kDouble).t()),
                                p.targets_M, {}, at::Reduction::Sum)
      .item<double>();
}

TEST(SumCrossEntropy, EqualsTheUnfusedLossForAnyChunk) {
  const Problem p = Make(13, 8, 31);
  const double expected = Reference(p);
  for (const int64_t chunk : {1, 4, 13, 100}) {
    const double got =
        SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M, {}, chunk).item<double>();
    EXPECT_NEAR(got, expected, 1e-6 * expected) << chunk;
  }
}

TEST(SumCrossEntropy, GradientsEqualAutogradsAndScaleWithTheUpstream) {
  for (const int64_t chunk : {4, 100}) {
    Problem p = Make(13, 8, 31);
    p.hidden_MD.requires_grad_();
    p.head_VD.requires_grad_();
    (SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M, {}, chunk) / 7.0).backward();
    const at::Tensor d_hidden = p.hidden_MD.grad().clone(), d_head = p.head_VD.grad().clone();
    p.hidden_MD.mutable_grad() = at::Tensor();
    p.head_VD.mutable_grad() = at::Tensor();
    (at::cross_entropy_loss(at::mm(p.hidden_MD, p.head_VD.t()), p.targets_M, {},
                            at::Reduction::Sum) /
     7.0)
        .backward();
    EXPECT_LT((d_hidden - p.hidden_MD.grad()).norm().item<double>(),
              1e-6 * d_hidden.norm().item<double>());
    EXPECT_LT((d_head - p.head_VD.grad()).norm().item<double>(),
              1e-6 * d_head.norm().item<double>());
  }
}

TEST(SumCrossEntropy, WeightsMultiplyEachPositionAndItsGradient) {
  Problem p = Make(13, 8, 31);
  p.hidden_MD.requires_grad_();
  p.head_VD.requires_grad_();
  const at::Tensor weights_M = at::arange(p.targets_M.size(0), at::kFloat) * 0.25;
  const at::Tensor losses_M = -at::log_softmax(p.hidden_MD.mm(p.head_VD.t()), 1)
                                   .gather(1, p.targets_M.unsqueeze(1))
                                   .squeeze(1);
  (losses_M * weights_M).sum().backward();
  const at::Tensor d_hidden = p.hidden_MD.grad().clone(), d_head = p.head_VD.grad().clone();
  p.hidden_MD.mutable_grad() = at::Tensor();
  p.head_VD.mutable_grad() = at::Tensor();
  const at::Tensor got = SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M, weights_M, 3);
  EXPECT_NEAR(got.item<double>(), (losses_M * weights_M).sum().item<double>(), 1e-4);
  got.backward();
  EXPECT_TRUE(at::allclose(p.hidden_MD.grad(), d_hidden, 1e-4, 1e-5));
  EXPECT_TRUE(at::allclose(p.head_VD.grad(), d_head, 1e-4, 1e-5));
}

TEST(LogProbabilities, EqualLogSoftmax) {
  const Problem p = Make(13, 8, 31);
  const at::Tensor want = at::log_softmax(p.hidden_MD.mm(p.head_VD.t()), 1)
                              .gather(1, p.targets_M.unsqueeze(1))
                              .squeeze(1);
  EXPECT_TRUE(
      at::allclose(LogProbabilities(p.hidden_MD, {p.head_VD}, p.targets_M, 3), want, 1e-5, 1e-5));
}

// Central differences along random directions, in float64 arithmetic of the reference: the
// derivative of what the function computes is what it says.
TEST(SumCrossEntropy, GradientsEqualFiniteDifferences) {
  Problem p = Make(6, 5, 11);
  p.hidden_MD.requires_grad_();
  p.head_VD.requires_grad_();
  SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M, {}, 4).backward();
  at::NoGradGuard no_grad;
  constexpr double kStep = 1e-4;
  for (const bool of_head : {false, true}) {
    const at::Tensor& leaf = of_head ? p.head_VD : p.hidden_MD;
    for (int trial = 0; trial < 5; ++trial) {
      const at::Tensor direction = at::randn(leaf.sizes(), at::kDouble);
      const auto at_offset = [&](double h) {
        Problem q = p;
        (of_head ? q.head_VD : q.hidden_MD) = leaf.to(at::kDouble) + h * direction;
        return Reference(q);
      };
      const double numeric = (at_offset(kStep) - at_offset(-kStep)) / (2 * kStep);
      const double analytic = (leaf.grad().to(at::kDouble) * direction).sum().item<double>();
      EXPECT_NEAR(analytic, numeric, 1e-5 * std::max(1.0, std::abs(numeric)));
    }
  }
}

TEST(SumCrossEntropy, StaysFiniteForHugeLogits) {
  const Problem p = Make(9, 8, 31, 1e4);
  const double got = SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M).item<double>();
  EXPECT_NEAR(got, Reference(p), 1e-5 * got);
}

TEST(SumCrossEntropy, FrozenHeadGetsNoGradientAndNoPositionsGiveZero) {
  Problem p = Make(4, 8, 31);
  p.hidden_MD.requires_grad_();
  SumCrossEntropy(p.hidden_MD, {p.head_VD}, p.targets_M).backward();
  EXPECT_FALSE(p.head_VD.grad().defined());
  EXPECT_EQ(
      SumCrossEntropy(at::zeros({0, 8}), {p.head_VD}, at::zeros({0}, at::kLong)).item<double>(), 0);
}

// Every kind of head: frozen and packed or trained, capped or not, weighted or not, of more columns
// than a panel has, with factors rounded or not.
TEST(SumCrossEntropy, EveryHeadGivesAutogradsLossAndGradients) {
  for (const auto storage : {kernels::Storage::kFloat32, kernels::Storage::kBfloat16}) {
    const bool rounds = storage == kernels::Storage::kBfloat16;
    for (const double softcap : {0.0, 3.0}) {
      for (const bool is_packed : {true, false}) {
        for (const bool is_weighted : {true, false}) {
          const Problem p = Make(13, 8, 131);
          const at::Tensor weights_M = is_weighted ? at::rand({13}) : at::Tensor();
          const auto seen = [&](const at::Tensor& x) {
            return (rounds ? x.detach().to(at::kBFloat16) : x.detach()).to(at::kDouble);
          };
          at::Tensor hidden_MD = p.hidden_MD.clone().requires_grad_();
          at::Tensor head_VD = p.head_VD.clone().set_requires_grad(!is_packed);
          model::Head head{head_VD, softcap, storage};
          if (is_packed) head.packed = std::make_shared<model::PackedLinear>(p.head_VD, storage);
          const at::Tensor loss =
              SumCrossEntropy(hidden_MD, head, p.targets_M, weights_M, /*chunk=*/5);
          loss.backward();
          const at::Tensor hidden64 = seen(p.hidden_MD).requires_grad_();
          const at::Tensor head64 = seen(p.head_VD).requires_grad_();
          at::Tensor logits_MV = hidden64.mm(head64.t());
          if (softcap != 0) logits_MV = at::tanh(logits_MV / softcap) * softcap;
          const at::Tensor losses_M =
              -at::log_softmax(logits_MV, 1).gather(1, p.targets_M.unsqueeze(1)).squeeze(1);
          const at::Tensor want =
              (is_weighted ? losses_M * weights_M.to(at::kDouble) : losses_M).sum();
          want.backward();
          EXPECT_NEAR(loss.item<double>(), want.item<double>(), 1e-6 * want.item<double>());
          // The gradient of the logits is rounded, too, before it is a factor.
          const double tolerance = rounds ? 4e-3 : 1e-6;
          EXPECT_LT((hidden_MD.grad() - hidden64.grad()).norm().item<double>(),
                    tolerance * hidden64.grad().norm().item<double>());
          if (!is_packed) {
            EXPECT_LT((head_VD.grad() - head64.grad()).norm().item<double>(),
                      tolerance * head64.grad().norm().item<double>());
          }
          EXPECT_TRUE(at::allclose(LogProbabilities(p.hidden_MD, head, p.targets_M, 5),
                                   -losses_M.detach().to(at::kFloat), 1e-5, 1e-5));
        }
      }
    }
  }
}

}  // namespace
}  // namespace jenner::trainer
