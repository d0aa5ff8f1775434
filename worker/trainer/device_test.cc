// What can be tested of devices without one: copies of a model, here from the CPU to the CPU, as
// evaluation makes them of a model on a GPU.
#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>

#include "worker/model/transformer.h"

namespace jenner::trainer {
namespace {

model::ModelConfig SmallConfig() {
  model::ModelConfig config;
  config.vocab_size = 50;
  config.hidden_size = 16;
  config.intermediate_size = 24;
  config.num_layers = 2;
  config.num_heads = 4;
  config.num_kv_heads = 2;
  config.head_dim = 4;
  config.max_positions = 32;
  return config;
}

model::LoraAdapter SmallAdapter() {
  core::LoraSpec spec;
  spec.rank = 2;
  spec.dropout = 0.25;
  auto adapter = model::LoraAdapter::Create(SmallConfig(), spec, 3, {});
  EXPECT_TRUE(adapter.ok()) << adapter.status();
  // New ones change nothing.
  at::NoGradGuard no_grad;
  for (const model::NamedTensor& one : adapter->Parameters()) one.tensor.add_(0.02);
  return *std::move(adapter);
}

const model::TokenBatch kBatch = {at::tensor({3, 1, 4, 1, 5, 9, 2}, at::kLong), {0, 4, 7}};

TEST(Device, ACopyComputesTheSameAndIsOfItsOwn) {
  auto transformer = model::Transformer::Random(SmallConfig(), core::Dtype::kBfloat16, 1);
  transformer->AttachAdapter(SmallAdapter());
  auto copy = transformer->CopyTo(at::kCPU);
  EXPECT_TRUE(at::equal(copy->Forward(kBatch), transformer->Forward(kBatch)));
  const at::Tensor before = copy->Forward(kBatch).clone();
  at::NoGradGuard no_grad;
  for (const model::NamedTensor& one : transformer->TrainableParameters()) one.tensor.add_(1);
  for (const model::NamedTensor& one : transformer->Parameters()) one.tensor.add_(1);
  transformer->ParametersChanged();
  copy->ParametersChanged();
  EXPECT_TRUE(at::equal(copy->Forward(kBatch), before));
  transformer->SetAdapterEnabled(false);
  EXPECT_EQ(transformer->CopyTo(at::kCPU)->active_adapter(), nullptr);
}

}  // namespace
}  // namespace jenner::trainer
