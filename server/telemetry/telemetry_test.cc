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
#include "server/telemetry/log.h"
#include "server/telemetry/metrics.h"

namespace jenner::telemetry {
namespace {

using coordinator::RunState;
using ::testing::HasSubstr;
using ::testing::Not;

std::string Scrape(int port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(port));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return "";
  const std::string request = "GET /metrics HTTP/1.0\r\nHost: x\r\n\r\n";
  if (write(fd, request.data(), request.size()) < 0) return "";
  std::string answer;
  char buffer[4096];
  for (ssize_t size; (size = read(fd, buffer, sizeof buffer)) > 0;) {
    answer.append(buffer, static_cast<size_t>(size));
  }
  close(fd);
  const size_t body = answer.find("\r\n\r\n");
  return body == std::string::npos ? answer : answer.substr(body + 4);
}

coordinator::State OneJob(RunState state, absl::Time end) {
  coordinator::State result;
  coordinator::Experiment& experiment = result.experiments["e1"];
  experiment.id = "e1";
  experiment.state = state;
  experiment.jobs.resize(1);
  experiment.jobs[0].plan.id = "j1";
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
  metrics.Train(kOwner, {7, 1.25, 100, 50});
  metrics.Cell(kOwner, 4, "main", "neutral", {{"spanish", 3, 10, 2, 3}, {"capitals", 0, 0, 12, 0}});
  metrics.CallHandled("Experiments/GetExperiment", "OK");
  metrics.StoreCommitted("events", absl::Milliseconds(2));
  metrics.SetWatchStreams(2);
  metrics.CountEvent(
      {absl::FromUnixSeconds(1), coordinator::JobRequeued{"e1", "j1", {"WORKER_LOST", "", ""}}},
      OneJob(RunState::kQueued, absl::InfinitePast()));
}

TEST(Metrics, ShowsWhatItWasTold) {
  Metrics metrics("1.2.3");
  Fill(metrics);
  metrics.Observe(OneJob(RunState::kRunning, absl::InfinitePast()), absl::FromUnixSeconds(10));
  const std::string text = metrics.Text();
  for (const char* line :
       {"jenner_build_info{version=\"1.2.3\"} 1", "jenner_experiments{state=\"running\"} 1",
        "jenner_experiments{state=\"failed\"} 0", "jenner_jobs{state=\"running\"} 1",
        "jenner_workers{state=\"alive\"} 1", "jenner_slots{state=\"free\"} 3",
        "jenner_train_loss{arm=\"plain\",experiment=\"e1\",job=\"j1\",seed=\"2\"} 1.25",
        "jenner_train_tokens_total{arm=\"plain\",experiment=\"e1\",job=\"j1\",seed=\"1\"} 100",
        "jenner_eval_trait_ratio{arm=\"plain\",context=\"neutral\",experiment=\"e1\","
        "prompt_set=\"main\",seed=\"1\","
        "trait=\"spanish\"} 0.3",
        "jenner_eval_trait_not_measurable{arm=\"plain\",context=\"neutral\",experiment=\"e1\","
        "prompt_set=\"main\",seed=\"1\",trait=\"capitals\"} 12",
        "jenner_watch_streams 2", "jenner_events_total 1",
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
  metrics.CountEvent({end, coordinator::ExperimentDeleted{"e1"}}, {});
  EXPECT_THAT(metrics.Text(), Not(HasSubstr("experiment=\"e1\"")));
}

TEST(Metrics, TheNumberOfSeriesIsBounded) {
  Metrics metrics("1");
  SeriesOwner owner{"e1", "j1", {}};
  for (int i = 0; i < Metrics::kMaxSeries; ++i) owner.arms.emplace_back("arm", i);
  metrics.Train(owner, {1, 1, 1, 1});
  EXPECT_THAT(metrics.Text(), HasSubstr(absl::StrFormat("jenner_series_dropped_total %d",
                                                        3 * Metrics::kMaxSeries)));
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
    // The library counts its own scrapes, too ("exposer_...").
    if (line.rfind("# TYPE jenner_", 0) == 0) seen.insert(line.substr(7, line.find(' ', 7) - 7));
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

TEST(Exposer, ATakenPortIsAClearError) {
  Metrics metrics("1");
  auto first = Exposer::Start("127.0.0.1:0", metrics);
  ASSERT_TRUE(first.ok());
  const std::string taken = absl::StrFormat("127.0.0.1:%d", (*first)->port());
  const absl::Status second = Exposer::Start(taken, metrics).status();
  EXPECT_TRUE(absl::IsFailedPrecondition(second));
  EXPECT_THAT(std::string(second.message()), HasSubstr(taken));
}

TEST(Log, ALineIsOneLine) {
  EXPECT_EQ(
      LogLine(absl::FromUnixMillis(1'700'000'000'123), Level::kError, "it broke",
              {{"code", "X=1"}, {"path", "/a/b"}, {"text", "two\nlines \"q\""}, {"none", ""}}),
      "time=2023-11-14T22:13:20.123Z level=error msg=\"it broke\" code=\"X=1\" path=/a/b "
      "text=\"two\\nlines \\\"q\\\"\" none=\"\"\n");
}

}  // namespace
}  // namespace jenner::telemetry
