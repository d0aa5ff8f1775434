#include "server/auth/limiter.h"

#include <algorithm>

namespace jenner::auth {

double Limiter::Level(const Bucket& bucket, absl::Time now) const {
  const double seconds = std::max(0.0, absl::ToDoubleSeconds(now - bucket.at));
  return std::min(rate_.burst, bucket.calls + seconds * rate_.per_second);
}

void Limiter::Forget(absl::Time now) {
  std::erase_if(buckets_, [&](const auto& one) { return Level(one.second, now) >= rate_.burst; });
  if (buckets_.size() >= kMaxPrincipals) buckets_.clear();
}

std::optional<absl::Duration> Limiter::Take(const std::string& principal, absl::Time now) {
  if (buckets_.size() >= kMaxPrincipals && buckets_.count(principal) == 0) Forget(now);
  Bucket& bucket = buckets_.try_emplace(principal, Bucket{rate_.burst, now}).first->second;
  bucket.calls = Level(bucket, now);
  bucket.at = now;
  if (bucket.calls < 1) return absl::Seconds((1 - bucket.calls) / rate_.per_second);
  bucket.calls -= 1;
  return std::nullopt;
}

bool Limiter::OpenStream(const std::string& principal) {
  int& count = streams_[principal];
  if (count >= max_streams_) return false;
  ++count;
  return true;
}

void Limiter::CloseStream(const std::string& principal) {
  const auto found = streams_.find(principal);
  if (found != streams_.end() && --found->second <= 0) streams_.erase(found);
}

}  // namespace jenner::auth
