#include "wire/log_sink.h"

#include <google/protobuf/stubs/logging.h>
#include <grpc/support/log.h>

#include <string>

#include "absl/strings/str_cat.h"
#include "logging/log.h"

namespace jenner::wire {
namespace {

using logging::Level;
using logging::Log;

void LogGrpc(gpr_log_func_args* args) {
  const Level level = args->severity == GPR_LOG_SEVERITY_ERROR ? Level::kWarning : Level::kInfo;
  // Its errors are of connections: of ours only the call knows whether that is one.
  Log(level, args->message,
      {{"library", "grpc"}, {"at", absl::StrCat(args->file, ":", args->line)}});
}

void LogProtobuf(google::protobuf::LogLevel severity, const char* file, int line,
                 const std::string& message) {
  if (severity == google::protobuf::LOGLEVEL_INFO) return;
  Log(Level::kWarning, message, {{"library", "protobuf"}, {"at", absl::StrCat(file, ":", line)}});
}

}  // namespace

void LogLibraries() {
  gpr_set_log_function(LogGrpc);
  google::protobuf::SetLogHandler(LogProtobuf);
}

}  // namespace jenner::wire
