#include "server/feed/watcher.h"

#include <utility>

#include "absl/strings/str_format.h"

namespace jenner::feed {

Watcher::Watcher(Cursor cursor, absl::Duration heartbeat, absl::Time now, Hooks hooks)
    : experiment_(cursor.experiment),
      heartbeat_(heartbeat),
      hooks_(std::move(hooks)),
      cursor_(std::move(cursor)),
      now_(now),
      last_write_(now),
      last_look_(now) {}

void Watcher::Start() {
  Action action;
  {
    const MutexLock lock(&mutex_);
    action = Next();
  }
  Run(action);
}

void Watcher::WakeForEvent() {
  Action action;
  {
    const MutexLock lock(&mutex_);
    is_snapshot_old_ = true;
    may_have_rows_ = true;
    action = Next();
  }
  Run(action);
}

void Watcher::WakeForRows() {
  Action action;
  {
    const MutexLock lock(&mutex_);
    may_have_rows_ = true;
    action = Next();
  }
  Run(action);
}

void Watcher::Tick(absl::Time now) {
  Action action;
  {
    const MutexLock lock(&mutex_);
    now_ = now;
    const absl::Duration silence = now - last_write_;
    if (snapshot_ != nullptr && snapshot_->is_waiting && now - last_look_ >= kLookAgain) {
      is_snapshot_old_ = true;
    }
    const bool is_slow = wait_ == Wait::kWrite && is_handed_ && silence >= kWriteLimit;
    if (is_slow && is_finished_ && silence >= 2 * kWriteLimit && !is_aborted_) {
      is_aborted_ = true;
      action = hooks_.abort;
    } else if (is_slow && !is_finished_) {
      action = Finish(absl::ResourceExhaustedError(
          absl::StrFormat("the reader took nothing for %s", absl::FormatDuration(kWriteLimit))));
    } else {
      is_heartbeat_due_ |= wait_ != Wait::kWrite && silence >= heartbeat_;
      action = Next();
    }
  }
  Run(action);
}

absl::Duration Watcher::Stall() {
  const MutexLock lock(&mutex_);
  const bool is_writing = wait_ == Wait::kWrite && is_handed_;
  return is_writing ? now_ - last_write_ : absl::ZeroDuration();
}

void Watcher::WriteDone(bool ok, absl::Time now) {
  Action action;
  {
    const MutexLock lock(&mutex_);
    is_write_done_ = true;
    now_ = last_write_ = now;
    if (!ok && end_.ok()) end_ = absl::CancelledError("the reader went away");
    if (is_handed_) wait_ = Wait::kNothing;
    action = Next();
  }
  Run(action);
}

void Watcher::Handed() {
  Action action;
  {
    const MutexLock lock(&mutex_);
    is_handed_ = true;
    if (is_write_done_) wait_ = Wait::kNothing;
    action = Next();
  }
  Run(action);
}

void Watcher::End(const absl::Status& status) {
  Action action;
  {
    const MutexLock lock(&mutex_);
    if (end_.ok()) end_ = status;
    action = Next();
  }
  Run(action);
}

Watcher::Action Watcher::Next() {
  if (is_finished_) return nullptr;
  // A read on its way is left to itself: its answer finds the stream finished.
  if (!end_.ok() && wait_ != Wait::kWrite) return Finish(end_);
  if (wait_ != Wait::kNothing) return nullptr;
  if (is_terminal_sent_) return Finish(absl::OkStatus());
  if (snapshot_ != nullptr && !is_snapshot_sent_) {
    is_snapshot_sent_ = true;
    cursor_.event = snapshot_->version;
    return Write({cursor_, snapshot_});
  }
  if (snapshot_ != nullptr && !rows_.empty()) {
    store::FeedRow row = std::move(rows_.front());
    rows_.pop_front();
    cursor_.metric = row.seq;
    return Write({cursor_, std::move(row)});
  }
  return NextRead();
}

Watcher::Action Watcher::NextRead() {
  if (is_snapshot_old_) {
    is_snapshot_old_ = false;
    last_look_ = now_;
    wait_ = Wait::kSnapshot;
    return [self = shared_from_this()] {
      self->hooks_.snapshot([self](auto snapshot) { self->GotSnapshot(std::move(snapshot)); });
    };
  }
  if (may_have_rows_) {
    may_have_rows_ = false;
    wait_ = Wait::kRows;
    return [self = shared_from_this(), after = cursor_.metric] {
      self->hooks_.rows(after, kPageRows, [self](auto rows) { self->GotRows(std::move(rows)); });
    };
  }
  if (snapshot_->is_terminal) {
    is_terminal_sent_ = true;
    return Write({cursor_, TerminalUpdate{snapshot_}});
  }
  if (is_heartbeat_due_) return Write({cursor_, Heartbeat{}});
  return nullptr;
}

Watcher::Action Watcher::Write(Update update) {
  wait_ = Wait::kWrite;
  is_handed_ = is_write_done_ = false;
  is_heartbeat_due_ = false;
  last_write_ = now_;
  return [self = shared_from_this(), update = std::move(update)] {
    self->hooks_.write(update);
    self->Handed();
  };
}

Watcher::Action Watcher::Finish(const absl::Status& status) {
  is_finished_ = true;
  rows_.clear();
  return [self = shared_from_this(), status, last = cursor_] { self->hooks_.finish(status, last); };
}

void Watcher::GotSnapshot(absl::StatusOr<std::shared_ptr<const Snapshot>> snapshot) {
  Action action;
  {
    const MutexLock lock(&mutex_);
    wait_ = Wait::kNothing;
    if (snapshot.ok()) {
      if (snapshot_ != *snapshot) {
        snapshot_ = *std::move(snapshot);
        is_snapshot_sent_ = false;
        // What the rows say up to here is read after this look: nothing is missed before Terminal.
        may_have_rows_ = true;
      }
    } else if (end_.ok()) {
      end_ = snapshot.status();
    }
    action = Next();
  }
  Run(action);
}

void Watcher::GotRows(absl::StatusOr<std::vector<store::FeedRow>> rows) {
  Action action;
  {
    const MutexLock lock(&mutex_);
    wait_ = Wait::kNothing;
    if (!rows.ok()) {
      if (end_.ok()) end_ = rows.status();
    } else {
      if (static_cast<int>(rows->size()) == kPageRows) may_have_rows_ = true;
      for (store::FeedRow& row : *rows) rows_.push_back(std::move(row));
    }
    action = Next();
  }
  Run(action);
}

}  // namespace jenner::feed
