// MetricStore: what trainers wrote on standard error.
#include <algorithm>
#include <string_view>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/status.h"
#include "server/store/metric_store.h"

namespace jenner::store {
namespace {

int32_t Int32(const Statement& row, int column) { return static_cast<int32_t>(row.Int(column)); }

// A number of a filter as a parameter: -1 lets all through.
int64_t Filter(const std::optional<int32_t>& asked) { return asked.value_or(-1); }

// Columns job, attempt, rank, time_us, text, from the second on.
LogLine LineOf(const Statement& row, std::string_view text) {
  return {row.Text(1), Int32(row, 2), Int32(row, 3), absl::FromUnixMicros(row.Int(4)),
          std::string(text)};
}

// Where the line that begins at `begin` ends, its line end not counted.
size_t EndOfLine(const std::string& text, size_t begin) {
  return std::min(text.find('\n', begin), text.size());
}

bool Passes(std::string_view line, const LogQuery& query) {
  return line.find(query.contains) != std::string_view::npos;
}

// Takes lines of one batch from query.after on; false: the page is full.
bool Take(const Statement& row, const LogQuery& query, int64_t* num_bytes, LogPage* page) {
  const int64_t seq = row.Int(0);
  const std::string text = row.Text(5);
  size_t begin = 0;
  if (seq == query.after.seq) begin = static_cast<size_t>(query.after.byte_count);
  while (begin < text.size()) {
    const size_t end = EndOfLine(text, begin);
    const std::string_view line(text.data() + begin, end - begin);
    if (Passes(line, query)) {
      const bool is_full = static_cast<int32_t>(page->lines.size()) == query.limit ||
                           (!page->lines.empty() && *num_bytes >= query.max_bytes);
      if (is_full) return false;
      page->lines.push_back(LineOf(row, line));
      *num_bytes += static_cast<int64_t>(line.size());
    }
    begin = end + 1;
    page->next = {seq, static_cast<int64_t>(begin)};
  }
  return true;
}

}  // namespace

absl::Status MetricStore::AddLog(const TelemetryBatch& batch) {
  const RankId& rank = batch.rank;
  const auto size = static_cast<int64_t>(batch.log.size());
  if (size == 0) return absl::OkStatus();
  // An answer that was lost makes an agent send again what is here, perhaps with more behind it.
  ASSIGN_OR_RETURN(
      Statement * newest,
      database_->Query("SELECT start + length(CAST(text AS BLOB)) FROM logs WHERE experiment = ?"
                       " AND job = ? AND attempt = ? AND rank = ? ORDER BY start DESC LIMIT 1",
                       rank.experiment, rank.job, rank.attempt, rank.rank));
  ASSIGN_OR_RETURN(const bool found, newest->Step());
  const int64_t known_end = found ? newest->Int(0) : 0;
  newest->Reset();
  const int64_t start = std::max(batch.log_offset, known_end);
  if (start >= batch.log_offset + size) return absl::OkStatus();
  RETURN_IF_ERROR(database_->Execute(
      "INSERT INTO logs (experiment, job, attempt, rank, start, time_us, text)"
      " VALUES (?, ?, ?, ?, ?, ?, ?)",
      rank.experiment, rank.job, rank.attempt, rank.rank, start, absl::ToUnixMicros(batch.time),
      std::string_view(batch.log).substr(static_cast<size_t>(start - batch.log_offset))));
  return database_->Execute(
      "DELETE FROM logs WHERE experiment = ? AND job = ? AND attempt = ? AND rank = ?"
      " AND start < ?",
      rank.experiment, rank.job, rank.attempt, rank.rank, batch.log_offset + size - kMaxLogBytes);
}

absl::StatusOr<std::string> MetricStore::Log(const RankId& rank) {
  std::string text;
  ASSIGN_OR_RETURN(Statement * rows,
                   database_->Query("SELECT text FROM logs WHERE experiment = ? AND job = ?"
                                    " AND attempt = ? AND rank = ? ORDER BY start",
                                    rank.experiment, rank.job, rank.attempt, rank.rank));
  for (;;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) return text;
    text += rows->Text(0);
  }
}

absl::StatusOr<int64_t> MetricStore::NewestLogSeq() {
  ASSIGN_OR_RETURN(Statement * newest,
                   database_->Query("SELECT seq FROM sqlite_sequence WHERE name = 'logs'"));
  ASSIGN_OR_RETURN(const bool found, newest->Step());
  const int64_t seq = found ? newest->Int(0) : 0;
  newest->Reset();
  return seq;
}

absl::StatusOr<LogPage> MetricStore::LogLines(const LogQuery& query) {
  ASSIGN_OR_RETURN(const int64_t newest, NewestLogSeq());
  if (query.after.seq > newest) {
    return absl::OutOfRangeError("cursor: ahead of all that is stored");
  }
  ASSIGN_OR_RETURN(
      Statement * rows,
      database_->Query("SELECT seq, job, attempt, rank, time_us, text FROM logs"
                       " WHERE experiment = ?1 AND seq >= ?2 AND (?3 IS NULL OR job = ?3)"
                       " AND (?4 < 0 OR attempt = ?4) AND (?5 < 0 OR rank = ?5) ORDER BY seq",
                       query.experiment, query.after.seq,
                       query.job ? std::string_view(*query.job) : std::string_view(),
                       Filter(query.attempt), Filter(query.rank)));
  LogPage page;
  page.next = query.after;
  int64_t num_bytes = 0;
  for (int64_t num_scanned = 0; num_scanned < query.max_scan_bytes;) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) {
      // Past what the filter hides, too, so that it is not looked through again.
      if (page.next.seq < newest) page.next = {newest, kMaxLogBytes};
      return page;
    }
    num_scanned += static_cast<int64_t>(rows->Text(5).size());
    if (!Take(*rows, query, &num_bytes, &page)) break;
  }
  rows->Reset();
  page.has_more = true;
  return page;
}

absl::StatusOr<LogPage> MetricStore::LogTail(const LogQuery& query) {
  ASSIGN_OR_RETURN(const int64_t newest, NewestLogSeq());
  ASSIGN_OR_RETURN(
      Statement * rows,
      database_->Query("SELECT seq, job, attempt, rank, time_us, text FROM logs"
                       " WHERE experiment = ?1 AND (?2 IS NULL OR job = ?2)"
                       " AND (?3 < 0 OR attempt = ?3) AND (?4 < 0 OR rank = ?4) ORDER BY seq DESC",
                       query.experiment,
                       query.job ? std::string_view(*query.job) : std::string_view(),
                       Filter(query.attempt), Filter(query.rank)));
  LogPage page;
  page.next = {newest, kMaxLogBytes};
  int64_t num_bytes = 0;
  const auto is_full = [&] {
    return static_cast<int32_t>(page.lines.size()) >= query.limit || num_bytes >= query.max_bytes;
  };
  for (int64_t num_scanned = 0; num_scanned < query.max_scan_bytes && !is_full();) {
    ASSIGN_OR_RETURN(const bool row, rows->Step());
    if (!row) break;
    const std::string text = rows->Text(5);
    num_scanned += static_cast<int64_t>(text.size());
    std::vector<std::string_view> lines;
    for (size_t begin = 0; begin < text.size();) {
      const size_t end = EndOfLine(text, begin);
      const std::string_view line(text.data() + begin, end - begin);
      if (Passes(line, query)) lines.push_back(line);
      begin = end + 1;
    }
    for (auto line = lines.rbegin(); line != lines.rend() && !is_full(); ++line) {
      page.lines.push_back(LineOf(*rows, *line));
      num_bytes += static_cast<int64_t>(line->size());
    }
  }
  rows->Reset();
  std::reverse(page.lines.begin(), page.lines.end());
  return page;
}

}  // namespace jenner::store
