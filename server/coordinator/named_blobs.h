// Which blobs a State cannot be without: what retention keeps and a backup holds. Pure.
#ifndef JENNER_SERVER_COORDINATOR_NAMED_BLOBS_H_
#define JENNER_SERVER_COORDINATOR_NAMED_BLOBS_H_

#include <map>
#include <string>

#include "server/coordinator/state.h"

namespace jenner::coordinator {

// Every hash that an experiment names (datasets, training sets, a selection, artifacts, files of
// committed checkpoints), and one experiment that names it.
std::map<std::string, std::string> NamedBlobs(const State& state);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_NAMED_BLOBS_H_
