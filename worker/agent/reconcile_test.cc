#include "worker/agent/reconcile.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace jenner::agent {
namespace {

RankKey Key(int attempt, int rank, const std::string& job = "j1") {
  return RankKey{"e1", job, attempt, rank};
}

struct Case {
  std::string name;
  std::vector<DesiredRank> desired;
  std::vector<ActualRank> actual;
  ReconcileLimits limits;
  std::vector<Action> want;
};

std::vector<Case> Starts() {
  const ReconcileLimits two{2, false};
  return {
      {"nothing", {}, {}, two, {}},
      {"new rank is prepared", {{Key(1, 0)}}, {}, two, {{ActionKind::kPrepare, Key(1, 0)}}},
      {"preparing goes on", {{Key(1, 0)}}, {{Key(1, 0), Phase::kPreparing}}, two, {}},
      {"ready rank 0 starts",
       {{Key(1, 0)}},
       {{Key(1, 0), Phase::kReady}},
       two,
       {{ActionKind::kStart, Key(1, 0)}}},
      {"rank 1 waits for the store", {{Key(1, 1)}}, {{Key(1, 1), Phase::kReady}}, two, {}},
      {"rank 1 starts with the store",
       {{Key(1, 1), true}},
       {{Key(1, 1), Phase::kReady}},
       two,
       {{ActionKind::kStart, Key(1, 1)}}},
      {"a newer attempt waits for the older process",
       {{Key(2, 0)}},
       {{Key(1, 0), Phase::kRunning}, {Key(2, 0), Phase::kReady}},
       two,
       {{ActionKind::kStop, Key(1, 0)}}},
      {"no more processes than slots",
       {{Key(1, 0)}, {Key(1, 0, "j2")}, {Key(1, 0, "j3")}},
       {{Key(1, 0), Phase::kReady},
        {Key(1, 0, "j2"), Phase::kReady},
        {Key(1, 0, "j3"), Phase::kReady}},
       two,
       {{ActionKind::kStart, Key(1, 0)}, {ActionKind::kStart, Key(1, 0, "j2")}}},
      {"a rank that is dying holds its slot",
       {{Key(1, 0, "j2")}},
       {{Key(1, 0), Phase::kRunning, true}, {Key(1, 0, "j2"), Phase::kReady}},
       {1, false},
       {}},
      {"a rank on a GPU takes no slot",
       {{Key(1, 0)}, {Key(1, 0, "j2")}},
       {{Key(1, 0), Phase::kRunning}, {Key(1, 0, "j2"), Phase::kReady, false, false, true}},
       {1, false, 1},
       {{ActionKind::kStart, Key(1, 0, "j2")}}},
      {"a rank that is dying holds its GPU",
       {{Key(1, 0, "j2")}},
       {{Key(1, 0), Phase::kRunning, true, false, true},
        {Key(1, 0, "j2"), Phase::kReady, false, false, true}},
       {1, false, 1},
       {}},
      {"without any GPU it fails at once",
       {{Key(1, 0)}},
       {{Key(1, 0), Phase::kReady, false, false, true}},
       two,
       {{ActionKind::kStart, Key(1, 0)}}},
  };
}

std::vector<Case> Stops() {
  const ReconcileLimits two{2, false};
  const ReconcileLimits draining{2, true};
  const DesiredRank stopped{Key(1, 0), false, true};
  const DesiredRank killed{Key(1, 0), false, true, true};
  return {
      {"unwanted process is stopped",
       {},
       {{Key(1, 0), Phase::kRunning}},
       two,
       {{ActionKind::kStop, Key(1, 0)}}},
      {"once", {}, {{Key(1, 0), Phase::kRunning, true}}, two, {}},
      {"unwanted, prepared only: dropped",
       {},
       {{Key(1, 0), Phase::kReady}, {Key(2, 0), Phase::kPreparing}},
       two,
       {{ActionKind::kDrop, Key(1, 0)}, {ActionKind::kDrop, Key(2, 0)}}},
      {"unwanted uploads are dropped",
       {},
       {{Key(1, 0), Phase::kUploading}},
       two,
       {{ActionKind::kDrop, Key(1, 0)}}},
      {"ended and known: dropped",
       {},
       {{Key(1, 0), Phase::kEnded}},
       two,
       {{ActionKind::kDrop, Key(1, 0)}}},
      {"ended and still assigned: reported on",
       {{Key(1, 0)}},
       {{Key(1, 0), Phase::kEnded}},
       two,
       {}},
      {"cancel without a process", {stopped}, {}, two, {{ActionKind::kEnd, Key(1, 0)}}},
      {"cancel while preparing",
       {stopped},
       {{Key(1, 0), Phase::kPreparing}},
       two,
       {{ActionKind::kEnd, Key(1, 0)}}},
      {"cancel a process",
       {stopped},
       {{Key(1, 0), Phase::kRunning}},
       two,
       {{ActionKind::kStop, Key(1, 0)}}},
      {"kill", {killed}, {{Key(1, 0), Phase::kRunning}}, two, {{ActionKind::kKill, Key(1, 0)}}},
      {"kill after a cancel",
       {killed},
       {{Key(1, 0), Phase::kRunning, true}},
       two,
       {{ActionKind::kKill, Key(1, 0)}}},
      {"kill twice", {killed}, {{Key(1, 0), Phase::kRunning, true, true}}, two, {}},
      {"cancel twice", {stopped}, {{Key(1, 0), Phase::kRunning, true}}, two, {}},
      {"cancel during uploads: they go on", {stopped}, {{Key(1, 0), Phase::kUploading}}, two, {}},
      {"draining stops all and starts nothing",
       {{Key(1, 0)}, {Key(1, 0, "j2")}, {Key(1, 0, "j3")}},
       {{Key(1, 0), Phase::kRunning}, {Key(1, 0, "j2"), Phase::kReady}},
       draining,
       {{ActionKind::kStop, Key(1, 0)},
        {ActionKind::kEnd, Key(1, 0, "j2")},
        {ActionKind::kEnd, Key(1, 0, "j3")}}},
  };
}

void Check(const std::vector<Case>& cases) {
  for (const Case& test : cases) {
    EXPECT_EQ(Reconcile(test.desired, test.actual, test.limits), test.want) << test.name;
  }
}

TEST(Reconcile, Starts) { Check(Starts()); }
TEST(Reconcile, Stops) { Check(Stops()); }

}  // namespace
}  // namespace jenner::agent
