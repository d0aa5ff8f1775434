// For tests of kernels: each instruction set that the kernels are compiled for and this machine
// has.
#ifndef JENNER_WORKER_KERNELS_TARGETS_TEST_H_
#define JENNER_WORKER_KERNELS_TARGETS_TEST_H_

#include <gtest/gtest.h>
#include <hwy/highway.h>
#include <hwy/targets.h>

#include <cstdint>
#include <random>
#include <string>
#include <vector>

namespace jenner::kernels {

inline std::vector<float> Random(int64_t size, uint64_t seed) {
  std::mt19937_64 random(seed);
  std::normal_distribution<float> normal;
  std::vector<float> values(static_cast<size_t>(size));
  for (float& value : values) value = normal(random);
  return values;
}

// Those that kernels.cc is compiled for and that this machine has.
inline std::vector<int64_t> Targets() {
  std::vector<int64_t> targets;
  hwy::SetSupportedTargetsForTest(0);
  for (const int64_t target :
       {int64_t{HWY_EMU128}, int64_t{HWY_SSE4}, int64_t{HWY_AVX2}, int64_t{HWY_AVX3}})
    if ((hwy::SupportedTargets() & target) != 0) targets.push_back(target);
  return targets;
}

class KernelsTest : public testing::TestWithParam<int64_t> {
 protected:
  void SetUp() override {
    hwy::SetSupportedTargetsForTest(GetParam());
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
  void TearDown() override {
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
  }
};
inline std::string TargetName(const testing::TestParamInfo<int64_t>& given) {
  return hwy::TargetName(given.param);
}

}  // namespace jenner::kernels

#endif  // JENNER_WORKER_KERNELS_TARGETS_TEST_H_
