// Watcher: one watch stream, without the transport. It looks at the experiment, reads a bounded
// number of feed rows past its cursor, hands updates out one at a time, parks when there is no
// more, and ends with the experiment. Nothing is queued for it elsewhere: a slow reader costs one
// page of rows.
//
// Order: the experiment as it is, then the rows, then the experiment again at each change, the rows
// that came with it, and when it is terminal and no row is left, Terminal. At least once.
#ifndef JENNER_SERVER_FEED_WATCHER_H_
#define JENNER_SERVER_FEED_WATCHER_H_

#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <variant>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/time/time.h"
#include "server/feed/cursor.h"
#include "server/feed/mutex.h"
#include "server/store/metric_store.h"

namespace jenner::feed {

// The experiment at a moment. Whoever makes snapshots derives from it what the writer needs, and
// gives the same object for as long as nothing has changed.
struct Snapshot {
  virtual ~Snapshot() = default;
  int64_t version = 0;  // number of the last event that changed the experiment
  bool is_terminal = false;
  bool is_waiting = false;  // a job is queued: why it waits may change without an event
};

struct Heartbeat {};
// The last update; the experiment is as in the snapshot before it.
struct TerminalUpdate {
  std::shared_ptr<const Snapshot> snapshot;
};

struct Update {
  Cursor cursor;  // resume after this update
  std::variant<std::shared_ptr<const Snapshot>, store::FeedRow, Heartbeat, TerminalUpdate> body;
};

// Thread-safe: each call may come from any thread; the hooks are called without a lock held and one
// after the other as described.
class Watcher : public std::enable_shared_from_this<Watcher> {
 public:
  static constexpr int kPageRows = 256;
  static constexpr absl::Duration kWriteLimit = absl::Seconds(30);
  // After this long it looks again at an experiment that waits.
  static constexpr absl::Duration kLookAgain = absl::Seconds(5);

  using SnapshotCallback = std::function<void(absl::StatusOr<std::shared_ptr<const Snapshot>>)>;
  using RowsCallback = std::function<void(absl::StatusOr<std::vector<store::FeedRow>>)>;

  // How it reaches the world. None blocks; the first two answer once, from any thread.
  struct Hooks {
    std::function<void(SnapshotCallback)> snapshot;
    std::function<void(int64_t after, int limit, RowsCallback)> rows;
    // Ends with WriteDone(), perhaps before it returns; one at a time.
    std::function<void(const Update&)> write;
    // Once, and last but for `abort`; may come while a write is under way (a slow reader), but
    // never before `write` has returned. `last` is the cursor of the last update: where to resume.
    std::function<void(const absl::Status&, const Cursor& last)> finish;
    // After finish, if the reader still does not take the end: cut the connection.
    std::function<void()> abort;
  };

  // REQUIRES: owned by a shared_ptr. Of the cursor's experiment, from the cursor on. `heartbeat`:
  // the silence after which a Heartbeat is sent.
  Watcher(Cursor cursor, absl::Duration heartbeat, absl::Time now, Hooks hooks);

  const std::string& experiment() const { return experiment_; }

  void Start();
  // The experiment changed, or rows were added.
  void WakeForEvent();
  void WakeForRows();
  // Time went on: heartbeats; another look at what waits; a write that is under way for kWriteLimit
  // ends the stream with ResourceExhausted, twice that aborts it.
  void Tick(absl::Time now);
  // For how long the reader has not taken what was written; zero: nothing is under way.
  absl::Duration Stall();
  void WriteDone(bool ok, absl::Time now);
  // The reader went away, or the server ends: finishes with `status` as soon as it may.
  void End(const absl::Status& status);

 private:
  enum class Wait { kNothing, kSnapshot, kRows, kWrite };
  using Action = std::function<void()>;

  // What to do next, to be done after unlocking; null: nothing.
  Action Next() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Action NextRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Action Write(Update update) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Action Finish(const absl::Status& status) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The write hook returned.
  void Handed();
  void GotSnapshot(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot);
  void GotRows(absl::StatusOr<std::vector<store::FeedRow>> rows);
  static void Run(const Action& action) {
    if (action) action();
  }

  const std::string experiment_;
  const absl::Duration heartbeat_;
  const Hooks hooks_;

  Mutex mutex_;
  Cursor cursor_ ABSL_GUARDED_BY(mutex_);
  absl::Time now_ ABSL_GUARDED_BY(mutex_);         // as last told: at most a tick old
  absl::Time last_write_ ABSL_GUARDED_BY(mutex_);  // when the last write began or ended
  absl::Time last_look_ ABSL_GUARDED_BY(mutex_);   // when a snapshot was asked for
  Wait wait_ ABSL_GUARDED_BY(mutex_) = Wait::kNothing;
  // Of the last write; it is under way until both are true.
  bool is_handed_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_write_done_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_snapshot_old_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_snapshot_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool may_have_rows_ ABSL_GUARDED_BY(mutex_) = true;
  bool is_heartbeat_due_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_terminal_sent_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_finished_ ABSL_GUARDED_BY(mutex_) = false;
  bool is_aborted_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status end_ ABSL_GUARDED_BY(mutex_);  // not OK: to be finished with
  std::shared_ptr<const Snapshot> snapshot_ ABSL_GUARDED_BY(mutex_);
  std::deque<store::FeedRow> rows_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace jenner::feed

#endif  // JENNER_SERVER_FEED_WATCHER_H_
