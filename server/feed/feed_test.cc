#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/strings/str_format.h"
#include "server/feed/cursor.h"
#include "server/feed/hub.h"
#include "server/feed/mailbox.h"
#include "server/feed/watcher.h"

namespace jenner::feed {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(Cursor, ComesBackAndRefusesTheRest) {
  for (const Cursor& cursor :
       {Cursor{"a", 0, 0}, Cursor{"e1-m2", 12, 455}, Cursor{"life", int64_t{1} << 60, 1}}) {
    EXPECT_EQ(*ParseCursor(ToString(cursor)), cursor);
  }
  EXPECT_EQ(*ParseCursor(""), Cursor{});
  for (const char* bad :
       {"a", "e1.m2", ".e1.m2", "a.e1", "a.m1", "a.e1.m", "a.e.m1", "a.m2.e1", "a.e-1.m2",
        "a.e1.m2x", "a.e1.m99999999999999999999", "a.e1.m 2", "a.E1.M2"}) {
    EXPECT_TRUE(absl::IsInvalidArgument(ParseCursor(bad).status())) << bad;
  }
}

TEST(Mailbox, IsBoundedOrderedAndDrainsAfterClose) {
  Mailbox<int> mailbox(3);
  EXPECT_TRUE(mailbox.Push(1));
  EXPECT_TRUE(mailbox.Push(2));
  EXPECT_TRUE(mailbox.Push(3));
  EXPECT_FALSE(mailbox.Push(4));
  EXPECT_THAT(mailbox.Drain(2), ElementsAre(1, 2));
  EXPECT_TRUE(mailbox.Push(5));
  mailbox.Close();
  EXPECT_FALSE(mailbox.Push(6));
  EXPECT_THAT(mailbox.Drain(9), ElementsAre(3, 5));
  EXPECT_THAT(mailbox.Drain(9), IsEmpty());
}

TEST(Mailbox, WakesAWaitingReader) {
  Mailbox<int> mailbox(1);
  std::thread pusher([&] { EXPECT_TRUE(mailbox.Push(7)); });
  EXPECT_THAT(mailbox.Drain(1), ElementsAre(7));
  pusher.join();
}

// A world in one thread: an experiment, its rows, and a reader that takes updates when told to.
class World {
 public:
  std::shared_ptr<Watcher> Watch(const std::string& cursor = "e1.e0.m0") {
    Watcher::Hooks hooks;
    hooks.snapshot = [this](Watcher::SnapshotCallback answer) {
      if (!snapshot_error.ok()) return answer(snapshot_error);
      ++num_looks;
      if (shown == nullptr || shown->version != version || shown->is_terminal != is_terminal) {
        Renew();
      }
      answer(shown);
    };
    hooks.rows = [this](int64_t after, int limit, Watcher::RowsCallback answer) {
      ++num_reads;
      std::vector<store::FeedRow> page;
      for (const store::FeedRow& row : rows) {
        if (row.seq > after && static_cast<int>(page.size()) < limit) page.push_back(row);
      }
      if (hold_rows) {
        held_rows = [answer, page] { answer(page); };
      } else {
        answer(page);
      }
    };
    hooks.write = [this](const Update& update) {
      ASSERT_FALSE(is_writing) << "two writes at once";
      is_writing = true;
      in_flight = Describe(update);
      last_cursor = ToString(update.cursor);
      ASSERT_EQ(num_writes_open++, 0) << "a write begins inside another";
      if (on_write) on_write();
      --num_writes_open;
    };
    hooks.finish = [this](const absl::Status& status, const Cursor& last) {
      ASSERT_FALSE(end.has_value()) << "finished twice";
      ASSERT_EQ(num_writes_open, 0) << "finished inside a write";
      end = status;
      end_cursor = ToString(last);
    };
    hooks.abort = [this] { is_aborted = true; };
    watcher = std::make_shared<Watcher>(*ParseCursor(cursor), absl::Seconds(10), now, hooks);
    watcher->Start();
    return watcher;
  }
  void Renew() {
    auto snapshot = std::make_shared<Snapshot>();
    snapshot->version = version;
    snapshot->is_terminal = is_terminal;
    snapshot->is_waiting = is_waiting;
    shown = std::move(snapshot);
  }
  // Takes what is there, and says what it was.
  std::vector<std::string> TakeAll(size_t limit = 1000) {
    std::vector<std::string> taken;
    while (is_writing && taken.size() < limit) {
      is_writing = false;
      taken.push_back(in_flight);
      watcher->WriteDone(true, now);
    }
    return taken;
  }
  void AddRows(int count) {
    for (int i = 0; i < count; ++i) {
      store::TrainPoint point;
      point.step.step = static_cast<int32_t>(rows.size()) + 1;
      rows.push_back({static_cast<int64_t>(rows.size() + 1) * 10, point});
    }
  }
  static std::string Describe(const Update& update) {
    std::string what = "heartbeat";
    if (const auto* snapshot = std::get_if<std::shared_ptr<const Snapshot>>(&update.body)) {
      what = absl::StrFormat("v%d", (*snapshot)->version);
    } else if (const auto* row = std::get_if<store::FeedRow>(&update.body)) {
      what = absl::StrFormat("row %d", row->seq);
    } else if (std::holds_alternative<TerminalUpdate>(update.body)) {
      what = "terminal";
    }
    return what + " @" + ToString(update.cursor);
  }

  absl::Time now = absl::UnixEpoch();
  int64_t version = 3;
  bool is_terminal = false;
  bool is_waiting = false;
  std::shared_ptr<const Snapshot> shown;
  int num_looks = 0;
  absl::Status snapshot_error;
  std::vector<store::FeedRow> rows;
  int num_reads = 0;
  bool hold_rows = false;
  std::function<void()> held_rows;

  std::shared_ptr<Watcher> watcher;
  bool is_writing = false;
  int num_writes_open = 0;
  std::function<void()> on_write;  // inside the write hook
  std::string in_flight;
  std::string last_cursor;
  std::optional<absl::Status> end;
  std::string end_cursor;
  bool is_aborted = false;
};

TEST(Watcher, SendsStateThenRowsThenChangesThenTerminal) {
  World world;
  world.AddRows(2);
  world.Watch();
  EXPECT_THAT(world.TakeAll(),
              ElementsAre("v3 @e1.e3.m0", "row 10 @e1.e3.m10", "row 20 @e1.e3.m20"));
  world.AddRows(1);
  world.watcher->WakeForRows();
  EXPECT_THAT(world.TakeAll(), ElementsAre("row 30 @e1.e3.m30"));
  world.AddRows(1);
  world.version = 4;
  world.is_terminal = true;
  world.watcher->WakeForEvent();
  EXPECT_THAT(world.TakeAll(),
              ElementsAre("v4 @e1.e4.m30", "row 40 @e1.e4.m40", "terminal @e1.e4.m40"));
  ASSERT_TRUE(world.end.has_value());
  EXPECT_TRUE(world.end->ok());
}

TEST(Watcher, ResumesAfterTheCursor) {
  World world;
  world.AddRows(4);
  world.Watch("e1.e3.m20");
  EXPECT_THAT(world.TakeAll(),
              ElementsAre("v3 @e1.e3.m20", "row 30 @e1.e3.m30", "row 40 @e1.e3.m40"));
}

TEST(Watcher, ReadsPagesAndHoldsNoMore) {
  World world;
  world.AddRows(Watcher::kPageRows * 3 + 1);
  world.Watch();
  EXPECT_EQ(world.TakeAll(100).size(), 100u);
  EXPECT_EQ(world.num_reads, 1);
  EXPECT_EQ(world.TakeAll().size(), static_cast<size_t>(Watcher::kPageRows) * 3 + 2 - 100);
  EXPECT_EQ(world.num_reads, 4);
}

TEST(Watcher, AWakeWithoutNewsWritesNothing) {
  World world;
  world.Watch();
  world.TakeAll();
  world.watcher->WakeForEvent();
  world.watcher->WakeForRows();
  EXPECT_FALSE(world.is_writing);
}

TEST(Watcher, LooksAgainAtWhatWaits) {
  World world;
  world.is_waiting = true;
  world.Watch();
  EXPECT_THAT(world.TakeAll(), ElementsAre("v3 @e1.e3.m0"));
  world.now += Watcher::kLookAgain;
  world.watcher->Tick(world.now);
  world.watcher->Tick(world.now);
  EXPECT_EQ(world.num_looks, 2);
  EXPECT_FALSE(world.is_writing) << "it waits for the same reason";
  world.is_waiting = false;
  world.Renew();
  world.now += Watcher::kLookAgain;
  world.watcher->Tick(world.now);
  EXPECT_THAT(world.TakeAll(), ElementsAre("v3 @e1.e3.m0"));
  world.now += Watcher::kLookAgain - absl::Seconds(1);
  world.watcher->Tick(world.now);
  EXPECT_EQ(world.num_looks, 3) << "nothing waits";
}

TEST(Watcher, AWakeDuringAReadIsNotLost) {
  World world;
  world.hold_rows = true;
  world.Watch();
  world.TakeAll();
  world.AddRows(1);  // after the read that is on its way
  world.watcher->WakeForRows();
  world.hold_rows = false;
  world.held_rows();
  EXPECT_THAT(world.TakeAll(), ElementsAre("row 10 @e1.e3.m10"));
}

TEST(Watcher, HeartbeatsAfterSilenceOnly) {
  World world;
  world.Watch();
  world.TakeAll();
  world.now += absl::Seconds(9);
  world.watcher->Tick(world.now);
  EXPECT_FALSE(world.is_writing);
  world.now += absl::Seconds(1);
  world.watcher->Tick(world.now);
  EXPECT_THAT(world.TakeAll(), ElementsAre("heartbeat @e1.e3.m0"));
  world.watcher->Tick(world.now);
  EXPECT_FALSE(world.is_writing);
}

TEST(Watcher, ASlowReaderIsEndedWithItsCursorAndThenCutOff) {
  World world;
  world.AddRows(2);
  world.Watch();
  world.TakeAll(2);  // "row 20" is under way
  world.now += absl::Seconds(29);
  world.watcher->Tick(world.now);
  EXPECT_FALSE(world.end.has_value());
  EXPECT_EQ(world.watcher->Stall(), absl::Seconds(29));
  world.now += absl::Seconds(1);
  world.watcher->Tick(world.now);
  ASSERT_TRUE(world.end.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*world.end));
  EXPECT_EQ(world.end_cursor, "e1.e3.m20");
  EXPECT_FALSE(world.is_aborted);
  world.now += absl::Seconds(30);
  world.watcher->Tick(world.now);
  EXPECT_TRUE(world.is_aborted);
  world.TakeAll();  // no second finish
}

// The transport may be told to finish only after the write was handed to it: it may go at once.
TEST(Watcher, IsNotEndedBeforeTheWriteWasHandedOver) {
  World world;
  world.on_write = [&world] { world.watcher->Tick(world.now + Watcher::kWriteLimit); };
  world.Watch();
  EXPECT_FALSE(world.end.has_value());
  world.watcher->Tick(world.now + Watcher::kWriteLimit);
  ASSERT_TRUE(world.end.has_value());
  EXPECT_TRUE(absl::IsResourceExhausted(*world.end));
}

TEST(Watcher, AWriteMayBeDoneBeforeItWasHandedOver) {
  World world;
  world.is_terminal = true;
  world.AddRows(3);
  world.on_write = [&world] {
    world.is_writing = false;
    world.watcher->WriteDone(true, world.now);
  };
  world.Watch();
  EXPECT_EQ(world.in_flight, "terminal @e1.e3.m30");
  ASSERT_TRUE(world.end.has_value());
  EXPECT_TRUE(world.end->ok());
}

TEST(Watcher, AnIdleStreamIsNoSlowReader) {
  World world;
  world.Watch();
  world.TakeAll();
  world.now += absl::Seconds(9);
  world.watcher->Tick(world.now);
  world.AddRows(1);
  world.watcher->WakeForRows();
  world.now += absl::Seconds(29);
  world.watcher->Tick(world.now);
  EXPECT_FALSE(world.end.has_value());
}

TEST(Watcher, EndWaitsForTheWriteUnderWay) {
  World world;
  world.AddRows(1);
  world.Watch();
  world.watcher->End(absl::UnavailableError("bye"));
  EXPECT_FALSE(world.end.has_value());
  EXPECT_THAT(world.TakeAll(), ElementsAre("v3 @e1.e3.m0"));
  ASSERT_TRUE(world.end.has_value());
  EXPECT_EQ(*world.end, absl::UnavailableError("bye"));
  EXPECT_EQ(world.end_cursor, "e1.e3.m0");
}

TEST(Watcher, AnAnswerAfterTheEndIsIgnored) {
  World world;
  world.hold_rows = true;
  world.Watch();
  world.TakeAll();
  world.watcher->End(absl::CancelledError("gone"));
  EXPECT_TRUE(world.end.has_value());
  world.AddRows(1);
  world.held_rows();
  EXPECT_FALSE(world.is_writing);
}

TEST(Watcher, AFailedWriteOrALookThatFailsEndsIt) {
  World world;
  world.Watch();
  world.is_writing = false;
  world.watcher->WriteDone(false, world.now);
  EXPECT_TRUE(absl::IsCancelled(*world.end));
  World deleted;
  deleted.snapshot_error = absl::NotFoundError("no experiment");
  deleted.Watch();
  EXPECT_TRUE(absl::IsNotFound(*deleted.end));
}

TEST(Hub, WakesByExperimentLimitsAndCloses) {
  Hub hub(1);
  World world;
  ASSERT_TRUE(hub.Add(world.Watch()).ok());
  World other;
  EXPECT_TRUE(absl::IsResourceExhausted(hub.Add(other.Watch())));
  world.TakeAll();
  world.AddRows(1);
  hub.NotifyRows("e2");
  EXPECT_FALSE(world.is_writing);
  hub.NotifyRows("e1");
  EXPECT_THAT(world.TakeAll(), ElementsAre("row 10 @e1.e3.m10"));
  world.version = 9;
  hub.NotifyEvent("e1");
  EXPECT_THAT(world.TakeAll(), ElementsAre("v9 @e1.e9.m10"));
  hub.Close();
  EXPECT_TRUE(absl::IsUnavailable(*world.end));
  hub.Remove(world.watcher.get());
  EXPECT_EQ(hub.NumWatchers(), 0);
  EXPECT_TRUE(absl::IsUnavailable(hub.Add(other.watcher)));
}

// Readers, a store, a source of news and a ticker, each on a thread of its own: every reader gets
// every row once and in order, then Terminal, whatever the threads do (ThreadSanitizer runs this,
// too).
class Busy {
 public:
  static constexpr int kNumRows = 2000;
  static constexpr int kNumReaders = 8;

  void Run() {
    std::thread store([this] { Serve(store_tasks_); });
    std::thread transport([this] { Serve(writes_); });
    for (int i = 0; i < kNumReaders; ++i) StartReader(i);
    std::thread ticker([this] {
      for (int64_t tick = 0; !all_ended_.WaitFor(absl::Milliseconds(1)); ++tick) {
        hub_.Tick(absl::UnixEpoch() + absl::Milliseconds(tick));
      }
    });
    for (int i = 0; i < kNumRows; ++i) {
      // A full queue makes the caller wait its turn by a task of its own.
      Push(store_tasks_, [this] { num_rows_ += 1; });  // on the store thread, as its readers are
      if (i % 3 == 0) hub_.NotifyRows("e1");
      if (i % 50 == 0) hub_.NotifyEvent("e1");
      if (i == kNumRows / 2) readers_[0].watcher->End(absl::CancelledError("gone"));
    }
    Push(store_tasks_, [this] { is_terminal_ = true; });
    hub_.NotifyEvent("e1");
    all_ended_.Wait();
    ticker.join();
    store_tasks_.Close();
    writes_.Close();
    store.join();
    transport.join();
  }

  struct Reader {
    std::shared_ptr<Watcher> watcher;
    int64_t last_row = 0;       // on the transport's thread
    bool saw_terminal = false;  // on the transport's thread
    absl::Status end;           // before all_ended_
  };
  Reader readers_[kNumReaders];

 private:
  static void Serve(TaskQueue& queue) {
    for (;;) {
      const std::vector<Task> tasks = queue.Drain(16);
      if (tasks.empty()) return;
      for (const Task& task : tasks) task();
    }
  }
  static void Push(TaskQueue& queue, Task task) {
    while (!queue.Push(task)) std::this_thread::yield();
  }
  void StartReader(int index) {
    Reader& reader = readers_[index];
    Watcher::Hooks hooks;
    hooks.snapshot = [this](Watcher::SnapshotCallback done) {
      Push(store_tasks_, [this, done] {
        auto snapshot = std::make_shared<Snapshot>();
        snapshot->version = is_terminal_ ? 2 : 1;
        snapshot->is_terminal = is_terminal_;
        done(std::shared_ptr<const Snapshot>(std::move(snapshot)));
      });
    };
    hooks.rows = [this](int64_t after, int limit, Watcher::RowsCallback done) {
      Push(store_tasks_, [this, after, limit, done] {
        std::vector<store::FeedRow> page;
        for (int64_t seq = after + 1; seq <= num_rows_ && static_cast<int>(page.size()) < limit;
             ++seq) {
          page.push_back({seq, store::TrainPoint{}});
        }
        done(page);
      });
    };
    hooks.write = [this, &reader](const Update& update) {
      Push(writes_, [&reader, update] {
        if (const auto* row = std::get_if<store::FeedRow>(&update.body)) {
          EXPECT_EQ(row->seq, reader.last_row + 1);
          reader.last_row = row->seq;
        }
        reader.saw_terminal |= std::holds_alternative<TerminalUpdate>(update.body);
        reader.watcher->WriteDone(true, absl::UnixEpoch());
      });
    };
    hooks.finish = [this, &reader](const absl::Status& status, const Cursor&) {
      reader.end = status;
      if (++num_ended_ == kNumReaders) all_ended_.Notify();
    };
    hooks.abort = [] { ADD_FAILURE() << "nobody is slow"; };
    reader.watcher = std::make_shared<Watcher>(Cursor{"e1", 0, 0}, absl::Milliseconds(5),
                                               absl::UnixEpoch(), hooks);
    ASSERT_TRUE(hub_.Add(reader.watcher).ok());
    reader.watcher->Start();
  }

  Hub hub_{kNumReaders};
  TaskQueue store_tasks_{100'000};
  TaskQueue writes_{100'000};
  Signal all_ended_;
  std::atomic<int> num_ended_ = 0;
  int64_t num_rows_ = 0;      // on the store's thread
  bool is_terminal_ = false;  // on the store's thread
};

TEST(Feed, ManyThreadsLoseNothing) {
  Busy busy;
  busy.Run();
  EXPECT_TRUE(absl::IsCancelled(busy.readers_[0].end));
  for (int i = 1; i < Busy::kNumReaders; ++i) {
    EXPECT_TRUE(busy.readers_[i].end.ok()) << busy.readers_[i].end;
    EXPECT_EQ(busy.readers_[i].last_row, Busy::kNumRows);
    EXPECT_TRUE(busy.readers_[i].saw_terminal);
  }
}

}  // namespace
}  // namespace jenner::feed
