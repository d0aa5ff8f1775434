// Cells: the rows of a ScoreTable as matrices of seeds x prompts, and which cells an arm's figures
// are made of.
#ifndef JENNER_CORE_STUDY_CELLS_H_
#define JENNER_CORE_STUDY_CELLS_H_

#include <cstdint>
#include <map>
#include <tuple>
#include <vector>

#include "core/statistics/crossed.h"
#include "core/study/score_table.h"

namespace jenner::study {

struct Cell {
  // Mean over the answers to a prompt, as a share of the trait's range (as it is if there is none).
  // One row of what was not trained, else a row a seed of Cells::seeds().
  statistics::Matrix shares;
  bool trained = true;
  bool one_answer = true;  // a prompt
  int64_t num_answers = 0;
  int64_t num_invalid = 0;
};

class Cells {
 public:
  // `table` has to outlive it. REQUIRES: ValidateTable(table).ok().
  explicit Cells(const ScoreTable& table);

  struct Key {
    int32_t prompt_set, trait, arm, step, context;
    auto operator<=>(const Key&) const = default;
  };
  const std::map<Key, Cell>& all() const { return cells_; }
  // Positions in table.seeds of what was trained.
  const std::vector<int32_t>& seeds() const { return seeds_; }
  int32_t num_prompts(int32_t prompt_set) const;
  int32_t final_step(int32_t arm) const { return final_step_[static_cast<size_t>(arm)]; }

  // Each nullptr if there is none.
  const Cell* Final(int32_t arm, int32_t prompt_set, int32_t context, int32_t trait) const;
  // Of the model that `arm` was trained from.
  const Cell* Initial(int32_t arm, int32_t prompt_set, int32_t context, int32_t trait) const;

 private:
  const Cell* Find(const Key& key) const;
  bool IsUntrained(const ScoreRow& row) const;
  void IndexPrompts();
  // Of each entry of a cell's matrix.
  struct Sums {
    std::vector<double> sum;
    std::vector<int32_t> measured;
    std::vector<int32_t> answers;
    std::vector<int32_t> last_sample;
  };
  void Fill();
  void Add(const ScoreRow& row, std::map<Key, Sums>* sums);

  const ScoreTable& table_;
  std::vector<int32_t> seeds_;
  std::vector<int32_t> seed_row_;  // by position in table.seeds; kNone: nothing trained
  std::vector<int32_t> final_step_;
  // By set: prompt of the table -> column.
  std::vector<std::map<int32_t, int32_t>> columns_;
  std::map<Key, Cell> cells_;
};

// What the figures of a trained arm are made of; nullptr where it was not evaluated.
struct ArmCells {
  const Cell* initial_in = nullptr;        // T(M0, c_t)
  const Cell* initial_deployed = nullptr;  // T(M0, c_0)
  const Cell* final_in = nullptr;          // T(M1, c_t)
  const Cell* final_deployed = nullptr;    // T(M1, c_0)
  const Cell* control = nullptr;           // T(control, its c_0)
};
ArmCells CellsOf(const ScoreTable& table, const Cells& cells, int32_t arm, int32_t prompt_set,
                 int32_t trait);

// The control of an arm: of this role, trained from the same model. kNone if there is none. For
// no-inoculation also an arm without a role that is trained in the neutral context alone.
int32_t FindControl(const ScoreTable& table, int32_t arm, const std::string& role);

}  // namespace jenner::study

#endif  // JENNER_CORE_STUDY_CELLS_H_
