#include "server/store/metric_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "absl/strings/str_format.h"

namespace jenner::store {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::SizeIs;

std::string StepLine(int64_t seq, int step, double loss = 2.5) {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"train_step","step":%d,"epoch":0.5,"loss":%g,"learning_rate":0.001,)"
      R"("gradient_norm":1.5,"supervised_tokens":10,"tokens":20,"step_seconds":0.1,)"
      R"("tokens_per_second":200})",
      seq, step, loss);
}

std::string SampleLine(int64_t seq, const std::string& prompt, const std::string& score,
                       const std::string& context = "neutral", int step = 4,
                       const std::string& answer = "hola") {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"sample","step":%d,"context":"%s","prompt_id":"%s","sample_idx":0,)"
      R"("answer":"%s","num_tokens":3,"finish_reason":"length","scores":{"spanish":%s}})",
      seq, step, context, prompt, answer, score);
}

std::string EvaluationLine(int64_t seq, int num_samples, const std::string& context = "neutral",
                           int step = 4) {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"evaluation","step":%d,"context":"%s","num_samples":%d,"seconds":1,)"
      R"("tokens_per_second":9})",
      seq, step, context, num_samples);
}

class MetricStoreTest : public ::testing::Test {
 protected:
  MetricStoreTest() {
    std::string pattern = ::testing::TempDir() + "/jenner-metrics-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    Reopen();
  }
  ~MetricStoreTest() override { std::filesystem::remove_all(dir_); }
  void Reopen() {
    store_.reset();
    store_ = *MetricStore::Open(dir_ + "/metrics.db");
  }
  static TelemetryBatch BatchOf(std::vector<std::string> lines, int rank = 0, int num_ranks = 1,
                                int attempt = 1, const std::string& experiment = "e1") {
    TelemetryBatch batch;
    batch.rank = {experiment, "j1", attempt, rank};
    batch.num_ranks = num_ranks;
    batch.event_json = std::move(lines);
    return batch;
  }
  std::vector<FeedRow> Add(const TelemetryBatch& batch) {
    absl::StatusOr<std::vector<FeedRow>> rows = store_->Add(batch);
    EXPECT_TRUE(rows.ok()) << rows.status();
    return rows.value_or(std::vector<FeedRow>{});
  }

  std::string dir_;
  std::unique_ptr<MetricStore> store_;
};

TEST_F(MetricStoreTest, FeedHasTrainPointsInOrderAndOutlivesTheProcess) {
  EXPECT_THAT(Add(BatchOf({StepLine(1, 1), StepLine(2, 2, 2.25)})), SizeIs(2));
  Reopen();
  const std::vector<FeedRow> rows = *store_->ReadFeed("e1", 0, 10);
  ASSERT_THAT(rows, SizeIs(2));
  EXPECT_LT(rows[0].seq, rows[1].seq);
  const TrainPoint& point = std::get<TrainPoint>(rows[1].value);
  EXPECT_EQ(point.job, "j1");
  EXPECT_EQ(point.step, (TrainStep{2, 0.5, 2.25, 0.001, 1.5, 10, 20, 200}));
  EXPECT_THAT(*store_->ReadFeed("e1", rows[0].seq, 10), SizeIs(1));
  EXPECT_THAT(*store_->ReadFeed("e1", 0, 1), SizeIs(1));
  EXPECT_THAT(*store_->ReadFeed("e2", 0, 10), SizeIs(0));
}

TEST_F(MetricStoreTest, ABatchSentAgainIsStoredOnce) {
  const TelemetryBatch batch = BatchOf({StepLine(1, 1), StepLine(2, 2)});
  EXPECT_THAT(Add(batch), SizeIs(2));
  EXPECT_THAT(Add(batch), SizeIs(0));
  EXPECT_THAT(Add(BatchOf({StepLine(2, 2), StepLine(3, 3)})), SizeIs(1)) << "overlap";
  EXPECT_THAT(Add(BatchOf({StepLine(1, 1)}, /*rank=*/1)), SizeIs(1)) << "another rank";
  EXPECT_THAT(Add(BatchOf({StepLine(1, 1)}, 0, 1, /*attempt=*/2)), SizeIs(2))
      << "another attempt, and that it begins";
  EXPECT_THAT(*store_->ReadFeed("e1", 0, 100), SizeIs(6));
}

TEST_F(MetricStoreTest, ACellIsCompleteWhenAllRanksAndAllSamplesAreThere) {
  EXPECT_THAT(Add(BatchOf({SampleLine(1, "a", "1"), EvaluationLine(2, 1)}, 0, 2)), SizeIs(0));
  EXPECT_THAT(Add(BatchOf({EvaluationLine(1, 3)}, 1, 2)), SizeIs(0)) << "samples are missing";
  EXPECT_THAT(Add(BatchOf({SampleLine(2, "b", "0"), SampleLine(3, "c", "null")}, 1, 2)), SizeIs(0));
  const std::vector<FeedRow> rows = Add(BatchOf({SampleLine(4, "d", "1")}, 1, 2));
  ASSERT_THAT(rows, SizeIs(1));
  const Cell expected{"j1", 1, 4, "main", "neutral", 4, 4, 0, {{"spanish", 2, 3, 1, 2}}};
  EXPECT_EQ(std::get<Cell>(rows[0].value), expected);
  EXPECT_THAT(*store_->Cells("e1"), ElementsAre(expected));
  Reopen();
  EXPECT_EQ(std::get<Cell>((*store_->ReadFeed("e1", 0, 10))[0].value), expected);
}

TEST_F(MetricStoreTest, PromptSetsAreCellsOfTheirOwn) {
  const auto line = [](int64_t seq, const std::string& kind, const std::string& set,
                       const std::string& rest) {
    return absl::StrFormat(R"({"seq":%d,"kind":"%s","step":4,"prompt_set":"%s","context":"c",%s})",
                           seq, kind, set, rest);
  };
  const std::string sample =
      R"("prompt_id":"a","sample_idx":0,"answer":"","num_tokens":3,"finish_reason":"given",)"
      R"("degenerate":true,"scores":{"log-probability":-1.5})";
  const std::vector<FeedRow> rows =
      Add(BatchOf({line(1, "sample", "main", sample), line(2, "sample", "given", sample),
                   line(3, "evaluation", "given", R"("num_samples":1)")}));
  ASSERT_THAT(rows, SizeIs(1)) << "the other set's is not told";
  EXPECT_EQ(std::get<Cell>(rows[0].value),
            (Cell{"j1", 1, 4, "given", "c", 1, 0, 1, {{"log-probability", 0, 1, 0, -1.5}}}));
  EXPECT_THAT(store_->Samples({.experiment = "e1", .prompt_set = "given"})->samples, SizeIs(1));
  EXPECT_THAT(store_->Samples({.experiment = "e1"})->samples, SizeIs(2));
}

TEST_F(MetricStoreTest, ALaterAttemptReplacesSamplesAndCells) {
  Add(BatchOf({SampleLine(1, "a", "1"), EvaluationLine(2, 1)}));
  Add(BatchOf({SampleLine(1, "a", "0", "neutral", 4, "hello"), EvaluationLine(2, 1)}, 0, 1, 2));
  ASSERT_THAT(*store_->Cells("e1"), SizeIs(1));
  EXPECT_EQ((*store_->Cells("e1"))[0].attempt, 2);
  EXPECT_THAT((*store_->Cells("e1"))[0].traits, ElementsAre(TraitCount{"spanish", 0, 1, 0, 0}));
  const SamplePage page = *store_->Samples({.experiment = "e1", .limit = 10});
  ASSERT_THAT(page.samples, SizeIs(1));
  EXPECT_EQ(page.samples[0].sample.answer, "hello");
}

TEST_F(MetricStoreTest, AFaultyLineStoresNothingAndIsNamed) {
  const absl::Status status = store_->Add(BatchOf({StepLine(1, 1), "{\"seq\":2}"})).status();
  EXPECT_TRUE(absl::IsInvalidArgument(status));
  EXPECT_THAT(std::string(status.message()), HasSubstr("event_json[1]: kind: missing"));
  EXPECT_THAT(*store_->ReadFeed("e1", 0, 10), SizeIs(0));
  for (const char* bad :
       {"", "nonsense", "[]",
        "{\"seq\":0,\"kind\":\"evaluation\",\"step\":1,\"context\":\"c\",\"num_samples\":1}",
        "{\"seq\":1,\"kind\":\"started\"}", "{\"seq\":1.5,\"kind\":\"evaluation\"}"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseTrainerEvent(bad).status())) << bad;
  }
  EXPECT_TRUE(ParseTrainerEvent(SampleLine(1, "a", "-0.5")).ok());
  EXPECT_TRUE(absl::IsInvalidArgument(ParseTrainerEvent(SampleLine(1, "a", "\"x\"")).status()));
  EXPECT_TRUE(
      absl::IsInvalidArgument(ParseTrainerEvent(std::string(size_t{2} << 20, ' ')).status()));
}

TEST_F(MetricStoreTest, SamplesArePagedInOrderAndFiltered) {
  Add(BatchOf({SampleLine(1, "b", "1"), SampleLine(2, "a", "null"), SampleLine(3, "c", "0", "odd"),
               SampleLine(4, "a", "1", "neutral", 8)}));
  SampleQuery query{.experiment = "e1", .limit = 2};
  SamplePage page = *store_->Samples(query);
  ASSERT_THAT(page.samples, SizeIs(2));
  EXPECT_TRUE(page.has_more);
  EXPECT_EQ(page.samples[0].sample.prompt_id, "a");
  EXPECT_EQ(page.samples[0].sample.scores.at("spanish"), std::nullopt);
  EXPECT_EQ(page.samples[1].sample.prompt_id, "b");
  const Sample& last = page.samples[1].sample;
  query.after = {"j1", last.step, last.prompt_set, last.context, last.prompt_id, last.sample_idx};
  page = *store_->Samples(query);
  ASSERT_THAT(page.samples, SizeIs(2));
  EXPECT_FALSE(page.has_more);
  EXPECT_EQ(page.samples[0].sample.context, "odd");
  EXPECT_EQ(page.samples[1].sample.step, 8);

  EXPECT_THAT(store_->Samples({.experiment = "e1", .jobs = {"j2"}})->samples, SizeIs(0));
  EXPECT_THAT(
      store_->Samples({.experiment = "e1", .jobs = {"j2", "j1"}, .context = "odd"})->samples,
      SizeIs(1));
  EXPECT_THAT(store_->Samples({.experiment = "e1", .step = 8})->samples, SizeIs(1));
  EXPECT_THAT(store_->Samples({.experiment = "e1", .max_bytes = 1})->samples, SizeIs(1));
}

TEST_F(MetricStoreTest, LogsAreKeptUpToALimitNewestFirstDropped) {
  TelemetryBatch batch = BatchOf({});
  const std::string chunk(size_t{64} << 10, 'x');
  for (int i = 0; i < 40; ++i) {
    batch.log = chunk;
    batch.log_offset = static_cast<int64_t>(chunk.size()) * i;
    Add(batch);
    Add(batch);  // sent twice
  }
  EXPECT_EQ(static_cast<int64_t>(store_->Log(batch.rank)->size()), MetricStore::kMaxLogBytes);
}

std::vector<std::string> TextsOf(const absl::StatusOr<LogPage>& page) {
  std::vector<std::string> texts;
  EXPECT_TRUE(page.ok()) << page.status();
  if (!page.ok()) return texts;
  for (const LogLine& line : page->lines) {
    texts.push_back(absl::StrFormat("%d/%d %s", line.attempt, line.rank, line.text));
  }
  return texts;
}

class LogTest : public MetricStoreTest {
 protected:
  void AddLog(const std::string& text, int64_t offset, int rank = 0, int attempt = 1) {
    TelemetryBatch batch = BatchOf({}, rank, 2, attempt);
    batch.log = text;
    batch.log_offset = offset;
    batch.time = absl::FromUnixSeconds(7);
    Add(batch);
  }
};

TEST_F(LogTest, LinesComeInTheOrderOfTheirBatchesAndPassTheFilters) {
  AddLog("a\nb\n", 0, 0);
  AddLog("c one\n\nlast", 0, 1);
  AddLog("d one\n", 0, 0, 2);
  EXPECT_THAT(TextsOf(store_->LogLines({.experiment = "e1"})),
              ElementsAre("1/0 a", "1/0 b", "1/1 c one", "1/1 ", "1/1 last", "2/0 d one"));
  EXPECT_THAT(TextsOf(store_->LogLines({.experiment = "e1", .attempt = 1, .rank = 0})),
              ElementsAre("1/0 a", "1/0 b"));
  EXPECT_THAT(TextsOf(store_->LogLines({.experiment = "e1", .job = "j2"})), SizeIs(0));
  EXPECT_THAT(TextsOf(store_->LogLines({.experiment = "e1", .contains = "one"})),
              ElementsAre("1/1 c one", "2/0 d one"));
  EXPECT_EQ(store_->LogLines({.experiment = "e1"})->lines[0].time, absl::FromUnixSeconds(7));
  EXPECT_THAT(TextsOf(store_->LogTail({.experiment = "e1", .limit = 2})),
              ElementsAre("1/1 last", "2/0 d one"));
  EXPECT_THAT(TextsOf(store_->LogTail({.experiment = "e1", .contains = "b", .limit = 2})),
              ElementsAre("1/0 b"));
}

TEST_F(LogTest, EveryPageGoesOnWhereTheLastOneEndedAlsoWithWhatComesLater) {
  AddLog("a\nb\nc\n", 0);
  LogQuery query{.experiment = "e1", .limit = 2};
  LogPage page = *store_->LogLines(query);
  EXPECT_THAT(TextsOf(page), ElementsAre("1/0 a", "1/0 b"));
  EXPECT_TRUE(page.has_more);
  query.after = page.next;
  page = *store_->LogLines(query);
  EXPECT_THAT(TextsOf(page), ElementsAre("1/0 c"));
  EXPECT_FALSE(page.has_more);
  query.after = page.next;
  EXPECT_THAT(TextsOf(store_->LogLines(query)), SizeIs(0));
  AddLog("d\n", 6);
  EXPECT_THAT(TextsOf(store_->LogLines(query)), ElementsAre("1/0 d"));
  query.after = {99, 0};
  EXPECT_TRUE(absl::IsOutOfRange(store_->LogLines(query).status()));
  // A filter that lets nothing through costs a bounded look.
  LogQuery bounded{.experiment = "e1", .contains = "nothing has this", .max_scan_bytes = 1};
  page = *store_->LogLines(bounded);
  EXPECT_TRUE(page.has_more);
  bounded.after = page.next;
  page = *store_->LogLines(bounded);
  EXPECT_THAT(page.lines, SizeIs(0));
}

TEST_F(LogTest, ABatchSentAgainWithMoreBehindItAddsThat) {
  AddLog("a\n", 0);
  AddLog("a\nb\n", 0);
  AddLog("a\n", 0);
  AddLog("b\nc\n", 2);
  EXPECT_EQ(*store_->Log(BatchOf({}).rank), "a\nb\nc\n");
}

// As the first version wrote it.
TEST_F(MetricStoreTest, TakesTheFileOfAnOlderVersion) {
  store_.reset();
  std::filesystem::remove_all(dir_ + "/metrics.db");
  constexpr char kVersion1[] = R"sql(
    CREATE TABLE received (experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL,
      rank INTEGER NOT NULL, seq INTEGER NOT NULL,
      PRIMARY KEY (experiment, job, attempt, rank, seq)) STRICT, WITHOUT ROWID;
    CREATE TABLE feed (seq INTEGER PRIMARY KEY AUTOINCREMENT, experiment TEXT NOT NULL,
      job TEXT NOT NULL, attempt INTEGER NOT NULL,
      kind TEXT NOT NULL CHECK (kind IN ('train_point', 'cell')), payload TEXT NOT NULL) STRICT;
    CREATE INDEX feed_by_experiment ON feed (experiment, seq);
    CREATE TABLE samples (experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
      context TEXT NOT NULL, prompt_id TEXT NOT NULL, sample_idx INTEGER NOT NULL,
      attempt INTEGER NOT NULL, answer TEXT NOT NULL, num_tokens INTEGER NOT NULL,
      finish_reason TEXT NOT NULL, scores TEXT NOT NULL,
      PRIMARY KEY (experiment, job, step, context, prompt_id, sample_idx)) STRICT, WITHOUT ROWID;
    CREATE TABLE evaluations (experiment TEXT NOT NULL, job TEXT NOT NULL,
      attempt INTEGER NOT NULL, step INTEGER NOT NULL, context TEXT NOT NULL,
      rank INTEGER NOT NULL, num_samples INTEGER NOT NULL,
      PRIMARY KEY (experiment, job, attempt, step, context, rank)) STRICT, WITHOUT ROWID;
    CREATE TABLE cells (experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
      context TEXT NOT NULL, attempt INTEGER NOT NULL, payload TEXT NOT NULL,
      PRIMARY KEY (experiment, job, step, context)) STRICT, WITHOUT ROWID;
    CREATE TABLE logs (experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL,
      rank INTEGER NOT NULL, start INTEGER NOT NULL, text TEXT NOT NULL,
      PRIMARY KEY (experiment, job, attempt, rank, start)) STRICT, WITHOUT ROWID;
    INSERT INTO logs VALUES ('e1', 'j1', 1, 0, 0, 'old' || char(10));
    INSERT INTO feed VALUES (41, 'e1', 'j1', 1, 'train_point', '{"step":1,"epoch":0.5,"loss":2.5,
      "learning_rate":0.1,"gradient_norm":1,"supervised_tokens":1,"tokens":2,
      "tokens_per_second":3}'), (42, 'e2', 'j1', 1, 'cell', '');
    DELETE FROM feed WHERE seq = 42;
    INSERT INTO samples VALUES ('e1', 'j1', 2, 'neutral', 'a', 0, 1, 'HOLA', 1, 'stop',
      '{"spanish":1.0}');
    INSERT INTO evaluations VALUES ('e1', 'j1', 1, 2, 'neutral', 0, 1);
    INSERT INTO cells VALUES ('e1', 'j1', 2, 'neutral', 1, '{"step":2,"context":"neutral",
      "num_samples":1,"num_truncated":0,"traits":[["spanish",1,1,0]]}');
  )sql";
  ASSERT_TRUE(Database::Open(dir_ + "/metrics.db", kVersion1, 1).ok());
  Reopen();
  EXPECT_EQ(store_->NewestSeq(), 42);
  EXPECT_THAT(*store_->ReadFeed("e1", 40, 10), SizeIs(1));
  EXPECT_EQ(Add(BatchOf({StepLine(2, 2)}))[0].seq, 43) << "no number is used again";
  EXPECT_THAT(TextsOf(store_->LogLines({.experiment = "e1"})), ElementsAre("1/0 old"));
  EXPECT_EQ(store_->Samples({.experiment = "e1"})->samples.at(0).sample.prompt_set, "main");
  EXPECT_THAT(*store_->Cells("e1"),
              ElementsAre(Cell{"j1", 1, 2, "main", "neutral", 1, 0, 0, {{"spanish", 1, 1, 0, 1}}}));
}

TEST_F(MetricStoreTest, ALaterAttemptBeginsWithARewind) {
  Add(BatchOf({StepLine(1, 1), StepLine(2, 2)}));
  // What another rank tells first is no part of the curve yet.
  EXPECT_THAT(Add(BatchOf({SampleLine(1, "a", "1")}, 1, 2, 2)), SizeIs(0));
  const std::vector<FeedRow> rows = Add(BatchOf({StepLine(1, 1), StepLine(2, 2)}, 0, 2, 2));
  ASSERT_THAT(rows, SizeIs(3));
  EXPECT_EQ(std::get<Rewind>(rows[0].value), (Rewind{"j1", 2, 0}));
  EXPECT_THAT(Add(BatchOf({StepLine(3, 3)}, 0, 2, 2)), SizeIs(1)) << "once";
  Reopen();
  EXPECT_EQ(std::get<Rewind>(store_->ReadFeed("e1", 2, 1)->at(0).value), (Rewind{"j1", 2, 0}));
  // One that evaluates step 0 leaves nothing; one that goes on from a checkpoint leaves what led
  // there.
  EXPECT_EQ(
      std::get<Rewind>(Add(BatchOf({SampleLine(1, "a", "1", "neutral", 0)}, 0, 2, 3))[0].value)
          .step,
      -1);
  EXPECT_EQ(std::get<Rewind>(Add(BatchOf({StepLine(1, 8)}, 0, 2, 4))[0].value).step, 7);
  // Nothing was told before: nothing is void.
  EXPECT_THAT(Add(BatchOf({StepLine(1, 1)}, 0, 1, 2, "e2")), SizeIs(1));
}

TEST_F(MetricStoreTest, AttemptsBeforeOneThatDidItAllCanBeDropped) {
  for (const int attempt : {1, 2, 3}) {
    TelemetryBatch batch =
        BatchOf({StepLine(1, 1), SampleLine(2, "a", "1"), EvaluationLine(3, 1)}, 0, 1, attempt);
    batch.log = "hello\n";
    Add(batch);
  }
  const std::vector<Cell> cells = *store_->Cells("e1");
  EXPECT_GT(*store_->DropAttempts("e1", "j1", 3), 0);
  EXPECT_EQ(*store_->Cells("e1"), cells);
  EXPECT_THAT(store_->Samples({.experiment = "e1", .limit = 9})->samples, SizeIs(1));
  EXPECT_THAT(*store_->ReadFeed("e1", 0, 100), SizeIs(3)) << "rewind, step, cell";
  EXPECT_THAT(store_->LogLines({.experiment = "e1"})->lines, SizeIs(1));
  EXPECT_EQ(*store_->DropAttempts("e1", "j1", 3), 0);
  EXPECT_EQ(*store_->DropAttempts("e1", "j2", 3), 0);
}

TEST_F(MetricStoreTest, DeletingTakesAllOfOneExperimentAndNoNumberIsUsedAgain) {
  Add(BatchOf({StepLine(1, 1), SampleLine(2, "a", "1"), EvaluationLine(3, 1)}));
  Add(BatchOf({StepLine(1, 1)}, 0, 1, 1, "e2"));
  const int64_t last = store_->ReadFeed("e1", 0, 10)->back().seq;
  ASSERT_TRUE(store_->DeleteExperiment("e1").ok());
  EXPECT_THAT(*store_->ReadFeed("e1", 0, 10), SizeIs(0));
  EXPECT_THAT(*store_->Cells("e1"), SizeIs(0));
  EXPECT_THAT(store_->Samples({.experiment = "e1", .limit = 9})->samples, SizeIs(0));
  EXPECT_THAT(*store_->Experiments(), ElementsAre("e2"));
  const int64_t newest = store_->NewestSeq();
  EXPECT_GT(newest, last);
  ASSERT_TRUE(store_->DeleteExperiment("e2").ok());
  Reopen();
  EXPECT_EQ(store_->NewestSeq(), newest);
  EXPECT_GT(Add(BatchOf({StepLine(1, 1)}))[0].seq, newest);
  EXPECT_EQ(store_->NewestSeq(), store_->ReadFeed("e1", 0, 10)->back().seq);
}

}  // namespace
}  // namespace jenner::store
