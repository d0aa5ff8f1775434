#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <set>
#include <sstream>

#include "absl/strings/str_format.h"
#include "core/statistics/wilson.h"
#include "server/telemetry/exposer.h"
#include "server/telemetry/metrics.h"

namespace jenner::telemetry {
namespace {

using coordinator::RunState;
using ::testing::HasSubstr;
using ::testing::Not;

// The answer to a GET, with its first line and headers.
std::string Get(int port, const std::string& path) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request = "GET " + path + " HTTP/1.0\r\nHost: x\r\n\r\n";
  if (write(fd, request.data(), request.size()) < 0) return "";
  std::string answer;
  char buffer[4096];
  for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  close(fd);
  return answer;
}

std::string Scrape(int port) {
  const std::string answer = Get(port, "/metrics");
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? answer : answer.substr(body + 4);
}

coordinator::State OneJob(RunState state, absl::Time end) {
  coordinator::State result;
  coordinator::Experiment& experiment = result.experiments["e1"];
  experiment.id = "e1";
  experiment.state = state;
  experiment.end_time = end;
  experiment.spec.arms = {{"plain", {}, "no-inoculation"}};
  experiment.jobs.resize(1);
  experiment.jobs[0].plan.id = "j1";
  experiment.jobs[0].plan.arms = {{"plain", 1}, {"plain", 2}};
  experiment.jobs[0].plan.spec.training.emplace();
  experiment.jobs[0].state = state;
  experiment.jobs[0].end_time = end;
  coordinator::WorkerInfo& worker = result.liveness.workers["w1"];
  worker.boot_id = "b1";
  worker.slots = 3;
  worker.lease_until = absl::FromUnixSeconds(1000);
  return result;
}

const SeriesOwner kOwner = {"e1", "j1", {{"plain", 1}, {"plain", 2}}};

void Fill(Metrics& metrics) {
  metrics.Train(kOwner, {7, 1.25, 100, 50, 0.75, 0.001, absl::FromUnixSeconds(123)});
  metrics.Cell(kOwner, 4, "main", "neutral", {{"spanish", 3, 10, 2, 3}, {"capitals", 0, 0, 12, 0}});
  metrics.CallHandled("Experiments/GetExperiment", "OK");
  metrics.StoreCommitted("events", absl::Milliseconds(2));
  metrics.SetWatchStreams(2);
  metrics.SetWatchStall(absl::Milliseconds(1500));
  metrics.WatchCut();
  metrics.RetentionEnded(absl::FromUnixSeconds(77));
  coordinator::State state = OneJob(RunState::kQueued, absl::InfinitePast());
  const absl::Time now = absl::FromUnixSeconds(1);
  metrics.CountEvent({now, coordinator::JobRequeued{"e1", "j1", {"WORKER_LOST", "", ""}}}, state);
  for (const RunState end : {RunState::kFailed, RunState::kCancelled}) {
    metrics.CountEvent({now, coordinator::JobEnded{"e1", "j1", end, {"BAD_DATA", "", ""}}}, state);
  }
  state.experiments["e1"].jobs[0].attempt = 3;
  state.experiments["e1"].jobs[0].queue_time = now;
  metrics.CountEvent({now, coordinator::AttemptStarted{"e1", "j1", 3, {}}}, state);
  metrics.Leads(4);
}

TEST(Metrics, ShowsWhatItWasTold) {
  Metrics metrics("1.2.3");
  Fill(metrics);
  coordinator::State running = OneJob(RunState::kRunning, absl::InfinitePast());
  running.experiments["e1"].jobs[0].ranks.resize(1);
  metrics.Observe(running, absl::FromUnixSeconds(10));
  const std::string text = metrics.Text();
  for (const char* line :
       {"jenner_build_info{version=\"1.2.3\"} 1",
        "jenner_experiments{state=\"running\"} 1",
        "jenner_experiments{state=\"failed\"} 0",
        "jenner_jobs{state=\"running\"} 1",
        "jenner_workers{state=\"alive\"} 1",
        "jenner_slots{state=\"free\"} 3",
        "jenner_train_loss{arm=\"plain\",experiment=\"e1\",job_id=\"j1\",seed=\"2\"} 1.25",
        "jenner_train_tokens_total{arm=\"plain\",experiment=\"e1\",job_id=\"j1\",seed=\"1\"} 100",
        "jenner_train_gradient_norm{arm=\"plain\",experiment=\"e1\",job_id=\"j1\",seed=\"1\"} 0.75",
        "jenner_train_learning_rate{arm=\"plain\",experiment=\"e1\",job_id=\"j1\",seed=\"1\"} "
        "0.001",
        "jenner_train_last_step_timestamp_seconds{arm=\"plain\",experiment=\"e1\",job_id=\"j1\","
        "seed=\"1\"} 123",
        "jenner_train_attempts{arm=\"plain\",experiment=\"e1\",job_id=\"j1\",seed=\"2\"} 3",
        "jenner_arm_info{arm=\"plain\",experiment=\"e1\",role=\"no-inoculation\"} 1",
        "jenner_job_failures_total{reason=\"BAD_DATA\"} 1",
        "jenner_watch_stall_seconds 1.5",
        "jenner_watch_cut_total 1",
        "jenner_retention_last_run_timestamp_seconds 77",
        "jenner_leader 1",
        "jenner_leader_epoch 4",
        "jenner_eval_trait_ratio{arm=\"plain\",context=\"neutral\",experiment=\"e1\","
        "prompt_set=\"main\",seed=\"1\","
        "trait=\"spanish\"} 0.3",
        "jenner_eval_trait_not_measurable{arm=\"plain\",context=\"neutral\",experiment=\"e1\","
        "prompt_set=\"main\",seed=\"1\",trait=\"capitals\"} 12",
        "jenner_watch_streams 2",
        "jenner_events_total 4",
        "jenner_grpc_handled_total{code=\"OK\",method=\"Experiments/GetExperiment\"} 1",
        "jenner_job_requeues_total{reason=\"WORKER_LOST\"} 1"}) {
    EXPECT_THAT(text, HasSubstr(line));
  }
  EXPECT_THAT(
      text, Not(HasSubstr("jenner_eval_trait_ratio{arm=\"plain\",context=\"neutral\","
                          "experiment=\"e1\",prompt_set=\"main\",seed=\"1\",trait=\"capitals\"}")))
      << "no ratio where nothing was measured";
  // A lost worker's slots are nobody's.
  metrics.Observe(OneJob(RunState::kRunning, absl::InfinitePast()), absl::FromUnixSeconds(2000));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_workers{state=\"lost\"} 1"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_slots{state=\"free\"} 0"));
}

TEST(Metrics, TheLatestStepIsShown) {
  Metrics metrics("1");
  metrics.Cell(kOwner, 8, "main", "neutral", {{"spanish", 1, 2, 0, 1}});
  metrics.Cell(kOwner, 4, "main", "neutral", {{"spanish", 2, 2, 0, 2}});
  EXPECT_THAT(metrics.Text(), HasSubstr("seed=\"1\",trait=\"spanish\"} 0.5"));
}

TEST(Metrics, ALateCellOfAnEarlierStepDoesNotTakeTheSeriesToItsJob) {
  const absl::Time now = absl::FromUnixSeconds(100'000);
  coordinator::State state = OneJob(RunState::kRunning, absl::InfinitePast());
  coordinator::Experiment& experiment = state.experiments["e1"];
  experiment.jobs.resize(2);
  experiment.jobs[1].plan.id = "base";
  experiment.jobs[1].state = RunState::kSucceeded;
  experiment.jobs[1].end_time = now - 2 * Metrics::kGrace;
  Metrics metrics("1");
  metrics.Cell(kOwner, 8, "main", "neutral", {{"spanish", 1, 2, 0, 1}});
  SeriesOwner base = kOwner;
  base.job = "base";
  metrics.Cell(base, 0, "main", "neutral", {{"spanish", 2, 2, 0, 2}});
  metrics.Observe(state, now);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_eval_step{arm=\"plain\",context=\"neutral\","
                                        "experiment=\"e1\",prompt_set=\"main\",seed=\"1\"} 8"));
}

TEST(Metrics, SeveralAnswersAPromptHaveNoInterval) {
  Metrics metrics("1");
  SeriesOwner owner = kOwner;
  owner.format.answers_per_prompt["main"] = 2;
  metrics.Cell(owner, 8, "main", "neutral", {{"spanish", 1, 2, 0, 1}});
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_eval_trait_ratio{"));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("jenner_eval_trait_ratio_ci_low{")));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("jenner_eval_trait_ratio_ci_high{")));
}

TEST(Metrics, SeriesEndWithTheirJobOrExperiment) {
  const absl::Time end = absl::FromUnixSeconds(100);
  Metrics metrics("1");
  Fill(metrics);
  metrics.Observe(OneJob(RunState::kSucceeded, end), end + Metrics::kGrace);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_train_loss{"));
  metrics.Observe(OneJob(RunState::kSucceeded, end), end + Metrics::kGrace + absl::Seconds(1));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("experiment=\"e1\"")));
  Fill(metrics);
  EXPECT_THAT(metrics.Text(), HasSubstr("experiment=\"e1\""));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_arm_info{"));
  metrics.CountEvent({end, coordinator::ExperimentDeleted{"e1"}}, {});
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("experiment=\"e1\"")));
}

TEST(Metrics, TheNumberOfSeriesIsBounded) {
  Metrics metrics("1");
  SeriesOwner owner{"e1", "j1", {}};
  for (int i = 0; i < Metrics::kMaxSeries; ++i) owner.arms.emplace_back("arm", i);
  metrics.Train(owner, {1, 1, 1, 1});
  EXPECT_THAT(metrics.Text(), HasSubstr(absl::StrFormat("jenner_series_dropped_total %d",
                                                        6 * Metrics::kMaxSeries)));
}

TEST(Metrics, TheTimeOfTheLastStepIsShownWhileAJobRuns) {
  Metrics metrics("1");
  Fill(metrics);
  coordinator::State state = OneJob(RunState::kRunning, absl::InfinitePast());
  state.experiments["e1"].jobs[0].ranks.resize(1);
  metrics.Observe(state, absl::FromUnixSeconds(10));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_train_last_step_timestamp_seconds{"));
  state.experiments["e1"].jobs[0].ranks.clear();
  metrics.Observe(state, absl::FromUnixSeconds(11));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("jenner_train_last_step_timestamp_seconds{")));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_train_step{"));
}

TEST(Metrics, AttemptsAndRolesAreShownAfterAReplay) {
  Metrics metrics("1");
  coordinator::State state = OneJob(RunState::kQueued, absl::InfinitePast());
  metrics.ShowJobs(state);
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("experiment=\"e1\""))) << "it was never tried";
  state.experiments["e1"].jobs[0].attempt = 2;
  metrics.ShowJobs(state);
  EXPECT_THAT(metrics.Text(), HasSubstr("job_id=\"j1\",seed=\"1\"} 2"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_arm_info{"));
}

TEST(Metrics, WhatQueuedJobsWaitForIsLookedAtNowAndThen) {
  Metrics metrics("1");
  const auto waits = [&](const char* reason) {
    return absl::StrFormat("jenner_queued_jobs{reason=\"%s\"} 1", reason);
  };
  coordinator::State state = OneJob(RunState::kQueued, absl::InfinitePast());
  absl::Time now = absl::FromUnixSeconds(10);
  metrics.LookAtQueue(state, now);
  EXPECT_THAT(metrics.Text(), HasSubstr(waits("MODEL_NOT_FOUND")));
  state.liveness.workers.clear();
  now += Metrics::kQueueLook - absl::Milliseconds(1);
  metrics.LookAtQueue(state, now);
  EXPECT_THAT(metrics.Text(), HasSubstr(waits("MODEL_NOT_FOUND")));
  metrics.LookAtQueue(state, now + absl::Milliseconds(1));
  EXPECT_THAT(metrics.Text(), HasSubstr(waits("NO_WORKERS")));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_queued_jobs{reason=\"MODEL_NOT_FOUND\"} 0"));
}

TEST(Metrics, AStandbyTellsWhoItIsAndNoMore) {
  Metrics metrics("1");
  metrics.StandsBy(std::nullopt);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_leader 0"));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("jenner_leader_epoch ")));
  metrics.StandsBy(6);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_leader_epoch 6"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_build_info{"));
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("jenner_jobs")));
  metrics.Leads(7);
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_leader 1"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_leader_epoch 7"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_jobs{"));
}

TEST(Metrics, ReasonsThatAgentsMakeUpAreBounded) {
  Metrics metrics("1");
  for (int i = 0; i < 1000; ++i) {
    metrics.CountEvent(
        {absl::UnixEpoch(),
         coordinator::JobRequeued{"e1", "j1", {absl::StrFormat("CODE_%d", i), "", ""}}},
        {});
  }
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_job_requeues_total{reason=\"CODE_0\"} 1"));
  EXPECT_THAT(metrics.Text(), HasSubstr("jenner_job_requeues_total{reason=\"OTHER\"} 936"));
}

TEST(Exposer, AScrapeHasEveryMetricOfTheTableAndPromtoolLikesIt) {
  Metrics metrics("1.2.3");
  Fill(metrics);
  auto exposer = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  const std::string text = Scrape((*exposer)->port());
  std::set<std::string> seen;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    if (line.rfind("# TYPE ", 0) == 0) seen.insert(line.substr(7, line.find(' ', 7) - 7));
  }
  std::set<std::string> expected;
  for (const MetricRow& row : MetricTable()) expected.insert(row.name);
  EXPECT_EQ(seen, expected);

  if (std::system("command -v promtool > /dev/null") != 0) GTEST_SKIP() << "no promtool";
  const std::string file = ::testing::TempDir() + absl::StrFormat("/scrape-%d", getpid());
  std::ofstream(file) << text;
  EXPECT_EQ(std::system(("promtool check metrics < " + file).c_str()), 0);
  unlink(file.c_str());
}

TEST(Exposer, TellsWhetherItLivesAndIsReady) {
  Metrics metrics("1");
  auto exposer = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(exposer.ok()) << exposer.status();
  const int port = (*exposer)->port();
  EXPECT_THAT(Get(port, "/healthz"), HasSubstr("200 OK"));
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("503 Service Unavailable"));
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("not ready: starting\n"));
  absl::Status status;
  (*exposer)->SetReady([&] { return status; });
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("200 OK"));
  status = absl::UnavailableError("the disk is full");
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("503 Service Unavailable"));
  EXPECT_THAT(Get(port, "/readyz"), HasSubstr("not ready: the disk is full\n"));
  EXPECT_THAT(Get(port, "/healthz"), HasSubstr("200 OK")) << "not ready is not dead";
  EXPECT_THAT(Get(port, "/"), HasSubstr("404 Not Found"));
  EXPECT_THAT(Get(port, "/metrics/x"), HasSubstr("404 Not Found"));
}

TEST(Exposer, ATakenPortIsAClearError) {
  Metrics metrics("1");
  auto first = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrFormat("127.0.0.1:%d", (*first)->port());
  const absl::Status second = Exposer::Start(taken, metrics).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second));
  EXPECT_THAT(std::string(second.message()), HasSubstr(taken));
}

}  // namespace
}  // namespace jenner::telemetry
