#include "client/cli/doctor_server.h"

#include <algorithm>

#include "absl/strings/str_format.h"
#include "client/cli/table.h"
#include "core/version.h"
#include "wire/certificate.h"

namespace jenner::cli {
namespace {

constexpr absl::Duration kRenewSoon = absl::Hours(24 * 30);
// Certificates are good from 5 minutes before they are made; leases and durations are not told in
// clock times.
constexpr absl::Duration kSlightSkew = absl::Seconds(5);
constexpr absl::Duration kMuchSkew = absl::Minutes(5);
constexpr double kGib = 1 << 30;
constexpr double kLittleDiskGib = 5;
constexpr double kNoDiskGib = 1;
constexpr int kMostExperiments = 10'000;

void CheckCertificate(const std::string& whose, const std::string& pem, const std::string& remedy,
                      absl::Time now, Findings* findings) {
  const absl::StatusOr<absl::Time> end = wire::NotAfter(pem);
  if (!end.ok()) return findings->Bad(whose + ": " + std::string(end.status().message()), remedy);
  const std::string text = absl::StrFormat("%s is good until %s (%d days)", whose,
                                           absl::FormatTime("%Y-%m-%d", *end, absl::UTCTimeZone()),
                                           absl::ToInt64Hours(*end - now) / 24);
  if (*end <= now) {
    findings->Bad(whose + " has run out", remedy);
  } else if (*end - now < kRenewSoon) {
    findings->Warn(text, remedy);
  } else {
    findings->Good(text);
  }
}

void CheckVersions(const std::string& server, const std::string& own, Findings* findings) {
  const std::string text =
      absl::StrFormat("the server has version %s, this command %s", server, own);
  switch (core::SkewOf(server, own)) {
    case core::VersionSkew::kNone:
      return findings->Good(text);
    case core::VersionSkew::kNear:
      return findings->Warn(text, "they work together; upgrade the older one soon");
    case core::VersionSkew::kFar:
      return findings->Bad(text, "install the server's version of jenner");
  }
}

void CheckClock(absl::Time server, absl::Time asked, absl::Time answered, Findings* findings) {
  // Between its going and its coming.
  const absl::Duration ahead = server > answered ? server - answered
                               : server < asked  ? server - asked
                                                 : absl::ZeroDuration();
  const absl::Duration skew = absl::AbsDuration(ahead);
  const std::string text =
      absl::StrFormat("its clock is %s %s this machine's",
                      absl::FormatDuration(absl::Trunc(skew, absl::Seconds(1))),
                      ahead > absl::ZeroDuration() ? "ahead of" : "behind");
  const char* remedy = "set both by NTP: certificates and --keep-experiments go by the clock";
  if (skew >= kMuchSkew) {
    findings->Bad(text, remedy);
  } else if (skew >= kSlightSkew) {
    findings->Warn(text, remedy);
  } else {
    findings->Good("its clock agrees with this machine's");
  }
}

void CheckRole(const v1::Coordinator& coordinator, Findings* findings) {
  if (!coordinator.tokens_required()) {
    return findings->Note("no tokens are required: whoever reaches the port may do everything");
  }
  const std::string text = coordinator.principal() + " has the role " + coordinator.role();
  if (coordinator.role() == "viewer") {
    findings->Warn(text,
                   "it reads only; to create, a token of the role submitter: "
                   "jenner-server tokens add");
  } else {
    findings->Good(text);
  }
}

void CheckDisk(const v1::Coordinator& coordinator, Findings* findings) {
  if (coordinator.data_total_bytes() == 0) {
    return findings->Note("how much room its data directory has is not known");
  }
  const double free_gib = static_cast<double>(coordinator.data_free_bytes()) / kGib;
  const std::string text =
      absl::StrFormat("disk of its data directory: %.1f GiB free of %.1f", free_gib,
                      static_cast<double>(coordinator.data_total_bytes()) / kGib);
  const char* remedy =
      "grow the volume, delete experiments or set --keep-experiments (docs/operations.md)";
  if (free_gib < kNoDiskGib) {
    findings->Bad(text, remedy);
  } else if (free_gib < kLittleDiskGib) {
    findings->Warn(text, remedy);
  } else {
    findings->Good(text);
  }
}

std::string Kept(bool is_set, const google::protobuf::Duration& duration) {
  return is_set ? absl::FormatDuration(absl::Seconds(duration.seconds())) : "for ever";
}

void CheckRetention(const v1::Coordinator& coordinator, Findings* findings) {
  findings->Note(
      "it keeps ended experiments " +
      Kept(coordinator.has_keep_experiments(), coordinator.keep_experiments()) +
      ", unnamed files " +
      Kept(coordinator.has_keep_unreferenced(), coordinator.keep_unreferenced()) +
      (coordinator.has_quotas() ? "; some owner has a quota" : "; no owner has a quota"));
  if (coordinator.experiments() >= kMostExperiments * 9 / 10) {
    findings->Warn(absl::StrFormat("%d experiments are stored, of at most %d",
                                   coordinator.experiments(), kMostExperiments),
                   "jenner experiment delete, or jenner-server --keep-experiments");
  }
}

void CheckWorkerVersion(const std::string& name, const v1::Worker& worker,
                        const std::string& version, Findings* findings) {
  if (worker.version() == version) return;
  const std::string text = "worker " + name + " has version " + worker.version();
  if (!core::ParseVersion(worker.version())) {
    findings->Bad(text, "the server has " + version + ": install the same everywhere");
  } else if (core::SkewOf(worker.version(), version) != core::VersionSkew::kNone) {
    findings->Warn(text,
                   "the server has " + version + ": they work together; upgrade the older soon");
  } else {
    findings->Note(text);
  }
}

}  // namespace

void CheckCertificates(const std::optional<wire::Tls>& tls, const std::string& of_server,
                       absl::Time now, Findings* findings) {
  if (!tls.has_value()) return findings->Note("the connection is not encrypted (no --ca)");
  if (!of_server.empty()) {
    CheckCertificate(
        "the server's certificate", of_server,
        "jenner-server certs server, once the old files are moved away; then restart it", now,
        findings);
  }
  CheckCertificate("the CA's certificate (--ca)", tls->ca,
                   "a new CA, and new certificates of all: docs/threat-model.md", now, findings);
  if (tls->certificate.empty()) return;
  CheckCertificate("the certificate of this command (--cert)", tls->certificate,
                   "jenner-server certs client", now, findings);
}

void CheckCoordinator(const v1::Coordinator& coordinator, const std::string& own_version,
                      absl::Time asked, absl::Time answered, Findings* findings) {
  CheckVersions(coordinator.version(), own_version, findings);
  CheckClock(absl::FromUnixSeconds(coordinator.time().seconds()) +
                 absl::Nanoseconds(coordinator.time().nanos()),
             asked, answered, findings);
  CheckRole(coordinator, findings);
  if (coordinator.epoch() > 0) {
    findings->Good(absl::StrFormat("it leads with epoch %d", coordinator.epoch()));
  }
  CheckDisk(coordinator, findings);
  CheckRetention(coordinator, findings);
}

void CheckWorkers(const std::vector<v1::Worker>& workers, const std::string& version,
                  Findings* findings) {
  int alive = 0;
  int placeable = 0;
  for (const v1::Worker& worker : workers) {
    const std::string name = LastComponent(worker.name());
    if (worker.liveness() != v1::Worker::LIVENESS_ALIVE) {
      findings->Warn("worker " + name + " is lost",
                     "if it was not taken away: start its agent again, see its log");
      continue;
    }
    ++alive;
    CheckWorkerVersion(name, worker, version, findings);
    const bool is_cordoned = worker.cordon() != v1::Worker::CORDON_UNSPECIFIED;
    if (is_cordoned) {
      findings->Warn("worker " + name + " is cordoned", "jenner worker uncordon " + name);
    } else {
      ++placeable;
    }
    if (worker.models_size() == 0) {
      findings->Bad("worker " + name + " offers no model",
                    "put a model folder under its --models-dir");
    } else {
      const std::string gpus = worker.gpus() == 0 ? "" : Counted(worker.gpus(), "GPU") + ", ";
      findings->Good(
          absl::StrFormat("worker %s: %s, %s%s: %s", name, Counted(worker.slots(), "slot"), gpus,
                          Counted(worker.models_size(), "model"), FormatArms(worker.models(), 8)));
    }
  }
  if (alive == 0) {
    findings->Bad("no worker is alive",
                  "start one: jenner-worker --server HOST:PORT --name w1 --models-dir DIR "
                  "--work-dir w1");
  } else if (placeable == 0) {
    findings->Bad("every worker that is alive is cordoned: nothing is placed",
                  "jenner worker uncordon NAME");
  }
}

}  // namespace jenner::cli
