// Checkpoints of a training: <out>/checkpoints/step-<n>/ with
//   adapter/ (PEFT format) or model/ (full fine-tuning), optimizer.safetensors, state.json,
//   records/<rank>.jsonl (record_exchange.h), manifest.json
// written as folder.h says, and complete in themselves: whoever has the folder can go on from it.
// With the same number of ranks and threads, a training that does so computes and tells the same
// bits as one that was never interrupted, on the CPU; with another number of ranks the same data in
// the same order, and figures that agree to rounding. Rank 0 alone reads and writes them; not
// thread-safe.
#ifndef JENNER_WORKER_TRAINER_CHECKPOINT_H_
#define JENNER_WORKER_TRAINER_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/model/transformer.h"

namespace jenner::trainer {

inline constexpr size_t kCheckpointsKept = 2;

// Where a training is. The position in the data follows from the step (schedule.h).
struct Progress {
  int64_t step = 0;        // optimizer steps done
  bool evaluated = false;  // the evaluation due at `step`, if any, is done
};

struct Checkpoint {
  std::string path;
  Progress progress;
  int ranks = 1;  // of the gang that wrote it
};

class Checkpoints {
 public:
  // `job_id`: a checkpoint of another job is refused; it should not depend on the number of ranks.
  // `base_model`: what adapter_config.json says.
  Checkpoints(std::string out_dir, std::string job_id, std::string base_model);

  // `moments`: the state of the optimizer. `add_records` writes those of `ranks` ranks below the
  // folder that it is given. Returns the folder. Removes all but the newest kCheckpointsKept.
  // Failure: kStorage.
  std::string Save(const Progress& progress, int ranks,
                   const std::function<void(const std::string& folder)>& add_records,
                   const model::Transformer& transformer,
                   const std::vector<model::NamedTensor>& moments);

  // The newest checkpoint that is whole; nullopt if there is none at all, or only such as an older
  // version left, without records. A broken one is warned of on stderr and an older one is taken.
  // Failure: kCorruptCheckpoint if there are some and none is whole, kUsage if the newest whole one
  // is another job's.
  std::optional<Checkpoint> Newest() const;

  // Puts it into `transformer` and returns the state of the optimizer, by name. Failure:
  // kCorruptCheckpoint, kStorage.
  static std::map<std::string, at::Tensor> Load(const Checkpoint& checkpoint,
                                                model::Transformer* transformer);

  // Removes all of them.
  void Clear();

 private:
  void Prune();

  std::string folder_;
  std::string job_id_;
  std::string base_model_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_CHECKPOINT_H_
