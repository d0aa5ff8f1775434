// The scores of an experiment as they are stored, on their way to its study.
#ifndef JENNER_SERVER_RPC_SCORES_H_
#define JENNER_SERVER_RPC_SCORES_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "core/resolve.h"
#include "core/study/gates.h"
#include "core/study/score_table.h"
#include "server/coordinator/state.h"
#include "server/rpc/backend.h"
#include "server/store/metric_store.h"

namespace jenner::rpc {

inline constexpr size_t kMaxScores = 5'000'000;

// Builds a ScoreTable, curves and counts of what the store has. Not thread-safe.
class Scores {
 public:
  explicit Scores(const coordinator::Experiment& experiment);

  const std::string& experiment() const { return experiment_; }
  const core::ExperimentSpec& spec() const { return spec_; }
  const std::string& spec_sha256() const { return spec_sha256_; }
  bool is_complete() const { return is_complete_; }  // it has succeeded

  // ResourceExhausted: more than kMaxScores.
  absl::Status Add(const store::StoredSample& stored);
  void Add(const store::Cell& cell);
  void Add(const store::FeedRow& row);

  const study::ScoreTable& table() const { return table_; }
  const std::vector<study::DegenerateCount>& degenerate() const { return degenerate_; }
  std::vector<study::LossCurve> Losses() const;

 private:
  // (arm, seed) as positions, and whether the job trains.
  struct Owner {
    int32_t arm = 0;
    int32_t seed = 0;
  };
  struct JobInfo {
    std::vector<Owner> owners;
    bool is_trained = false;
    bool is_first_seed = true;  // of the base model's jobs, the one that greedy answers count of
  };
  int32_t PromptAt(const std::string& id);

  std::string experiment_;
  core::ExperimentSpec spec_;
  std::string spec_sha256_;
  bool is_complete_ = false;
  std::map<std::string, JobInfo> jobs_;
  std::map<std::string, int32_t> sets_, contexts_, traits_, prompts_;
  std::set<int32_t> greedy_sets_;
  study::ScoreTable table_;
  std::vector<study::DegenerateCount> degenerate_;
  std::map<std::string, std::map<int32_t, double>> losses_;  // job -> step -> loss
};

// Reads all that is stored of the experiment, a page at a time so that nothing else waits long for
// the store, and calls `done` with it on the study thread; an error finishes the call.
void ReadScores(const Call& call, std::shared_ptr<Scores> scores,
                std::function<void(const std::shared_ptr<Scores>&)> done);

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_SCORES_H_
