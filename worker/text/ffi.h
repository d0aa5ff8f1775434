// Turns what the Rust archive returns into C++ values. Internal to worker/text and worker/score.
#ifndef JENNER_WORKER_TEXT_FFI_H_
#define JENNER_WORKER_TEXT_FFI_H_

#include <cstdint>
#include <string>
#include <string_view>

#include "absl/status/status.h"
#include "absl/strings/str_format.h"
#include "worker/text/jenner_text.h"

namespace jenner::text {

// The content of `buffer`, which is freed.
inline std::string TakeBuffer(JennerTextBuffer buffer) {
  std::string text = buffer.size == 0 ? std::string() : std::string(buffer.data, buffer.size);
  jenner_text_buffer_free(buffer);
  return text;
}

// The status of a call that returned `code`; takes its `error`. InvalidArgument, ResourceExhausted
// and Internal as in jenner_text.h.
inline absl::Status TakeStatus(int32_t code, JennerTextBuffer error) {
  if (code == JENNER_TEXT_OK) return absl::OkStatus();
  const std::string message = TakeBuffer(error);
  switch (code) {
    case JENNER_TEXT_INVALID_ARGUMENT:
      return absl::InvalidArgumentError(message);
    case JENNER_TEXT_RESOURCE_EXHAUSTED:
      return absl::ResourceExhaustedError(message);
    default:
      return absl::InternalError(message);
  }
}

// InvalidArgument, with the byte, if `text` is not UTF-8.
inline absl::Status CheckUtf8(std::string_view text, std::string_view what) {
  const size_t valid = jenner_text_valid_utf8(text.data(), text.size());
  if (valid == text.size()) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrFormat("%s: invalid UTF-8 at byte %d", what, valid));
}

}  // namespace jenner::text

#endif  // JENNER_WORKER_TEXT_FFI_H_
