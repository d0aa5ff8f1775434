#include "server/store/metric_store.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"

namespace jenner::store {
namespace {

using Json = nlohmann::json;

constexpr int kVersion = 3;
constexpr char kSchema[] = R"sql(
  -- Every telemetry event ever taken: what makes sending twice harmless.
  CREATE TABLE received (
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
    seq INTEGER NOT NULL,
    PRIMARY KEY (experiment, job, attempt, rank, seq)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE feed (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL, -- train_point, cell or rewind
    payload TEXT NOT NULL
  ) STRICT;
  CREATE INDEX feed_by_experiment ON feed (experiment, seq);
  CREATE TABLE samples (
    experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL,
    prompt_id TEXT NOT NULL, sample_idx INTEGER NOT NULL,
    attempt INTEGER NOT NULL, answer TEXT NOT NULL, num_tokens INTEGER NOT NULL,
    finish_reason TEXT NOT NULL, is_degenerate INTEGER NOT NULL, scores TEXT NOT NULL,
    judge_error TEXT NOT NULL,
    PRIMARY KEY (experiment, job, step, prompt_set, context, prompt_id, sample_idx)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE evaluations (
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL, rank INTEGER NOT NULL,
    num_samples INTEGER NOT NULL,
    PRIMARY KEY (experiment, job, attempt, step, prompt_set, context, rank)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE cells (
    experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL,
    attempt INTEGER NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (experiment, job, step, prompt_set, context)
  ) STRICT, WITHOUT ROWID;
  -- Batches of whole lines, in the order in which they came.
  CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
    start INTEGER NOT NULL, time_us INTEGER NOT NULL, text TEXT NOT NULL
  ) STRICT;
  CREATE UNIQUE INDEX logs_by_rank ON logs (experiment, job, attempt, rank, start);
  CREATE INDEX logs_by_experiment ON logs (experiment, seq, job, attempt, rank);
)sql";

// Version 1 had logs without the order in which they came, and fewer kinds in the feed. The number
// of the newest row ever must outlive the table.
constexpr char kUpgradeTo2[] = R"sql(
  ALTER TABLE logs RENAME TO logs_of_1;
  CREATE TABLE logs (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL, rank INTEGER NOT NULL,
    start INTEGER NOT NULL, time_us INTEGER NOT NULL, text TEXT NOT NULL
  ) STRICT;
  INSERT INTO logs (experiment, job, attempt, rank, start, time_us, text)
    SELECT experiment, job, attempt, rank, start, 0, text FROM logs_of_1
    ORDER BY experiment, attempt, job, rank, start;
  DROP TABLE logs_of_1;
  CREATE UNIQUE INDEX logs_by_rank ON logs (experiment, job, attempt, rank, start);
  CREATE INDEX logs_by_experiment ON logs (experiment, seq, job, attempt, rank);
  CREATE TABLE feed_of_2 (
    seq INTEGER PRIMARY KEY AUTOINCREMENT,
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL,
    kind TEXT NOT NULL,
    payload TEXT NOT NULL
  ) STRICT;
  INSERT INTO feed_of_2 SELECT seq, experiment, job, attempt, kind, payload FROM feed;
  DELETE FROM sqlite_sequence WHERE name = 'feed_of_2';
  INSERT INTO sqlite_sequence (name, seq)
    SELECT 'feed_of_2', seq FROM sqlite_sequence WHERE name = 'feed';
  DROP TABLE feed;
  ALTER TABLE feed_of_2 RENAME TO feed;
  CREATE INDEX feed_by_experiment ON feed (experiment, seq);
)sql";

// Version 2 had one prompt set, now named "main".
constexpr char kUpgradeTo3[] = R"sql(
  ALTER TABLE samples RENAME TO samples_of_2;
  CREATE TABLE samples (
    experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL,
    prompt_id TEXT NOT NULL, sample_idx INTEGER NOT NULL,
    attempt INTEGER NOT NULL, answer TEXT NOT NULL, num_tokens INTEGER NOT NULL,
    finish_reason TEXT NOT NULL, is_degenerate INTEGER NOT NULL, scores TEXT NOT NULL,
    judge_error TEXT NOT NULL,
    PRIMARY KEY (experiment, job, step, prompt_set, context, prompt_id, sample_idx)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO samples SELECT experiment, job, step, 'main', context, prompt_id, sample_idx, attempt,
    answer, num_tokens, finish_reason, 0, scores, '' FROM samples_of_2;
  DROP TABLE samples_of_2;
  ALTER TABLE evaluations RENAME TO evaluations_of_2;
  CREATE TABLE evaluations (
    experiment TEXT NOT NULL, job TEXT NOT NULL, attempt INTEGER NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL, rank INTEGER NOT NULL,
    num_samples INTEGER NOT NULL,
    PRIMARY KEY (experiment, job, attempt, step, prompt_set, context, rank)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO evaluations SELECT experiment, job, attempt, step, 'main', context, rank, num_samples
    FROM evaluations_of_2;
  DROP TABLE evaluations_of_2;
  ALTER TABLE cells RENAME TO cells_of_2;
  CREATE TABLE cells (
    experiment TEXT NOT NULL, job TEXT NOT NULL, step INTEGER NOT NULL,
    prompt_set TEXT NOT NULL, context TEXT NOT NULL,
    attempt INTEGER NOT NULL, payload TEXT NOT NULL,
    PRIMARY KEY (experiment, job, step, prompt_set, context)
  ) STRICT, WITHOUT ROWID;
  INSERT INTO cells SELECT experiment, job, step, 'main', context, attempt, payload FROM cells_of_2;
  DROP TABLE cells_of_2;
)sql";

std::string Dump(const Json& json) {
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string ToJson(const TrainStep& step) {
  return Dump({{"step", step.step},
               {"epoch", step.epoch},
               {"loss", step.loss},
               {"learning_rate", step.learning_rate},
               {"gradient_norm", step.gradient_norm},
               {"supervised_tokens", step.supervised_tokens},
               {"tokens", step.tokens},
               {"tokens_per_second", step.tokens_per_second}});
}

std::string ToJson(const Cell& cell) {
  Json traits = Json::array();
  for (const TraitCount& count : cell.traits) {
    traits.push_back(
        {count.trait, count.num_present, count.num_measured, count.num_not_measurable, count.sum});
  }
  return Dump({{"step", cell.step},
               {"prompt_set", cell.prompt_set},
               {"context", cell.context},
               {"num_samples", cell.num_samples},
               {"num_truncated", cell.num_truncated},
               {"num_degenerate", cell.num_degenerate},
               {"traits", traits}});
}

int32_t StepOf(const TrainerEvent& event) {
  return std::visit([](const auto& body) { return body.step; }, event.body);
}

// Our own text back; what is not of that form is a corrupt row.
absl::StatusOr<TrainStep> TrainStepFrom(const std::string& text) {
  try {
    const Json json = Json::parse(text);
    return TrainStep{json.at("step"),          json.at("epoch"),
                     json.at("loss"),          json.at("learning_rate"),
                     json.at("gradient_norm"), json.at("supervised_tokens"),
                     json.at("tokens"),        json.at("tokens_per_second")};
  } catch (const Json::exception& error) {
    return absl::DataLossError(
        absl::StrFormat("a train point that cannot be read: %s", error.what()));
  }
}

absl::StatusOr<Cell> CellFrom(const std::string& job, int32_t attempt, const std::string& text) {
  try {
    const Json json = Json::parse(text);
    Cell cell{job,
              attempt,
              json.at("step"),
              json.value("prompt_set", "main"),
              json.at("context"),
              json.at("num_samples"),
              json.at("num_truncated"),
              json.value("num_degenerate", 0),
              {}};
    for (const Json& count : json.at("traits")) {
      // Version 2 had binary traits only, whose sum is how many are present.
      const double sum = count.size() > 4 ? count.at(4) : count.at(1);
      cell.traits.push_back({count.at(0), count.at(1), count.at(2), count.at(3), sum});
    }
    return cell;
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrFormat("a cell that cannot be read: %s", error.what()));
  }
}

absl::StatusOr<Rewind> RewindFrom(const std::string& job, int32_t attempt,
                                  const std::string& text) {
  try {
    return Rewind{job, attempt, Json::parse(text).at("step")};
  } catch (const Json::exception& error) {
    return absl::DataLossError(absl::StrFormat("a rewind that cannot be read: %s", error.what()));
  }
}

int32_t Int32(const Statement& row, int column) { return static_cast<int32_t>(row.Int(column)); }

}  // namespace

absl::StatusOr<std::unique_ptr<MetricStore>> MetricStore::Open(const std::string& path) {
  ASSIGN_OR_RETURN(std::unique_ptr<Database> database,
                   Database::Open(path, kSchema, kVersion, {kUpgradeTo2, kUpgradeTo3}));
  std::unique_ptr<MetricStore> store(new MetricStore(std::move(database)));
  ASSIGN_OR_RETURN(Statement * newest,
                   store->database_->Query("SELECT seq FROM sqlite_sequence WHERE name = 'feed'"));
  ASSIGN_OR_RETURN(const bool has_rows, newest->Step());
  if (has_rows) store->newest_seq_ = newest->Int(0);
  newest->Reset();
  return store;
}

absl::Status MetricStore::Copy(const std::string& path, const std::string& to) {
  ASSIGN_OR_RETURN(const std::unique_ptr<Database> database, Database::OpenToRead(path, kVersion));
  return Annotate(database->Execute("VACUUM INTO ?", to), to);
}

absl::StatusOr<std::vector<FeedRow>> MetricStore::Add(const TelemetryBatch& batch) {
  std::vector<TrainerEvent> events;
  for (size_t i = 0; i < batch.event_json.size(); ++i) {
    absl::StatusOr<TrainerEvent> event = ParseTrainerEvent(batch.event_json[i]);
    if (!event.ok()) return Annotate(event.status(), absl::StrFormat("event_json[%d]", i));
    events.push_back(*std::move(event));
  }
  const RankId& rank = batch.rank;
  std::vector<FeedRow> rows;
  std::set<CellKey> touched;
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  if (!events.empty()) {
    ASSIGN_OR_RETURN(std::optional<FeedRow> rewind, AddRewind(rank, events.front()));
    if (rewind.has_value()) rows.push_back(*std::move(rewind));
  }
  for (const TrainerEvent& event : events) {
    RETURN_IF_ERROR(database_->Execute("INSERT OR IGNORE INTO received VALUES (?, ?, ?, ?, ?)",
                                       rank.experiment, rank.job, rank.attempt, rank.rank,
                                       event.seq));
    if (database_->NumChanged() == 0) continue;
    if (const auto* step = std::get_if<TrainStep>(&event.body)) {
      ASSIGN_OR_RETURN(FeedRow row, AddFeedRow(rank, *step));
      rows.push_back(std::move(row));
    } else if (const auto* sample = std::get_if<Sample>(&event.body)) {
      RETURN_IF_ERROR(AddSample(rank, *sample));
      touched.insert({sample->step, sample->prompt_set, sample->context});
    } else if (const auto* evaluation = std::get_if<Evaluation>(&event.body)) {
      RETURN_IF_ERROR(database_->Execute(
          "INSERT OR REPLACE INTO evaluations VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rank.experiment,
          rank.job, rank.attempt, evaluation->step, evaluation->prompt_set, evaluation->context,
          rank.rank, evaluation->num_samples));
      touched.insert({evaluation->step, evaluation->prompt_set, evaluation->context});
    }
  }
  for (const CellKey& key : touched) {
    ASSIGN_OR_RETURN(std::optional<FeedRow> row, CompleteCell(batch, key));
    if (row.has_value()) rows.push_back(*std::move(row));
  }
  RETURN_IF_ERROR(AddLog(batch));
  RETURN_IF_ERROR(transaction.Commit());
  if (!rows.empty()) newest_seq_ = rows.back().seq;
  return rows;
}

absl::Status MetricStore::AddSample(const RankId& rank, const Sample& sample) {
  return database_->Execute(
      "INSERT INTO samples VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
      " ON CONFLICT DO UPDATE SET attempt = excluded.attempt, answer = excluded.answer,"
      " num_tokens = excluded.num_tokens, finish_reason = excluded.finish_reason,"
      " is_degenerate = excluded.is_degenerate, scores = excluded.scores,"
      " judge_error = excluded.judge_error"
      " WHERE excluded.attempt > attempt",
      rank.experiment, rank.job, sample.step, sample.prompt_set, sample.context, sample.prompt_id,
      sample.sample_idx, rank.attempt, sample.answer, sample.num_tokens, sample.finish_reason,
      sample.is_degenerate ? 1 : 0, ScoresToJson(sample.scores), sample.judge_error);
}

absl::StatusOr<FeedRow> MetricStore::AddFeedRow(const RankId& rank, const TrainStep& step) {
  RETURN_IF_ERROR(
      database_->Execute("INSERT INTO feed (experiment, job, attempt, kind, payload)"
                         " VALUES (?, ?, ?, 'train_point', ?)",
                         rank.experiment, rank.job, rank.attempt, ToJson(step)));
  return FeedRow{database_->LastRowId(), TrainPoint{rank.job, rank.attempt, step}};
}

absl::StatusOr<std::optional<FeedRow>> MetricStore::AddRewind(const RankId& rank,
                                                              const TrainerEvent& first) {
  if (rank.rank != 0 || rank.attempt <= 1) return std::optional<FeedRow>();
  ASSIGN_OR_RETURN(
      Statement * told,
      database_->Query("SELECT CASE WHEN EXISTS (SELECT 1 FROM received WHERE experiment = ?1"
                       "  AND job = ?2 AND attempt = ?3 AND rank = 0) THEN 0"
                       " ELSE EXISTS (SELECT 1 FROM feed WHERE experiment = ?1 AND job = ?2"
                       "  AND attempt < ?3) END",
                       rank.experiment, rank.job, rank.attempt));
  ASSIGN_OR_RETURN(const bool row, told->Step());
  const bool is_due = row && told->Int(0) == 1;
  told->Reset();
  if (!is_due) return std::optional<FeedRow>();
  const Rewind rewind{rank.job, rank.attempt, StepOf(first) - 1};
  RETURN_IF_ERROR(
      database_->Execute("INSERT INTO feed (experiment, job, attempt, kind, payload)"
                         " VALUES (?, ?, ?, 'rewind', ?)",
                         rank.experiment, rank.job, rank.attempt, Dump({{"step", rewind.step}})));
  return std::optional<FeedRow>(FeedRow{database_->LastRowId(), rewind});
}

absl::StatusOr<std::optional<FeedRow>> MetricStore::CompleteCell(const TelemetryBatch& batch,
                                                                 const CellKey& key) {
  const RankId& rank = batch.rank;
  ASSIGN_OR_RETURN(
      Statement * sums,
      database_->Query("SELECT count(*), ifnull(sum(num_samples), 0),"
                       " (SELECT count(*) FROM samples WHERE experiment = ?1 AND job = ?2"
                       "  AND step = ?4 AND prompt_set = ?5 AND context = ?6 AND attempt = ?3)"
                       " FROM evaluations WHERE experiment = ?1 AND job = ?2"
                       " AND attempt = ?3 AND step = ?4 AND prompt_set = ?5 AND context = ?6",
                       rank.experiment, rank.job, rank.attempt, key.step, key.prompt_set,
                       key.context));
  ASSIGN_OR_RETURN(const bool found, sums->Step());
  const bool is_complete = found && sums->Int(0) == batch.num_ranks && sums->Int(1) == sums->Int(2);
  sums->Reset();
  if (!is_complete) return std::optional<FeedRow>();
  ASSIGN_OR_RETURN(Cell cell, Count(rank, key));
  const std::string payload = ToJson(cell);
  RETURN_IF_ERROR(database_->Execute("INSERT OR REPLACE INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)",
                                     rank.experiment, rank.job, key.step, key.prompt_set,
                                     key.context, rank.attempt, payload));
  RETURN_IF_ERROR(
      database_->Execute("INSERT INTO feed (experiment, job, attempt, kind, payload)"
                         " VALUES (?, ?, ?, 'cell', ?)",
                         rank.experiment, rank.job, rank.attempt, payload));
  return std::optional<FeedRow>(FeedRow{database_->LastRowId(), std::move(cell)});
}

absl::StatusOr<Cell> MetricStore::Count(const RankId& rank, const CellKey& key) {
  Cell cell{rank.job, rank.attempt, key.step, key.prompt_set, key.context, 0, 0, 0, {}};
  ASSIGN_OR_RETURN(
      Statement * totals,
      database_->Query("SELECT count(*), ifnull(sum(finish_reason = 'length'), 0),"
                       " ifnull(sum(is_degenerate), 0) FROM samples"
                       " WHERE experiment = ? AND job = ? AND step = ? AND prompt_set = ?"
                       " AND context = ? AND attempt = ?",
                       rank.experiment, rank.job, key.step, key.prompt_set, key.context,
                       rank.attempt));
  ASSIGN_OR_RETURN(const bool found, totals->Step());
  if (found) {
    cell.num_samples = Int32(*totals, 0);
    cell.num_truncated = Int32(*totals, 1);
    cell.num_degenerate = Int32(*totals, 2);
  }
  totals->Reset();
  ASSIGN_OR_RETURN(
      Statement * counts,
      database_->Query("SELECT score.key, ifnull(sum(score.value = 1), 0), count(score.value),"
                       " count(*) - count(score.value), total(score.value)"
                       " FROM samples, json_each(samples.scores) AS score"
                       " WHERE experiment = ? AND job = ? AND step = ? AND prompt_set = ?"
                       " AND context = ? AND attempt = ? GROUP BY score.key ORDER BY score.key",
                       rank.experiment, rank.job, key.step, key.prompt_set, key.context,
                       rank.attempt));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, counts->Step());
    if (!row) return cell;
    cell.traits.push_back({counts->Text(0), Int32(*counts, 1), Int32(*counts, 2), Int32(*counts, 3),
                           counts->Real(4)});
  }
}

absl::StatusOr<std::vector<FeedRow>> MetricStore::ReadFeed(const std::string& experiment,
                                                           int64_t seq, int limit) {
  std::vector<FeedRow> result;
  ASSIGN_OR_RETURN(Statement * rows,
                   database_->Query("SELECT seq, job, attempt, kind, payload FROM feed"
                                    " WHERE experiment = ? AND seq > ? ORDER BY seq LIMIT ?",
                                    experiment, seq, limit));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return result;
    const std::string job = rows->Text(1);
    const int32_t attempt = Int32(*rows, 2);
    if (rows->Text(3) == "cell") {
      ASSIGN_OR_RETURN(Cell cell, CellFrom(job, attempt, rows->Text(4)));
      result.push_back({rows->Int(0), std::move(cell)});
    } else if (rows->Text(3) == "rewind") {
      ASSIGN_OR_RETURN(Rewind rewind, RewindFrom(job, attempt, rows->Text(4)));
      result.push_back({rows->Int(0), std::move(rewind)});
    } else {
      ASSIGN_OR_RETURN(const TrainStep step, TrainStepFrom(rows->Text(4)));
      result.push_back({rows->Int(0), TrainPoint{job, attempt, step}});
    }
  }
}

absl::StatusOr<std::vector<Cell>> MetricStore::Cells(const std::string& experiment) {
  std::vector<Cell> result;
  ASSIGN_OR_RETURN(Statement * rows,
                   database_->Query("SELECT job, attempt, payload FROM cells WHERE experiment = ?"
                                    " ORDER BY job, step, prompt_set, context",
                                    experiment));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return result;
    ASSIGN_OR_RETURN(Cell cell, CellFrom(rows->Text(0), Int32(*rows, 1), rows->Text(2)));
    result.push_back(std::move(cell));
  }
}

absl::StatusOr<SamplePage> MetricStore::Samples(const SampleQuery& query) {
  const SampleQuery::Position after = query.after.value_or(SampleQuery::Position{});
  // Without data: any.
  std::string_view prompt_set, context;
  if (query.prompt_set.has_value()) prompt_set = *query.prompt_set;
  if (query.context.has_value()) context = *query.context;
  ASSIGN_OR_RETURN(
      Statement * rows,
      database_->Query(
          "SELECT job, attempt, step, prompt_set, context, prompt_id, sample_idx, answer,"
          " num_tokens, finish_reason, scores, is_degenerate, judge_error FROM samples WHERE "
          "experiment = ?1"
          " AND (?2 = '[]' OR job IN (SELECT value FROM json_each(?2)))"
          " AND (?3 IS NULL OR prompt_set = ?3) AND (?4 IS NULL OR context = ?4)"
          " AND (?5 < 0 OR step = ?5)"
          " AND (job, step, prompt_set, context, prompt_id, sample_idx)"
          "  > (?6, ?7, ?8, ?9, ?10, ?11)"
          " ORDER BY job, step, prompt_set, context, prompt_id, sample_idx LIMIT ?12",
          query.experiment, Dump(Json(query.jobs)), prompt_set, context, query.step.value_or(-1),
          after.job, after.step, after.prompt_set, after.context, after.prompt_id, after.sample_idx,
          query.limit + 1));
  SamplePage page;
  int64_t num_bytes = 0;
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return page;
    const bool is_full = static_cast<int32_t>(page.samples.size()) == query.limit ||
                         (!page.samples.empty() && num_bytes >= query.max_bytes);
    if (is_full) {
      page.has_more = true;
      rows->Reset();
      return page;
    }
    StoredSample stored{rows->Text(0), Int32(*rows, 1), {}};
    stored.sample = {Int32(*rows, 2),    rows->Text(3),   rows->Text(4),
                     rows->Text(5),      Int32(*rows, 6), rows->Text(7),
                     Int32(*rows, 8),    rows->Text(9),   ScoresFromJson(rows->Text(10)),
                     rows->Int(11) != 0, rows->Text(12)};
    num_bytes += static_cast<int64_t>(stored.sample.answer.size());
    page.samples.push_back(std::move(stored));
  }
}

absl::StatusOr<std::vector<std::string>> MetricStore::Experiments() {
  std::vector<std::string> result;
  ASSIGN_OR_RETURN(Statement * rows,
                   database_->Query("SELECT DISTINCT experiment FROM received UNION"
                                    " SELECT DISTINCT experiment FROM logs ORDER BY 1"));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return result;
    result.push_back(rows->Text(0));
  }
}

absl::Status MetricStore::DeleteExperiment(const std::string& experiment) {
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  for (const char* sql :
       {"DELETE FROM received WHERE experiment = ?", "DELETE FROM feed WHERE experiment = ?",
        "DELETE FROM samples WHERE experiment = ?", "DELETE FROM evaluations WHERE experiment = ?",
        "DELETE FROM cells WHERE experiment = ?", "DELETE FROM logs WHERE experiment = ?"}) {
    RETURN_IF_ERROR(database_->Execute(sql, experiment));
  }
  RETURN_IF_ERROR(transaction.Commit());
  database_->Checkpoint();
  return absl::OkStatus();
}

absl::StatusOr<int64_t> MetricStore::DropAttempts(const std::string& experiment,
                                                  const std::string& job, int32_t from) {
  int64_t num_rows = 0;
  ASSIGN_OR_RETURN(Transaction transaction, Transaction::Begin(*database_));
  for (const char* sql :
       {"DELETE FROM received WHERE experiment = ? AND job = ? AND attempt < ?",
        "DELETE FROM feed WHERE experiment = ? AND job = ? AND attempt < ?",
        "DELETE FROM evaluations WHERE experiment = ? AND job = ? AND attempt < ?",
        "DELETE FROM logs WHERE experiment = ? AND job = ? AND attempt < ?"}) {
    RETURN_IF_ERROR(database_->Execute(sql, experiment, job, from));
    num_rows += database_->NumChanged();
  }
  RETURN_IF_ERROR(transaction.Commit());
  return num_rows;
}

}  // namespace jenner::store
