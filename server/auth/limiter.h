// Limiter: how many calls a principal may make and how many streams it may have open. Pure: the
// time is handed in. Not thread-safe. Holds at most kMaxPrincipals buckets; of more, full ones are
// forgotten first, which changes nothing.
#ifndef JENNER_SERVER_AUTH_LIMITER_H_
#define JENNER_SERVER_AUTH_LIMITER_H_

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "absl/time/time.h"

namespace jenner::auth {

// A token bucket: `burst` calls at once, `per_second` on average.
struct Rate {
  double per_second = 50;
  double burst = 200;
};

class Limiter {
 public:
  static constexpr size_t kMaxPrincipals = 20'000;

  Limiter(Rate rate, int max_streams) : rate_(rate), max_streams_(max_streams) {}

  // Nullopt: the call is counted and may go on. Else how long to wait before the next try.
  std::optional<absl::Duration> Take(const std::string& principal, absl::Time now);

  // False: it has as many open as it may.
  bool OpenStream(const std::string& principal);
  void CloseStream(const std::string& principal);

 private:
  struct Bucket {
    double calls = 0;  // that may be made now
    absl::Time at;
  };
  double Level(const Bucket& bucket, absl::Time now) const;
  void Forget(absl::Time now);

  const Rate rate_;
  const int max_streams_;
  std::map<std::string, Bucket> buckets_;
  std::map<std::string, int> streams_;
};

}  // namespace jenner::auth

#endif  // JENNER_SERVER_AUTH_LIMITER_H_
