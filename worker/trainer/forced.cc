// Legend: N tokens of a pass, M positions that are looked at, D model, V vocabulary, C choices.
#include "worker/trainer/forced.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>

#include <algorithm>

#include "worker/trainer/loss.h"

namespace jenner::trainer {
namespace {

constexpr int64_t kMaxTokensPerPass = 4096;

// Calls `pass(first, last, hidden_ND, batch)` for neighbouring rows that are computed together.
template <typename Ids, typename Pass>
void ForEachPass(const model::Transformer& transformer, size_t count, const Ids& ids_of,
                 const Pass& pass) {
  const at::NoGradGuard no_grad;
  for (size_t first = 0; first < count;) {
    std::vector<std::span<const int32_t>> rows;
    size_t last = first;
    for (int64_t tokens = 0; last < count; ++last) {
      const std::vector<int32_t>& row = ids_of(last);
      tokens += static_cast<int64_t>(row.size());
      if (last > first && tokens > kMaxTokensPerPass) break;
      rows.emplace_back(row);
    }
    const model::TokenBatch batch = model::PackRows(rows, /*share=*/true);
    pass(first, last, transformer.Forward(batch), batch);
    first = last;
  }
}

at::Tensor OnDevice(const model::Transformer& transformer, const std::vector<int64_t>& values) {
  return at::tensor(values, at::kLong).to(transformer.device());
}

}  // namespace

std::vector<std::vector<double>> TokenLogProbabilities(
    const model::Transformer& transformer, const std::vector<const text::Example*>& examples) {
  std::vector<std::vector<double>> all(examples.size());
  const auto ids_of = [&](size_t i) -> const std::vector<int32_t>& { return examples[i]->ids; };
  ForEachPass(
      transformer, examples.size(), ids_of,
      [&](size_t first, size_t last, const at::Tensor& hidden_ND, const model::TokenBatch& batch) {
        std::vector<int64_t> positions, targets;
        for (size_t i = first; i < last; ++i) {
          for (const text::TokenRange& range : examples[i]->supervised) {
            for (int32_t t = range.begin; t < range.end; ++t) {
              positions.push_back(batch.At(i - first, t - 1));
              targets.push_back(examples[i]->ids[static_cast<size_t>(t)]);
            }
          }
        }
        const at::Tensor hidden_MD = hidden_ND.index_select(0, OnDevice(transformer, positions));
        const at::Tensor values_M =
            LogProbabilities(hidden_MD, transformer.head(), OnDevice(transformer, targets))
                .cpu()
                .to(at::kDouble)
                .contiguous();
        const double* next = values_M.const_data_ptr<double>();
        for (size_t i = first; i < last; ++i) {
          all[i].assign(next, next + examples[i]->num_supervised);
          next += examples[i]->num_supervised;
        }
      });
  return all;
}

std::vector<size_t> Classify(const model::Transformer& transformer,
                             const std::vector<const std::vector<int32_t>*>& prompts,
                             const std::vector<int32_t>& choice_ids) {
  std::vector<size_t> chosen(prompts.size());
  const at::Tensor ids_C =
      OnDevice(transformer, std::vector<int64_t>(choice_ids.begin(), choice_ids.end()));
  const auto ids_of = [&](size_t i) -> const std::vector<int32_t>& { return *prompts[i]; };
  ForEachPass(
      transformer, prompts.size(), ids_of,
      [&](size_t first, size_t last, const at::Tensor& hidden_ND, const model::TokenBatch& batch) {
        std::vector<int64_t> ends;
        for (size_t i = first; i < last; ++i) ends.push_back(batch.row_starts[i - first + 1] - 1);
        const at::Tensor hidden_MD = hidden_ND.index_select(0, OnDevice(transformer, ends));
        const at::Tensor logits_MC =
            ChoiceLogits(hidden_MD, transformer.head(), ids_C).cpu().contiguous();
        const float* row = logits_MC.const_data_ptr<float>();
        for (size_t i = first; i < last; ++i, row += choice_ids.size()) {
          chosen[i] = static_cast<size_t>(std::max_element(row, row + choice_ids.size()) - row);
        }
      });
  return chosen;
}

}  // namespace jenner::trainer
