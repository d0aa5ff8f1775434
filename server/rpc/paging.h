// Pages of lists: sizes, and tokens that are opaque, bound to the arguments of the call that gave
// them, and hold a position, so that they stay good when rows come and go. Pure.
#ifndef JENNER_SERVER_RPC_PAGING_H_
#define JENNER_SERVER_RPC_PAGING_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"

namespace jenner::rpc {

inline constexpr int32_t kDefaultPageSize = 50;
inline constexpr int32_t kMaxPageSize = 1000;
// A page ends early when its messages are this large together.
inline constexpr int64_t kMaxPageBytes = int64_t{4} << 20;

// 0 is the default, more than the maximum is the maximum. InvalidArgument: negative.
absl::StatusOr<int32_t> PageSize(int32_t asked);

// `arguments`: whatever must be the same on the next page (page_size and page_token are not).
std::string PageToken(const std::string& arguments, const std::vector<std::string>& position);
// The position; empty for the token "". InvalidArgument: not a token of this call with `arguments`,
// or not of `size` parts.
absl::StatusOr<std::vector<std::string>> PagePosition(const std::string& arguments,
                                                      const std::string& token, size_t size);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_PAGING_H_
