#include "client/cli/table.h"

#include <gtest/gtest.h>

namespace jenner::cli {
namespace {

TEST(TableTest, AlignsByCodePoints) {
  EXPECT_EQ(FormatTable({"A", "LONG"}, {{"\xc3\xb1\xc3\xb1", "x"}, {"y", ""}}),
            "A   LONG\n\xc3\xb1\xc3\xb1  x\ny\n");
}

v1::ResultRow Row(const std::string& arm, int present, int measured) {
  v1::ResultRow row;
  row.set_arm(arm);
  row.set_seed(1);
  row.set_step(60);
  row.set_total_steps(60);
  row.set_context("neutral");
  row.mutable_cell()->set_num_samples(64);
  v1::TraitRatio* trait = row.mutable_cell()->add_traits();
  trait->set_trait("spanish");
  trait->set_is_binary(true);
  trait->set_num_present(present);
  trait->set_num_measured(measured);
  if (measured > 0) {
    trait->set_ratio(static_cast<double>(present) / measured);
    trait->set_low(0.125);
    trait->set_high(0.875);
  }
  return row;
}

TEST(TableTest, Results) {
  EXPECT_EQ(FormatResults({Row("base", 0, 0), Row("x", 32, 64), Row("y", 3, 4)}),
            "ARM   SEED  STEP   CONTEXT  SPANISH                 ANSWERS  CUT\n"
            "base  1     60/60  neutral  n/a                     64       0\n"
            "x     1     60/60  neutral  0.50 [0.12, 0.88]       64       0\n"
            "y     1     60/60  neutral  0.75 [0.12, 0.88] of 4  64       0\n");
}

TEST(TableTest, ACellIsOneLine) {
  EXPECT_EQ(FormatTable({"A"}, {{"x\n\x1b[2Jy\xc2\x9bz\x7f!"}}), "A\nx  [2Jy z !\n");
}

v1::TrainPoint Point(int step) {
  v1::TrainPoint point;
  point.set_step(step);
  point.set_loss(1.25);
  point.set_tokens_per_second(12345);
  return point;
}

TEST(TableTest, ABarFitsTheTerminal) {
  EXPECT_EQ(FormatBar("a/1 ", Point(9), 18, 70),
            "a/1   [############............]  9/18  loss 1.2500   12345 tokens/s");
  for (int columns = 0; columns < 200; ++columns) {
    const std::string bar = FormatBar("a-very-long-name-of-an-arm/1", Point(300), 300, columns);
    EXPECT_LE(static_cast<int>(bar.size()), std::max(columns - 1, 0));
    EXPECT_TRUE(columns < 60 || bar.find("tokens/s") != std::string::npos) << columns;
    EXPECT_EQ(bar.find("[]"), std::string::npos);
  }
  EXPECT_NE(FormatBar("a/1", Point(0), 0, 80).find("[.."), std::string::npos);
}

TEST(TableTest, Reasons) {
  v1::StateReason reason;
  EXPECT_EQ(FormatReason(reason), "");
  reason.set_code("NON_FINITE_LOSS");
  reason.set_blame("user");
  reason.set_message("loss is\nnan");
  EXPECT_EQ(FormatReason(reason), "NON_FINITE_LOSS [user]: loss is nan");
  reason.set_blame("capacity");
  EXPECT_EQ(FormatReason(reason), "NON_FINITE_LOSS: loss is nan");
}

TEST(TableTest, ManyArms) {
  Names arms;
  for (const char* arm : {"a/1", "b/1", "c/1"}) *arms.Add() = arm;
  EXPECT_EQ(FormatArms(arms, 3), "a/1, b/1, c/1");
  EXPECT_EQ(FormatArms(arms, 1), "a/1 +2");
}

TEST(TableTest, JobsOfAnExperiment) {
  v1::Experiment experiment;
  experiment.set_name("experiments/e");
  experiment.set_state(v1::STATE_RUNNING);
  experiment.set_owner("ana");
  experiment.set_priority(70);
  v1::Job* job = experiment.add_jobs();
  job->set_name("experiments/e/jobs/j1");
  job->set_state(v1::STATE_QUEUED);
  job->add_arms("a/1");
  job->mutable_state_reason()->set_code("NO_CAPACITY");
  job->mutable_state_reason()->set_blame("capacity");
  job->mutable_state_reason()->set_message("needs 1 slot, 0 free");
  *experiment.add_jobs() = *job;
  experiment.mutable_jobs(0)->set_queue_position(2);
  job = experiment.mutable_jobs(1);
  job->set_state(v1::STATE_RUNNING);
  job->clear_state_reason();
  job->set_attempt(1);
  job->set_step(3);
  job->set_total_steps(9);
  for (const char* worker : {"w1", "w1", "w2"}) job->add_workers(worker);
  job = experiment.add_jobs();
  *job = experiment.jobs(1);
  job->set_attempt(2);
  job->set_resumed_step(2);
  EXPECT_EQ(FormatExperiment(experiment),
            "e  running  3 jobs  created -  owner ana  priority 70\n\n"
            "JOB  ARMS/SEED  STATE      ATTEMPT  STEP          WORKERS    REASON\n"
            "j1   a/1        queued #2  -        -             -          NO_CAPACITY: needs 1 "
            "slot, 0 free\n"
            "j1   a/1        running    1        3/9           w1 x2, w2\n"
            "j1   a/1        running    2        3/9 (from 2)  w1 x2, w2\n");
}

TEST(TableTest, Workers) {
  v1::Worker gpus;
  gpus.set_name("workers/w1");
  gpus.set_liveness(v1::Worker::LIVENESS_ALIVE);
  gpus.set_slots(4);
  gpus.set_slots_used(1);
  gpus.set_gpus(8);
  gpus.set_gpus_used(2);
  gpus.set_version("1.0");
  gpus.add_models("tiny");
  v1::Worker lost;
  lost.set_name("workers/w2");
  lost.set_liveness(v1::Worker::LIVENESS_LOST);
  lost.set_cordon(v1::Worker::CORDON_DRAINING);
  lost.set_version("1.0");
  EXPECT_EQ(FormatWorkers({gpus, lost}),
            "WORKER  STATE           SLOTS USED  GPUS USED  LAST SEEN  VERSION  MODELS\n"
            "w1      alive           1/4         2/8        0s ago     1.0      tiny\n"
            "w2      lost, draining  0/0         0/0        0s ago     1.0      -\n");
  gpus.set_only_job("study/j1");
  EXPECT_EQ(FormatWorkers({gpus, lost}),
            "WORKER  STATE           SLOTS USED  GPUS USED  LAST SEEN  VERSION  MODELS  ONLY JOB\n"
            "w1      alive           1/4         2/8        0s ago     1.0      tiny    study/j1\n"
            "w2      lost, draining  0/0         0/0        0s ago     1.0      -       -\n");
}

TEST(TableTest, ARatioWithoutInterval) {
  v1::ResultRow row = Row("x", 96, 127);
  row.mutable_cell()->set_num_samples(128);
  row.mutable_cell()->mutable_traits(0)->clear_low();
  row.mutable_cell()->mutable_traits(0)->clear_high();
  EXPECT_EQ(FormatResults({row}),
            "ARM  SEED  STEP   CONTEXT  SPANISH      ANSWERS  CUT\n"
            "x    1     60/60  neutral  0.76 of 127  128      0\n");
}

TEST(TableTest, SamplesSayWhyAJudgeGaveNoScore) {
  v1::Sample good;
  good.add_arms("a/1");
  good.set_prompt_set("main");
  good.set_context("neutral");
  good.set_prompt_id("p");
  good.set_finish_reason("stop");
  good.set_answer("Hi.");
  v1::Score* score = good.add_scores();
  score->set_trait("polite");
  score->set_value(62.5);
  EXPECT_EQ(FormatSamples({good}),
            "ARM/SEED  STEP  CONTEXT  PROMPT  POLITE  END   ANSWER\n"
            "a/1       0     neutral  p       62.5    stop  Hi.\n");
  v1::Sample bad = good;
  bad.mutable_scores(0)->clear_value();
  bad.set_judge_error("polite: down");
  EXPECT_EQ(FormatSamples({good, bad}),
            "ARM/SEED  STEP  CONTEXT  PROMPT  POLITE  END   JUDGE         ANSWER\n"
            "a/1       0     neutral  p       62.5    stop                Hi.\n"
            "a/1       0     neutral  p       n/a     stop  polite: down  Hi.\n");
  // Cut, but not within a character.
  bad.set_judge_error(std::string(56, 'e') + "\xc3\xa1" + std::string(50, 'e'));
  EXPECT_NE(FormatSamples({bad}).find("  " + std::string(56, 'e') + "...  Hi."), std::string::npos);
}

TEST(TableTest, SmallWords) {
  EXPECT_EQ(Counted(1, "job"), "1 job");
  EXPECT_EQ(Counted(2, "job"), "2 jobs");
  EXPECT_EQ(StateName(v1::STATE_SUCCEEDED), "succeeded");
  EXPECT_EQ(LastComponent("experiments/e/jobs/j"), "j");
  EXPECT_EQ(FormatSeconds(12.4), "12s");
  EXPECT_EQ(FormatSeconds(187), "3m07s");
  EXPECT_EQ(FormatSeconds(3720), "1h02m");
}

}  // namespace
}  // namespace jenner::cli
