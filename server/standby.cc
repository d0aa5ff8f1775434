#include "server/standby.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>

#include "absl/strings/ascii.h"
#include "absl/strings/str_format.h"
#include "core/status.h"
#include "logging/log.h"

namespace jenner::server {
namespace {

using logging::Level;
using logging::Log;

constexpr size_t kMaxConnectionBytes = size_t{16} << 10;
constexpr absl::Duration kSlowestLook = absl::Seconds(1);
constexpr absl::Duration kReconnect = absl::Seconds(5);  // wire/channel.h

absl::Status GivenUp() { return absl::CancelledError("told to end while it waited"); }

// Between two looks at who leads.
absl::Duration Interval(absl::Duration lease) { return std::min(lease / 10, kSlowestLook); }

// What there is to say of a try, once and not at every look.
class Reporter {
 public:
  void Waits(const store::Leader& leader) {
    if (leader.epoch == told_epoch_ && !is_away_) return;
    told_epoch_ = leader.epoch;
    is_away_ = false;
    Log(Level::kInfo, "standing by: another server leads",
        {{"leader", leader.holder},
         {"epoch", absl::StrFormat("%d", leader.epoch)},
         {"lease_left", absl::FormatDuration(leader.remaining)}});
  }
  void Away(const absl::Status& status) {
    if (is_away_) return;
    is_away_ = true;
    Log(Level::kWarning, "standing by: the event log's database is away; trying on",
        {{"status", status.ToString()}});
  }

 private:
  int64_t told_epoch_ = -1;
  bool is_away_ = false;
};

}  // namespace

absl::Duration TakeoverTime(absl::Duration leader_lease) {
  return leader_lease + Interval(leader_lease) + kReconnect;
}

absl::StatusOr<std::string> ReadConnectionFile(const std::string& path) {
  struct stat known {};
  if (stat(path.c_str(), &known) != 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("%s cannot be read: %s", path, std::strerror(errno)));
  }
  if ((known.st_mode & S_IRWXO) != 0) {
    return absl::FailedPreconditionError(
        path + " may be read by every user of this machine, and may hold a password: chmod 600");
  }
  std::ifstream file(path, std::ios::binary);
  std::string text(kMaxConnectionBytes + 1, '\0');
  file.read(text.data(), static_cast<std::streamsize>(text.size()));
  if (file.bad() || (!file && file.gcount() == 0)) {
    return absl::FailedPreconditionError(path + " cannot be read, or is empty");
  }
  text.resize(static_cast<size_t>(file.gcount()));
  absl::StripAsciiWhitespace(&text);
  if (text.empty() || text.size() > kMaxConnectionBytes) {
    return absl::InvalidArgumentError(
        absl::StrFormat("%s: expected 1 to %d bytes", path, kMaxConnectionBytes));
  }
  RETURN_IF_ERROR(Annotate(store::HasPassword(text).status(), path));
  return text;
}

absl::Status CheckConnectionFlag(const std::string& connection) {
  ASSIGN_OR_RETURN(const bool has_password, store::HasPassword(connection));
  if (!has_password) return absl::OkStatus();
  return absl::InvalidArgumentError(
      "a password on the command line is seen by every user of this machine: --event-log-file, or "
      "passfile=FILE in the connection string");
}

absl::StatusOr<std::unique_ptr<store::PostgresEventLog>> WaitToLead(const StandbyOptions& options) {
  // The first time at once: what cannot be reached now is more likely a fault of the configuration.
  ASSIGN_OR_RETURN(std::unique_ptr<store::PostgresEventLog> log,
                   store::PostgresEventLog::Open(options.event_log, options.leader));
  Reporter reporter;
  for (;;) {
    absl::StatusOr<bool> leads = false;
    if (log == nullptr) {
      auto opened = store::PostgresEventLog::Open(options.event_log, options.leader);
      leads = opened.status().ok() ? absl::StatusOr<bool>(false) : opened.status();
      if (opened.ok()) log = *std::move(opened);
    }
    if (log != nullptr) leads = log->TryLead();
    if (leads.ok() && *leads) break;
    if (leads.ok()) {
      reporter.Waits(log->leader());
      if (options.metrics != nullptr) options.metrics->StandsBy(log->leader().epoch);
    } else {
      reporter.Away(leads.status());
      log.reset();
    }
    if (!options.pause(Interval(options.leader.lease))) return GivenUp();
  }
  Log(Level::kInfo, "leads",
      {{"epoch", absl::StrFormat("%d", log->epoch())},
       {"events", absl::StrFormat("%d", log->LastSeq())},
       {"before", log->leader().holder}});
  if (!log->syncs()) {
    Log(Level::kWarning,
        "the event log's database has fsync off: a power cut may lose what was answered");
  }
  return log;
}

absl::StatusOr<store::DataDir> TakeDataDir(const std::string& path, store::PostgresEventLog& log,
                                           const StandbyOptions& options) {
  const absl::Duration interval = std::min(options.leader.lease / 10, absl::Milliseconds(200));
  absl::Duration waited = absl::ZeroDuration();
  for (;;) {
    absl::StatusOr<store::DataDir> dir = store::DataDir::Open(path);
    if (dir.ok()) {
      RETURN_IF_ERROR(dir->BindToSharedLog(log.id(), log.LastSeq() == 0));
      return dir;
    }
    if (!absl::IsUnavailable(dir.status()) || waited >= kDataDirLimit) return dir.status();
    if (waited == absl::ZeroDuration()) {
      Log(Level::kWarning, "leads, and waits for the data directory",
          {{"status", dir.status().ToString()}});
    }
    if (!options.pause(interval)) return GivenUp();
    waited += interval;
    RETURN_IF_ERROR(log.Renew());
  }
}

}  // namespace jenner::server
