// The records of all ranks in a checkpoint, records/<rank>.jsonl: gathered when it is written,
// handed out when a gang goes on from it. All ranks of a gang call each of these at the same point;
// rank 0 alone has the folder. Failure: kStorage for I/O errors, kPeerLost.
#ifndef JENNER_WORKER_TRAINER_RECORD_EXCHANGE_H_
#define JENNER_WORKER_TRAINER_RECORD_EXCHANGE_H_

#include <cstdint>
#include <string>

#include "worker/trainer/collective.h"
#include "worker/trainer/record.h"

namespace jenner::trainer {

// The path of a rank's record below a checkpoint's folder.
std::string RecordName(int rank);

// Writes the first `bytes` (each rank says how many) of every rank's record below `folder`, which
// ranks above 0 leave empty.
void GatherRecords(const Record& own, int64_t bytes, const std::string& folder,
                   Collective* collective);

// Each rank's record becomes what it was when the checkpoint in `folder` was written by
// `saved_ranks` ranks. If that is another number than now, rank 0 takes all of them, one after the
// other, and the records of the other ranks are empty. Ranks above 0 leave `folder` empty.
void HandOutRecords(const std::string& folder, int saved_ranks, const Record& own,
                    Collective* collective);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_RECORD_EXCHANGE_H_
