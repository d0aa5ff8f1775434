#include "core/module_pattern.h"

#include <gtest/gtest.h>

namespace jenner::core {
namespace {

constexpr char kPath[] = "model.layers.10.self_attn.q_proj";

TEST(ModulePattern, FitsTheEndOfAPathBehindADot) {
  EXPECT_TRUE(FitsModule("q_proj", kPath));
  EXPECT_TRUE(FitsModule("layers.10.self_attn.q_proj", kPath));
  EXPECT_TRUE(FitsModule(kPath, kPath));
  EXPECT_TRUE(FitsModule(R"(layers\.\d+\..*)", kPath));
  EXPECT_TRUE(FitsModule("k_proj|q_proj", kPath));
  EXPECT_FALSE(FitsModule("proj", kPath));                 // not behind a dot
  EXPECT_FALSE(FitsModule("0.self_attn.q_proj", kPath));   // likewise
  EXPECT_FALSE(FitsModule("layers.10.self_attn", kPath));  // not to the end
}

TEST(ModulePattern, FaultIsNamed) {
  EXPECT_EQ(FaultOfModulePattern("mlp.*"), "");
  EXPECT_NE(FaultOfModulePattern("\\Qq_proj"), "");
  EXPECT_EQ(FaultOfModulePattern("mlp["), "no regular expression (RE2): missing ]: [");
}

}  // namespace
}  // namespace jenner::core
