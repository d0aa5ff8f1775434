// Payloads of the event log: DataLoss, or an event that is written as it was read.
#include "server/store/event_codec.h"
#include "tests/fuzz/target.h"

JENNER_FUZZ_TARGET(event_log) {
  const absl::Time time = absl::FromUnixSeconds(1'700'000'000);
  const auto event = jenner::store::DecodeEvent(input, time);
  if (!event.ok()) {
    JENNER_CHECK(absl::IsDataLoss(event.status()));
    return;
  }
  const std::string payload = jenner::store::EncodeEvent(*event);
  const auto again = jenner::store::DecodeEvent(payload, time);
  JENNER_CHECK(again.ok() && jenner::store::EncodeEvent(*again) == payload);
}
