// What `jenner doctor` finds out about a coordinator and how it is reached. Pure.
#ifndef JENNER_CLIENT_CLI_DOCTOR_SERVER_H_
#define JENNER_CLIENT_CLI_DOCTOR_SERVER_H_

#include <optional>
#include <string>
#include <vector>

#include "absl/time/time.h"
#include "client/cli/findings.h"
#include "client/client.h"

namespace jenner::cli {

// Files by which this command speaks TLS, and the certificate that the server showed. `now` is this
// machine's clock.
void CheckCertificates(const std::optional<wire::Tls>& tls, const std::string& of_server,
                       absl::Time now, Findings* findings);

// Version, clock, role, lead, disk, retention. `asked` and `answered` are of this machine's clock.
void CheckCoordinator(const v1::Coordinator& coordinator, const std::string& own_version,
                      absl::Time asked, absl::Time answered, Findings* findings);

// Which are alive, of which version and with which models; `version` is the coordinator's.
void CheckWorkers(const std::vector<v1::Worker>& workers, const std::string& version,
                  Findings* findings);

}  // namespace jenner::cli

#endif  // JENNER_CLIENT_CLI_DOCTOR_SERVER_H_
