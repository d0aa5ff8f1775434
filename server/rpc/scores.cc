#include "server/rpc/scores.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <utility>
#include <variant>

#include "core/sha256.h"
#include "core/spec_json.h"
#include "core/steps.h"

namespace jenner::rpc {
namespace {

constexpr int32_t kPage = 2000;

template <typename List, typename NameOf>
std::map<std::string, int32_t> Positions(const List& list, const NameOf& name_of) {
  std::map<std::string, int32_t> positions;
  for (size_t i = 0; i < list.size(); ++i) {
    positions.emplace(name_of(list[i]), static_cast<int32_t>(i));
  }
  return positions;
}

std::map<std::string, int32_t> Positions(const std::vector<std::string>& names) {
  return Positions(names, [](const std::string& name) { return name; });
}

// The last step at which a training is evaluated, of which its figures are; one that is never
// reached as long as the trainer has not told how many steps there are.
int32_t LastStep(const coordinator::Job& job) {
  const std::optional<core::JobEvaluation>& evaluation = job.plan.spec.evaluation;
  if (!evaluation || job.total_steps == 0) return std::numeric_limits<int32_t>::max();
  return static_cast<int32_t>(core::LastEvaluationStep(*evaluation, job.total_steps));
}

int32_t At(const std::map<std::string, int32_t>& positions, const std::string& name) {
  const auto found = positions.find(name);
  return found == positions.end() ? study::kNone : found->second;
}

}  // namespace

Scores::Scores(const coordinator::Experiment& experiment)
    : experiment_(experiment.id),
      spec_(experiment.spec),
      spec_sha256_(core::Sha256Hex(core::ToJson(experiment.spec))),
      is_complete_(experiment.state == coordinator::RunState::kSucceeded),
      table_(study::EmptyTable(experiment.spec)) {
  sets_ = Positions(table_.prompt_sets);
  contexts_ = Positions(table_.contexts);
  traits_ = Positions(table_.traits, [](const study::TraitInfo& trait) { return trait.name; });
  const std::map<std::string, int32_t> arms =
      Positions(table_.arms, [](const study::ArmInfo& arm) { return arm.name; });
  const core::EvaluationSpec& evaluation = spec_.evaluation;
  if (evaluation.temperature == 0) greedy_sets_.insert(0);
  for (size_t i = 0; i < evaluation.sets.size(); ++i) {
    const core::PromptSetSpec& set = evaluation.sets[i];
    const bool draws = set.mode == core::EvaluationMode::kGenerate &&
                       set.temperature.value_or(evaluation.temperature) > 0;
    if (!draws) greedy_sets_.insert(At(sets_, set.name));
  }
  for (const coordinator::Job& job : experiment.jobs) {
    JobInfo& info = jobs_[job.plan.id];
    info.is_trained = job.plan.spec.training.has_value();
    info.is_first_seed = job.plan.spec.seed == spec_.seeds.front();
    for (const core::ArmSeed& owner : job.plan.arms) {
      int32_t seed = 0;
      while (table_.seeds[static_cast<size_t>(seed)] != owner.seed) ++seed;
      info.owners.push_back({At(arms, owner.arm), seed});
      if (info.is_trained) {
        study::ArmInfo& arm = table_.arms[static_cast<size_t>(info.owners.back().arm)];
        arm.final_step = std::max(arm.final_step, LastStep(job));
      }
    }
  }
}

int32_t Scores::PromptAt(const std::string& id) {
  const auto [at, is_new] = prompts_.emplace(id, static_cast<int32_t>(table_.prompts.size()));
  if (is_new) table_.prompts.push_back(id);
  return at->second;
}

absl::Status Scores::Add(const store::StoredSample& stored) {
  const auto job = jobs_.find(stored.job);
  const store::Sample& sample = stored.sample;
  const int32_t set = At(sets_, sample.prompt_set);
  const int32_t context = At(contexts_, sample.context);
  if (job == jobs_.end() || set == study::kNone || context == study::kNone) {
    return absl::OkStatus();
  }
  // Greedy answers of the base model are the same for each seed.
  if (!job->second.is_trained && !job->second.is_first_seed && greedy_sets_.count(set) > 0) {
    return absl::OkStatus();
  }
  const int32_t prompt = PromptAt(sample.prompt_id);
  int32_t last_arm = study::kNone;
  for (const Owner& owner : job->second.owners) {
    // The base model has no seed: what several seeds of an arm share of it counts once, and what
    // was drawn for each of them are further answers to the prompt.
    if (!job->second.is_trained && owner.arm == last_arm) continue;
    last_arm = owner.arm;
    const int32_t seed = job->second.is_trained ? owner.seed : 0;
    const int32_t first =
        job->second.is_trained ? 0 : owner.seed * 1000;  // evaluation.samples is at most 1000
    for (const auto& [name, value] : sample.scores) {
      const int32_t trait = At(traits_, name);
      if (trait == study::kNone) continue;
      table_.rows.push_back({owner.arm, seed, sample.step, set, context, trait, prompt,
                             first + sample.sample_idx,
                             value.value_or(std::numeric_limits<double>::quiet_NaN())});
    }
  }
  if (table_.rows.size() > kMaxScores) {
    return absl::ResourceExhaustedError("the experiment has more than 5,000,000 scores");
  }
  return absl::OkStatus();
}

void Scores::Add(const store::Cell& cell) {
  const auto job = jobs_.find(cell.job);
  const int32_t set = At(sets_, cell.prompt_set);
  const int32_t context = At(contexts_, cell.context);
  if (job == jobs_.end() || set == study::kNone || context == study::kNone) return;
  for (const Owner& owner : job->second.owners) {
    degenerate_.push_back(
        {owner.arm, owner.seed, cell.step, set, context, cell.num_samples, cell.num_degenerate});
  }
}

void Scores::Add(const store::FeedRow& row) {
  if (const auto* point = std::get_if<store::TrainPoint>(&row.value)) {
    losses_[point->job][point->step.step] = point->step.loss;
  } else if (const auto* rewind = std::get_if<store::Rewind>(&row.value)) {
    std::map<int32_t, double>& curve = losses_[rewind->job];
    curve.erase(curve.upper_bound(rewind->step), curve.end());
  }
}

std::vector<study::LossCurve> Scores::Losses() const {
  std::vector<study::LossCurve> curves;
  for (const auto& [job, points] : losses_) {
    const auto info = jobs_.find(job);
    if (info == jobs_.end()) continue;
    for (const Owner& owner : info->second.owners) {
      study::LossCurve curve{owner.arm, owner.seed, {}};
      for (const auto& [step, loss] : points) curve.losses.push_back(loss);
      curves.push_back(std::move(curve));
    }
  }
  return curves;
}

namespace {

// One page a task of the store's thread.
struct Reading {
  Call call;
  std::shared_ptr<Scores> scores;
  std::function<void(const std::shared_ptr<Scores>&)> done;
  std::optional<store::SampleQuery::Position> after;
  int64_t seq = 0;
};

void Compute(const std::shared_ptr<Reading>& reading) {
  const bool is_posted =
      reading->call.backend->study_tasks->Push([reading] { reading->done(reading->scores); });
  if (!is_posted) reading->call.Finish(Busy());
}

void ReadFeedPage(const std::shared_ptr<Reading>& reading) {
  store::MetricStore& store = *reading->call.backend->metric_store;
  const auto rows = store.ReadFeed(reading->scores->experiment(), reading->seq, kPage);
  if (!rows.ok()) return reading->call.Finish(rows.status());
  for (const store::FeedRow& row : *rows) reading->scores->Add(row);
  if (rows->size() < static_cast<size_t>(kPage)) return Compute(reading);
  reading->seq = rows->back().seq;
  reading->call.OnStoreThread([reading] { ReadFeedPage(reading); });
}

void ReadSamplePage(const std::shared_ptr<Reading>& reading) {
  store::MetricStore& store = *reading->call.backend->metric_store;
  store::SampleQuery query;
  query.experiment = reading->scores->experiment();
  query.after = reading->after;
  query.limit = kPage;
  const auto page = store.Samples(query);
  if (!page.ok()) return reading->call.Finish(page.status());
  for (const store::StoredSample& stored : page->samples) {
    const absl::Status added = reading->scores->Add(stored);
    if (!added.ok()) return reading->call.Finish(added);
  }
  if (page->has_more) {
    const store::StoredSample& last = page->samples.back();
    reading->after = {last.job,
                      last.sample.step,
                      last.sample.prompt_set,
                      last.sample.context,
                      last.sample.prompt_id,
                      last.sample.sample_idx};
    return reading->call.OnStoreThread([reading] { ReadSamplePage(reading); });
  }
  const auto cells = store.Cells(reading->scores->experiment());
  if (!cells.ok()) return reading->call.Finish(cells.status());
  for (const store::Cell& cell : *cells) reading->scores->Add(cell);
  reading->call.OnStoreThread([reading] { ReadFeedPage(reading); });
}

}  // namespace

void ReadScores(const Call& call, std::shared_ptr<Scores> scores,
                std::function<void(const std::shared_ptr<Scores>&)> done) {
  auto reading =
      std::make_shared<Reading>(Reading{call, std::move(scores), std::move(done), std::nullopt, 0});
  call.OnStoreThread([reading] { ReadSamplePage(reading); });
}

}  // namespace jenner::rpc
