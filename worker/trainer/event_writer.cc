#include "worker/trainer/event_writer.h"

#include <unistd.h>

#include <cerrno>
#include <cmath>

#include "absl/strings/str_format.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using nlohmann::json;

void RefuseNonFinite(const json& value, const std::string& path) {
  if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    throw Failure(core::ExitCode::kInternal, "event field " + path + " is not finite");
  }
  if (!value.is_structured()) return;
  for (const auto& [key, child] : value.items()) RefuseNonFinite(child, path + "." + key);
}

void WriteAll(int fd, const std::string& bytes) {
  size_t done = 0;
  while (done < bytes.size()) {
    const ssize_t count = write(fd, bytes.data() + done, bytes.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) ThrowErrno(errno, "write events to", absl::StrFormat("descriptor %d", fd));
    done += static_cast<size_t>(count);
  }
}

}  // namespace

bool IsTelemetry(const std::string& kind) {
  return kind == "train_step" || kind == "sample" || kind == "evaluation";
}

void EventWriter::Write(const std::string& kind, json fields) {
  RefuseNonFinite(fields, kind);
  fields["kind"] = kind;
  fields["seq"] = seq_ + 1;
  const std::string line = fields.dump(-1, ' ', false, json::error_handler_t::replace) + "\n";
  if (line.size() > kMaxEventBytes) {
    throw Failure(core::ExitCode::kInternal, absl::StrFormat("event %s has %d bytes; at most %d",
                                                             kind, line.size(), kMaxEventBytes));
  }
  ++seq_;
  if (copy_fd_ >= 0 && IsTelemetry(kind)) WriteAll(copy_fd_, line);
  WriteAll(fd_, line);
}

void EventWriter::WriteFailed(core::ExitCode code, const std::string& message, int64_t step) {
  Write("failed", {{"code", Name(code)},
                   {"message", message.substr(0, kMaxFailureMessageBytes)},
                   {"step", step}});
}

}  // namespace jenner::trainer
