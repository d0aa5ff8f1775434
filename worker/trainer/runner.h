// Runner: one rank of one job from start to end: reads the inputs, joins its gang, trains and
// evaluates as planned, keeps checkpoints, leaves the result.
//
// At an evaluation step the order is: evaluate, all ranks agree that it is done, checkpoint.
// Between evaluations there is a checkpoint every checkpoint_steps. What a checkpoint skips is told
// again from the records in it (record.h).
#ifndef JENNER_WORKER_TRAINER_RUNNER_H_
#define JENNER_WORKER_TRAINER_RUNNER_H_

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "worker/model/transformer.h"
#include "worker/trainer/checkpoint.h"
#include "worker/trainer/collective.h"
#include "worker/trainer/cuda_plugin.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/inputs.h"
#include "worker/trainer/options.h"
#include "worker/trainer/record.h"
#include "worker/trainer/train_loop.h"

namespace jenner::trainer {

// Not thread-safe.
class Runner {
 public:
  // `terminated`: whether the process has been asked to end; looked at between steps and answers.
  // `events` must outlive it.
  Runner(Options options, EventWriter* events, std::function<bool()> terminated);

  // Returns after the job was done and `finished` written. Failure: any code; kTerminated after a
  // request to end was obeyed (with a checkpoint, if that is cheap).
  void Run();

  // Optimizer steps done, for the last event of a failure.
  int64_t steps_done() const { return progress_.step; }

 private:
  bool IsFirst() const { return options_.rank == 0; }
  void OpenDevice();
  void Join();
  void JoinOverNccl();
  void CheckInitial() const;
  void LoadModel();
  void WritePlan();
  void Restore();
  void Load(const std::optional<Checkpoint>& own);
  void LoadInitial();
  void LoadCompanion();
  void ShareParameters();
  void Train();
  void Reach(const Progress& progress);
  void EvaluateIfDue();
  void SaveCheckpoint();
  [[noreturn]] void Terminate();
  void WriteResult();
  void WriteStep(const StepResult& result);

  Options options_;
  EventWriter* events_;
  std::function<bool()> terminated_;
  std::optional<Inputs> inputs_;
  CudaPlugin* cuda_ = nullptr;  // on a GPU only
  std::unique_ptr<Collective> collective_;
  std::unique_ptr<model::Transformer> transformer_;
  std::unique_ptr<TrainLoop> loop_;  // null without a training
  std::unique_ptr<Checkpoints> checkpoints_;
  std::unique_ptr<Record> record_;  // null without a training
  Progress progress_;
  int64_t told_bytes_ = 0;   // of the record when `progress_` was reached
  int64_t saved_step_ = -1;  // of the newest checkpoint of this process, or what it began with
};

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_RUNNER_H_
