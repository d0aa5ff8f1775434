#include "worker/agent/reconcile.h"

#include <algorithm>
#include <map>
#include <optional>

namespace jenner::agent {
namespace {

// What to do about a rank that is here but was not asked for.
std::optional<ActionKind> ForUnwanted(const ActualRank& rank) {
  if (rank.phase != Phase::kRunning) return ActionKind::kDrop;
  if (rank.stopping) return std::nullopt;
  return ActionKind::kStop;
}

// What to do about an assigned rank that is to be stopped; `rank` is null if there is none.
std::optional<ActionKind> ForStopped(const ActualRank* rank, bool kill) {
  if (rank == nullptr) return ActionKind::kEnd;
  switch (rank->phase) {
    case Phase::kPreparing:
    case Phase::kReady:
      return ActionKind::kEnd;
    case Phase::kRunning:
      if (kill && !rank->killing) return ActionKind::kKill;
      if (rank->stopping || rank->killing) return std::nullopt;
      return ActionKind::kStop;
    case Phase::kUploading:
    case Phase::kEnded:
      return std::nullopt;
  }
  return std::nullopt;
}

bool OlderAttemptRuns(const std::vector<ActualRank>& actual, const RankKey& key) {
  return std::any_of(actual.begin(), actual.end(), [&](const ActualRank& other) {
    return other.phase == Phase::kRunning && other.key.experiment == key.experiment &&
           other.key.job == key.job && other.key.attempt < key.attempt;
  });
}

int Urgency(const Action& action) {
  switch (action.kind) {
    case ActionKind::kStop:
    case ActionKind::kKill:
      return 0;
    case ActionKind::kDrop:
      return 1;
    case ActionKind::kEnd:
      return 2;
    case ActionKind::kStart:
      return 3;
    case ActionKind::kPrepare:
      return 4;
  }
  return 5;
}

}  // namespace

std::vector<Action> Reconcile(const std::vector<DesiredRank>& desired,
                              const std::vector<ActualRank>& actual, ReconcileLimits limits) {
  std::map<RankKey, const DesiredRank*> wanted;
  for (const DesiredRank& rank : desired) wanted[rank.key] = &rank;
  std::map<RankKey, const ActualRank*> present;
  for (const ActualRank& rank : actual) present[rank.key] = &rank;

  std::vector<Action> actions;
  int free_slots = limits.slots;
  int free_gpus = limits.gpus;
  const auto free_for = [&](const ActualRank& rank) -> int& {
    return rank.on_gpu ? free_gpus : free_slots;
  };
  for (const auto& [key, rank] : present) {
    if (rank->phase == Phase::kRunning) --free_for(*rank);
    if (wanted.contains(key)) continue;
    if (auto kind = ForUnwanted(*rank)) actions.push_back({*kind, key});
  }
  for (const auto& [key, want] : wanted) {
    const auto found = present.find(key);
    const ActualRank* rank = found == present.end() ? nullptr : found->second;
    if (want->stop || limits.draining) {
      if (auto kind = ForStopped(rank, want->kill)) actions.push_back({*kind, key});
    } else if (rank == nullptr) {
      actions.push_back({ActionKind::kPrepare, key});
    } else if (rank->phase == Phase::kReady && (key.rank == 0 || want->has_store) &&
               (free_for(*rank) > 0 || (rank->on_gpu && limits.gpus == 0)) &&
               !OlderAttemptRuns(actual, key)) {
      --free_for(*rank);
      actions.push_back({ActionKind::kStart, key});
    }
  }
  std::stable_sort(actions.begin(), actions.end(),
                   [](const Action& a, const Action& b) { return Urgency(a) < Urgency(b); });
  return actions;
}

}  // namespace jenner::agent
