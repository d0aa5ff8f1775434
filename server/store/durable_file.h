// A small file that is replaced whole, and is there after a power cut once this has returned.
#ifndef JENNER_SERVER_STORE_DURABLE_FILE_H_
#define JENNER_SERVER_STORE_DURABLE_FILE_H_

#include <string>

#include "absl/status/status.h"

namespace jenner::store {

// Writes `path`.tmp, syncs, renames, syncs the folder. Mode 0600. FailedPrecondition: the disk says
// no (path and reason are told); the file is then as it was, or new and perhaps not yet durable.
absl::Status WriteDurably(const std::string& path, const std::string& text);

}  // namespace jenner::store

#endif  // JENNER_SERVER_STORE_DURABLE_FILE_H_
