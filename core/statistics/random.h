// Random numbers by counter: the i-th number of a stream is a function of (seed, stream, i), so
// that results do not hang on the order or the thread in which they are computed.
#ifndef JENNER_CORE_STATISTICS_RANDOM_H_
#define JENNER_CORE_STATISTICS_RANDOM_H_

#include <cstdint>

namespace jenner::statistics {

// What resampling uses unless told otherwise.
inline constexpr uint64_t kSeed = 20251005;

// The finalizer of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, variant 13 of Stafford's).
inline uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9ULL;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebULL;
  return x ^ (x >> 31);
}

// SplitMix64 whose start follows from seed and stream. A value type; not thread-safe, copies are
// cheap.
class CounterRng {
 public:
  CounterRng(uint64_t seed, uint64_t stream) : state_(Mix(Mix(seed + kStep) ^ Mix(~stream))) {}

  uint64_t Next() { return Mix(state_ += kStep); }
  // Uniform in [0, n); the bias is below n / 2^32. REQUIRES: 0 < n < 2^32.
  uint32_t Below(uint32_t n) { return static_cast<uint32_t>(((Next() >> 32) * uint64_t{n}) >> 32); }
  // Uniform in (0, 1).
  double Uniform() { return (static_cast<double>(Next() >> 12) + 0.5) * 0x1p-52; }

 private:
  static constexpr uint64_t kStep = 0x9e3779b97f4a7c15ULL;
  uint64_t state_;
};

}  // namespace jenner::statistics

#endif  // JENNER_CORE_STATISTICS_RANDOM_H_
