// Every target over its corpus, and over what is near to it: each seed cut short, and with a byte
// changed.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <vector>

#include "tests/fuzz/target.h"

namespace jenner::fuzz {

std::map<std::string, Target>& Targets() {
  static auto* const targets = new std::map<std::string, Target>;
  return *targets;
}

namespace {

constexpr size_t kCuts = 32;  // of each seed

std::string ReadFile(const std::filesystem::path& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
}

class ReplayTest : public ::testing::TestWithParam<std::string> {};

TEST_P(ReplayTest, TakesEverySeedAndWhatIsNearIt) {
  const Target target = Targets().at(GetParam());
  std::vector<std::filesystem::path> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(
           std::string(JENNER_SOURCE_DIR) + "/tests/fuzz/corpus/" + GetParam())) {
    seeds.push_back(entry.path());
  }
  std::sort(seeds.begin(), seeds.end());
  ASSERT_FALSE(seeds.empty());
  target("");
  for (const std::filesystem::path& seed : seeds) {
    SCOPED_TRACE(seed.string());
    const std::string whole = ReadFile(seed);
    target(whole);
    const size_t stride = whole.size() / kCuts + 1;
    for (size_t at = 0; at < whole.size(); at += stride) {
      target(whole.substr(0, at));
      std::string changed = whole;
      changed[at] = static_cast<char>(changed[at] ^ 0x15);
      target(changed);
    }
  }
}

std::vector<std::string> Names() {
  std::vector<std::string> names;
  for (const auto& [name, target] : Targets()) names.push_back(name);
  return names;
}

INSTANTIATE_TEST_SUITE_P(All, ReplayTest, ::testing::ValuesIn(Names()),
                         [](const auto& given) { return given.param; });

}  // namespace
}  // namespace jenner::fuzz
