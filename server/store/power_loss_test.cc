// The power goes after every single write to the disk: nothing that was acknowledged is lost, and
// what is left can be read, folded and gone on with.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "absl/strings/str_format.h"
#include "server/coordinator/decide.h"
#include "server/store/event_codec.h"
#include "server/store/metric_store.h"
#include "server/store/power_loss.h"
#include "server/store/sqlite_event_log.h"

namespace jenner::store {
namespace {

using ::testing::SizeIs;

constexpr int kAutocheckpointPages = 12;
constexpr uint32_t kSeed = 20261;  // of what is torn; the number of the operation is added
constexpr Unsynced kAll[] = {Unsynced::kLost, Unsynced::kKept, Unsynced::kTorn};

class PowerLossTest : public ::testing::Test {
 protected:
  PowerLossTest() {
    // No sync is needed here, and there are thousands of images.
    const bool has_memory = access("/dev/shm", W_OK) == 0;
    std::string pattern =
        (has_memory ? std::string("/dev/shm") : ::testing::TempDir()) + "/jenner-power-XXXXXX";
    dir_ = mkdtemp(pattern.data());
    std::filesystem::create_directory(dir_ + "/live");
    std::filesystem::create_directory(dir_ + "/after");
  }
  ~PowerLossTest() override { std::filesystem::remove_all(dir_); }
  std::string Live() const { return dir_ + "/live/x.db"; }
  std::string After() const { return dir_ + "/after/x.db"; }

  // Puts an image where the next process finds it.
  void Install(const std::map<std::string, std::string>& image) const {
    for (const char* suffix : {"", "-wal", "-shm", "-journal"}) {
      std::filesystem::remove(After() + suffix);
    }
    for (const auto& [path, content] : image) {
      std::ofstream(dir_ + "/after/" + std::filesystem::path(path).filename().string(),
                    std::ios::binary)
          << content;
    }
  }

  // check(ops so far, text for messages) for the disk after each operation and each fate of what
  // was not synced.
  template <typename Check>
  void AtEachPoint(Check check) {
    recorder_.Stop();
    Disk disk;
    const std::vector<DiskOp>& ops = recorder_.ops();
    for (size_t i = 0; i <= ops.size(); ++i) {
      for (const Unsynced unsynced : kAll) {
        Install(disk.Image(unsynced, kSeed + static_cast<uint32_t>(i)));
        check(i, absl::StrFormat("after %d of %d operations, fate %d, seed %d", i, ops.size(),
                                 static_cast<int>(unsynced), kSeed));
        if (HasFatalFailure()) return;
      }
      if (i < ops.size()) disk.Apply(ops[i]);
    }
  }
  size_t NumOps() const { return recorder_.ops().size(); }

  std::string dir_;
  Recorder recorder_{kAutocheckpointPages};
};

// What a power cut must leave, if it comes after `num_ops` operations.
struct Acknowledged {
  size_t num_ops = 0;
  int64_t number = 0;
};

int64_t AcknowledgedBy(const std::vector<Acknowledged>& all, size_t num_ops) {
  int64_t number = 0;
  for (const Acknowledged& one : all) {
    if (one.num_ops <= num_ops) number = one.number;
  }
  return number;
}

core::ExperimentSpec Spec(int index) {
  core::ExperimentSpec spec;
  spec.base_model = "m" + std::string(static_cast<size_t>(index % 7) * 400, 'x');
  spec.contexts["neutral"] = {};
  spec.arms.push_back({"base", std::nullopt});
  spec.evaluation.prompts = "sha256:" + std::string(64, 'a');
  return core::Resolve(spec);
}

// One group after the other, as the coordinator's loop makes them: created, cancelled, some
// deleted.
std::vector<std::vector<coordinator::Event>> Groups(int count) {
  coordinator::State state;
  std::vector<std::vector<coordinator::Event>> groups;
  const absl::Time start = absl::FromUnixSeconds(1'700'000'000);
  for (int i = 0; static_cast<int>(groups.size()) < count; ++i) {
    const std::string id = absl::StrFormat("e%d", i);
    const std::vector<coordinator::Command> commands = {
        coordinator::CreateExperiment{id, "", "", Spec(i)}, coordinator::CancelExperiment{id},
        coordinator::DeleteExperiment{id}};
    for (size_t k = 0; k < (i % 3 == 0 ? 3u : 2u); ++k) {
      std::vector<coordinator::Event> group;
      absl::StatusOr<std::vector<coordinator::Event>> events =
          coordinator::Decide(state, commands[k], start + absl::Seconds(i));
      while (events.ok() && !events->empty()) {
        for (coordinator::Event& event : *events) {
          coordinator::Apply(event, &state);
          group.push_back(std::move(event));
        }
        events = coordinator::Decide(state, coordinator::Tick{}, start + absl::Seconds(i));
      }
      EXPECT_TRUE(events.ok()) << events.status();
      if (!group.empty()) groups.push_back(std::move(group));
    }
  }
  return groups;
}

TEST_F(PowerLossTest, NoAcknowledgedEventIsLostAndReplayNeverFails) {
  std::vector<std::string> payloads;  // by number - 1
  std::vector<int64_t> ends = {0};    // numbers at which a group ends
  std::vector<Acknowledged> acknowledged;
  {
    std::unique_ptr<SqliteEventLog> log;
    int index = 0;
    for (const std::vector<coordinator::Event>& group : Groups(24)) {
      if (index++ % 8 == 0) {
        log.reset();  // a clean end: checkpoint, and the WAL is deleted
        log = *SqliteEventLog::Open(Live());
      }
      std::vector<NewEvent> batch;
      for (const coordinator::Event& event : group) {
        batch.push_back({event.time, EncodeEvent(event)});
        payloads.push_back(batch.back().payload);
      }
      ends.push_back(static_cast<int64_t>(payloads.size()));
      ASSERT_TRUE(log->Append(batch).ok());
      acknowledged.push_back({NumOps(), log->LastSeq()});
    }
  }
  ASSERT_GT(NumOps(), 100u);
  AtEachPoint([&](size_t num_ops, const std::string& where) {
    const absl::StatusOr<std::unique_ptr<SqliteEventLog>> log = SqliteEventLog::Open(After());
    ASSERT_TRUE(log.ok()) << where << ": " << log.status();
    const int64_t last = (*log)->LastSeq();
    EXPECT_GE(last, AcknowledgedBy(acknowledged, num_ops)) << where;
    EXPECT_TRUE(std::count(ends.begin(), ends.end(), last) == 1) << where << ": half a group";
    const absl::StatusOr<std::vector<StoredEvent>> events = (*log)->ReadFrom(1, 1'000'000);
    ASSERT_TRUE(events.ok()) << where << ": " << events.status();
    ASSERT_THAT(*events, SizeIs(last)) << where;
    coordinator::State state;
    for (size_t i = 0; i < events->size(); ++i) {
      ASSERT_EQ((*events)[i].payload, payloads[i]) << where;
      const auto event = DecodeEvent((*events)[i].payload, (*events)[i].time);
      ASSERT_TRUE(event.ok()) << where << ": " << event.status();
      coordinator::Apply(*event, &state);
    }
    coordinator::CheckInvariants(state);
    const absl::Status more = (*log)->Append({{absl::UnixEpoch(), "{}"}});
    EXPECT_TRUE(more.ok()) << where << ": " << more;
  });
}

std::string StepLine(int64_t seq, int step) {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"train_step","step":%d,"epoch":0.5,"loss":2.5,"learning_rate":0.001,)"
      R"("gradient_norm":1.5,"supervised_tokens":10,"tokens":20,"tokens_per_second":200})",
      seq, step);
}
std::string SampleLine(int64_t seq, int step, int prompt) {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"sample","step":%d,"context":"neutral","prompt_id":"p%d","sample_idx":0,)"
      R"("answer":"%s","num_tokens":3,"finish_reason":"stop","scores":{"spanish":1}})",
      seq, step, prompt, std::string(300, 'x'));
}
std::string EvaluationLine(int64_t seq, int step) {
  return absl::StrFormat(
      R"({"seq":%d,"kind":"evaluation","step":%d,"context":"neutral","num_samples":2})", seq, step);
}

std::vector<TelemetryBatch> Batches() {
  std::vector<TelemetryBatch> batches;
  int64_t seq = 1;
  int64_t log_offset = 0;
  for (int step = 1; step <= 8; ++step) {
    TelemetryBatch batch;
    batch.rank = {"e", "j", 1, 0};
    batch.event_json = {StepLine(seq, step), SampleLine(seq + 1, step, 1),
                        SampleLine(seq + 2, step, 2), EvaluationLine(seq + 3, step)};
    batch.log = absl::StrFormat("step %d\n", step);
    batch.log_offset = log_offset;
    seq += 4;
    log_offset += static_cast<int64_t>(batch.log.size());
    batches.push_back(std::move(batch));
  }
  return batches;
}

TEST_F(PowerLossTest, TheMetricStoreKeepsWhatItAcknowledgedAndTakesTheRestAgain) {
  const std::vector<TelemetryBatch> batches = Batches();
  std::vector<Acknowledged> acknowledged;
  std::vector<Cell> cells;
  {
    std::unique_ptr<MetricStore> store;
    for (size_t i = 0; i < batches.size(); ++i) {
      if (i % 5 == 0) {
        store.reset();
        store = *MetricStore::Open(Live());
      }
      ASSERT_TRUE(store->Add(batches[i]).ok());
      acknowledged.push_back({NumOps(), store->NewestSeq()});
    }
    cells = *store->Cells("e");
  }
  ASSERT_THAT(cells, SizeIs(batches.size()));
  AtEachPoint([&](size_t num_ops, const std::string& where) {
    absl::StatusOr<std::unique_ptr<MetricStore>> store = MetricStore::Open(After());
    ASSERT_TRUE(store.ok()) << where << ": " << store.status();
    const int64_t newest = AcknowledgedBy(acknowledged, num_ops);
    EXPECT_GE((*store)->NewestSeq(), newest) << where;
    ASSERT_EQ(static_cast<int64_t>((*store)->ReadFeed("e", 0, 1000)->size()), (*store)->NewestSeq())
        << where;
    // Every agent sends again what was not acknowledged, and may what was.
    for (const TelemetryBatch& batch : batches) {
      const absl::Status added = (*store)->Add(batch).status();
      ASSERT_TRUE(added.ok()) << where << ": " << added;
    }
    EXPECT_EQ(*(*store)->Cells("e"), cells) << where;
    EXPECT_THAT(*(*store)->ReadFeed("e", 0, 1000), SizeIs(2 * batches.size())) << where;
    EXPECT_THAT((*store)->LogLines({.experiment = "e"})->lines, SizeIs(batches.size())) << where;
  });
}

}  // namespace
}  // namespace jenner::store
