// Checkpoints of a training: <out>/checkpoints/step-<n>/ with
//   adapter/ (PEFT format) or model/ (full fine-tuning), optimizer.safetensors, state.json,
//   manifest.json
// written as folder.h says. With the same number of ranks and threads, a training that goes on from
// a checkpoint computes the same bits as one that was never interrupted. Rank 0 alone reads and
// writes them; not thread-safe.
#ifndef JENNER_WORKER_TRAINER_CHECKPOINT_H_
#define JENNER_WORKER_TRAINER_CHECKPOINT_H_

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>

#include "worker/model/llama.h"
#include "worker/trainer/optimizer.h"

namespace jenner::trainer {

inline constexpr size_t kCheckpointsKept = 2;

// Where a training is. The position in the data follows from the step (schedule.h).
struct Progress {
  int64_t step = 0;        // optimizer steps done
  bool evaluated = false;  // the evaluation due at `step`, if any, is done
};

class Checkpoints {
 public:
  // `job_id`: a checkpoint of another job is refused. `base_model`: what adapter_config.json says.
  Checkpoints(std::string out_dir, std::string job_id, std::string base_model);

  // Returns the folder. Removes all but the newest kCheckpointsKept. Failure: kStorage.
  std::string Save(const Progress& progress, const model::Llama& llama, const Optimizer& optimizer);

  // Puts the newest checkpoint that is whole into `llama` and `optimizer`; nullopt if there is none
  // at all. A broken one is warned of on stderr and an older one is taken. Failure:
  // kCorruptCheckpoint if there are some and none is whole, kUsage if the newest whole one is
  // another job's.
  std::optional<Progress> Restore(model::Llama* llama, Optimizer* optimizer);

 private:
  void Prune();

  std::string folder_;
  std::string job_id_;
  std::string base_model_;
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_CHECKPOINT_H_
