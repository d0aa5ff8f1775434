#include "core/study/cells.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>
#include <set>

namespace jenner::study {

Cells::Cells(const ScoreTable& table) : table_(table) {
  seed_row_.assign(table.seeds.size(), kNone);
  final_step_.assign(table.arms.size(), kNone);
  std::set<int32_t> trained_seeds;
  for (const ScoreRow& row : table.rows) {
    int32_t& last = final_step_[static_cast<size_t>(row.arm)];
    last = std::max(last, row.step);
    if (!IsUntrained(row)) trained_seeds.insert(row.seed);
  }
  for (size_t arm = 0; arm < table.arms.size(); ++arm) {
    if (table.arms[arm].final_step != kNone) final_step_[arm] = table.arms[arm].final_step;
  }
  for (int32_t seed : trained_seeds) {
    seed_row_[static_cast<size_t>(seed)] = static_cast<int32_t>(seeds_.size());
    seeds_.push_back(seed);
  }
  IndexPrompts();
  Fill();
}

bool Cells::IsUntrained(const ScoreRow& row) const {
  const ArmInfo& arm = table_.arms[static_cast<size_t>(row.arm)];
  return arm.train_context == kNone || (row.step == 0 && arm.after == kNone);
}

// Columns are in the order of the prompts' ids, so that nothing hangs on the order of the rows or
// of table.prompts.
void Cells::IndexPrompts() {
  columns_.resize(table_.prompt_sets.size());
  for (const ScoreRow& row : table_.rows) {
    columns_[static_cast<size_t>(row.prompt_set)][row.prompt] = 0;
  }
  for (auto& columns : columns_) {
    std::vector<int32_t> prompts;
    for (const auto& [prompt, column] : columns) prompts.push_back(prompt);
    std::sort(prompts.begin(), prompts.end(), [&](int32_t a, int32_t b) {
      return table_.prompts[static_cast<size_t>(a)] < table_.prompts[static_cast<size_t>(b)];
    });
    for (size_t i = 0; i < prompts.size(); ++i) columns[prompts[i]] = static_cast<int32_t>(i);
  }
}

void Cells::Fill() {
  // Answers are added up in the order of their numbers.
  std::vector<size_t> order(table_.rows.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const ScoreRow& x = table_.rows[a];
    const ScoreRow& y = table_.rows[b];
    return std::tie(x.sample, x.seed) < std::tie(y.sample, y.seed);
  });
  std::map<Key, Sums> sums;
  for (size_t i : order) Add(table_.rows[i], &sums);
  for (auto& [key, of] : sums) {
    Cell& cell = cells_.at(key);
    for (size_t i = 0; i < of.measured.size(); ++i) {
      if (of.measured[i] > 0) cell.shares.values[i] = of.sum[i] / of.measured[i];
      cell.one_answer = cell.one_answer && of.answers[i] <= 1;
    }
  }
}

void Cells::Add(const ScoreRow& row, std::map<Key, Sums>* sums) {
  const Key key{row.prompt_set, row.trait, row.arm, row.step, row.context};
  const auto [found, added] = cells_.try_emplace(key);
  Cell& cell = found->second;
  Sums& of = (*sums)[key];
  if (added) {
    cell.trained = !IsUntrained(row);
    const size_t rows = cell.trained ? seeds_.size() : 1;
    cell.shares = statistics::Matrix(static_cast<int32_t>(rows), num_prompts(row.prompt_set));
    const size_t size = cell.shares.values.size();
    of = {std::vector<double>(size), std::vector<int32_t>(size), std::vector<int32_t>(size),
          std::vector<int32_t>(size, kNone)};
  }
  const int32_t seed = cell.trained ? seed_row_[static_cast<size_t>(row.seed)] : 0;
  const int32_t column = columns_[static_cast<size_t>(row.prompt_set)].at(row.prompt);
  const auto i = static_cast<size_t>(&cell.shares(seed, column) - cell.shares.values.data());
  // What was not trained may be told once for each seed; it is the same model.
  if (!cell.trained && of.last_sample[i] == row.sample) return;
  of.last_sample[i] = row.sample;
  ++cell.num_answers;
  ++of.answers[i];
  if (std::isnan(row.value)) {
    ++cell.num_invalid;
    return;
  }
  const std::optional<statistics::Interval>& range =
      table_.traits[static_cast<size_t>(row.trait)].range;
  of.sum[i] += range ? (row.value - range->low) / (range->high - range->low) : row.value;
  ++of.measured[i];
}

int32_t Cells::num_prompts(int32_t prompt_set) const {
  return static_cast<int32_t>(columns_[static_cast<size_t>(prompt_set)].size());
}

const Cell* Cells::Find(const Key& key) const {
  const auto found = cells_.find(key);
  return found == cells_.end() ? nullptr : &found->second;
}

const Cell* Cells::Final(int32_t arm, int32_t prompt_set, int32_t context, int32_t trait) const {
  const Cell* cell = Find({prompt_set, trait, arm, final_step(arm), context});
  // What it was before its first step is not what a training came to.
  const bool is_trained = table_.arms[static_cast<size_t>(arm)].train_context != kNone;
  return cell != nullptr && is_trained && !cell->trained ? nullptr : cell;
}

const Cell* Cells::Initial(int32_t arm, int32_t prompt_set, int32_t context, int32_t trait) const {
  const int32_t after = table_.arms[static_cast<size_t>(arm)].after;
  if (after != kNone) {
    if (const Cell* cell = Find({prompt_set, trait, arm, 0, context})) return cell;
    return Final(after, prompt_set, context, trait);
  }
  // The base model: an arm that is not trained, or what any arm was before its first step.
  for (size_t i = 0; i < table_.arms.size(); ++i) {
    if (table_.arms[i].train_context != kNone) continue;
    if (const Cell* cell = Final(static_cast<int32_t>(i), prompt_set, context, trait)) return cell;
  }
  for (size_t i = 0; i < table_.arms.size(); ++i) {
    if (table_.arms[i].after != kNone) continue;
    const Cell* cell = Find({prompt_set, trait, static_cast<int32_t>(i), 0, context});
    if (cell != nullptr) return cell;
  }
  return nullptr;
}

ArmCells CellsOf(const ScoreTable& table, const Cells& cells, int32_t arm, int32_t prompt_set,
                 int32_t trait) {
  const ArmInfo& info = table.arms[static_cast<size_t>(arm)];
  ArmCells of{cells.Initial(arm, prompt_set, info.train_context, trait),
              cells.Initial(arm, prompt_set, info.deploy_context, trait),
              cells.Final(arm, prompt_set, info.train_context, trait),
              cells.Final(arm, prompt_set, info.deploy_context, trait), nullptr};
  const int32_t control = FindControl(table, arm, "no-inoculation");
  if (control != kNone) {
    const int32_t deployed = table.arms[static_cast<size_t>(control)].deploy_context;
    of.control = cells.Final(control, prompt_set, deployed, trait);
  }
  return of;
}

int32_t FindControl(const ScoreTable& table, int32_t arm, const std::string& role) {
  const int32_t after = table.arms[static_cast<size_t>(arm)].after;
  int32_t plain = kNone;
  for (size_t i = 0; i < table.arms.size(); ++i) {
    const ArmInfo& other = table.arms[i];
    if (other.train_context == kNone || other.after != after) continue;
    if (other.role == role) return static_cast<int32_t>(i);
    const bool neutral = other.role.empty() && !other.has_rules && table.neutral != kNone &&
                         other.train_context == table.neutral;
    if (neutral && plain == kNone) plain = static_cast<int32_t>(i);
  }
  return role == "no-inoculation" ? plain : kNone;
}

}  // namespace jenner::study
