// Counter-based random numbers: a pure function of a key and a counter, so that what is drawn does
// not depend on the order of draws, on threads, ranks or the composition of a batch. SplitMix64
// finalisers over key and counter; statistical quality is that of SplitMix64, nothing
// cryptographic.
#ifndef JENNER_WORKER_MODEL_COUNTER_RNG_H_
#define JENNER_WORKER_MODEL_COUNTER_RNG_H_

#include <cstdint>
#include <initializer_list>
#include <string_view>

namespace jenner::model {

inline constexpr uint64_t kGolden64 = 0x9E3779B97F4A7C15ull;

// The SplitMix64 finaliser: a bijection of 64-bit values.
constexpr uint64_t Mix64(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9ull;
  x = (x ^ (x >> 27)) * 0x94D049BB133111EBull;
  return x ^ (x >> 31);
}

// One key from several parts; the order counts.
constexpr uint64_t MakeKey(std::initializer_list<uint64_t> parts) {
  uint64_t key = 0x243F6A8885A308D3ull;
  for (uint64_t part : parts) key = Mix64(key + kGolden64 + Mix64(part + kGolden64));
  return key;
}

// FNV-1a of a name, to make a part of a key of it.
constexpr uint64_t NameKey(std::string_view name) {
  uint64_t hash = 0xCBF29CE484222325ull;
  for (char c : name) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001B3ull;
  return hash;
}

// 64 random bits number `counter` of stream `key`.
constexpr uint64_t RandomBits(uint64_t key, uint64_t counter) {
  return Mix64(key + (counter + 1) * kGolden64);
}

// Uniform in [0, 1) with 24 (float) or 53 (double) random bits.
constexpr float UniformFloat(uint64_t key, uint64_t counter) {
  return static_cast<float>(RandomBits(key, counter) >> 40) * 0x1p-24f;
}
constexpr double UniformDouble(uint64_t key, uint64_t counter) {
  return static_cast<double>(RandomBits(key, counter) >> 11) * 0x1p-53;
}

}  // namespace jenner::model

#endif  // JENNER_WORKER_MODEL_COUNTER_RNG_H_
