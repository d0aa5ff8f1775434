// The header of a safetensors file: what is taken covers the file, byte for byte.
#include "tests/fuzz/target.h"
#include "worker/model/safetensors_header.h"

JENNER_FUZZ_TARGET(safetensors) {
  const auto header = jenner::model::ParseSafetensorsHeader(input, input.size(), "f");
  if (!header.ok()) {
    JENNER_CHECK(absl::IsDataLoss(header.status()) || absl::IsInvalidArgument(header.status()));
    return;
  }
  JENNER_CHECK(header->data_begin <= input.size());
  uint64_t bytes = 0;
  for (const auto& [name, entry] : header->entries) {
    JENNER_CHECK(entry.begin <= entry.end && entry.end <= input.size() - header->data_begin);
    bytes += entry.end - entry.begin;
  }
  JENNER_CHECK(bytes == input.size() - header->data_begin);
}
