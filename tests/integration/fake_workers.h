// FakeWorkers: the Workers service of a coordinator, on a free loopback port, for tests of an
// agent. It assigns what its state says, keeps what it is sent as the real one does (rows once by
// their seq), and fails calls as it is told. What no agent may do - rows that differ, a hole in a
// log, a batch that is too large - is a failure of the test. Thread-safe.
#ifndef JENNER_TESTS_INTEGRATION_FAKE_WORKERS_H_
#define JENNER_TESTS_INTEGRATION_FAKE_WORKERS_H_

#include <grpcpp/server.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <chrono>
#include <condition_variable>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "core/sha256.h"
#include "jenner/v1/worker.grpc.pb.h"
#include "wire/channel.h"
#include "wire/convert.h"

namespace jenner::tests {

using Json = nlohmann::json;

inline std::string Name(const v1::RankKey& key) {
  return absl::StrCat(key.experiment(), "/", key.job(), "/", key.attempt(), "-", key.rank());
}

// How a call goes wrong. Midway: of a stream, after its first chunk.
struct Fault {
  enum class When { kNever, kBefore, kMidway, kAfter } when = When::kNever;
  grpc::StatusCode code = grpc::StatusCode::UNAVAILABLE;
  bool stalls = false;    // no answer instead of `code`
  bool corrupts = false;  // a download of other bytes, answered OK
};

// The faults of one method's calls: those of `first` in turn, `then` ever after.
struct FaultPlan {
  std::deque<Fault> first;
  Fault then;
  int num_calls = 0;

  Fault Next() {
    ++num_calls;
    if (first.empty()) return then;
    const Fault fault = first.front();
    first.pop_front();
    return fault;
  }
};

// What has come of one rank.
struct Received {
  std::vector<int64_t> seqs;             // as they were stored
  std::map<int64_t, std::string> lines;  // by seq
  int num_lines_sent = 0;                // those sent again counted again
  std::string log;
  std::map<std::string, std::string> blobs;  // by hash
  int num_checkpoint_blobs = 0;              // those of checkpoints, repeated ones counted again
  v1::RankReport report;                     // the last
  // In the order of arrival: "PREPARING" and so on when its phase changed, "seq 3", "log",
  // "blob <hash>".
  std::vector<std::string> story;

  bool Tells(const std::string& word) const {
    return std::find(story.begin(), story.end(), word) != story.end();
  }
};

class FakeWorkers final : public v1::Workers::Service {
 public:
  struct State {
    // What is answered.
    std::map<std::string, v1::Assignment> assignments;  // by Name
    absl::Duration lease = absl::Seconds(15);
    absl::Duration next_synchronize = absl::Milliseconds(100);
    bool silent = false;                          // Synchronize is not answered
    bool away = false;                            // Synchronize is UNAVAILABLE
    std::map<std::string, std::string> datasets;  // by hash
    std::vector<std::string> ended_jobs;          // are told with each answer
    std::set<int64_t> invalid_seqs;               // a batch with such a line is refused
    FaultPlan downloads;
    FaultPlan telemetry;
    FaultPlan blobs;
    // What has come.
    v1::SynchronizeRequest last;  // that was answered
    absl::Time last_at;           // when it came
    int num_synchronized = 0;     // answered
    int num_away = 0;             // refused as the server was `away`
    std::set<std::string> boots;
    std::map<std::string, Received> ranks;  // by Name

    const Received& Of(const v1::RankKey& key) const {
      static const Received kNothing;
      const auto found = ranks.find(Name(key));
      return found == ranks.end() ? kNothing : found->second;
    }
    bool IsReported(const v1::RankKey& key) const {
      return std::any_of(last.ranks().begin(), last.ranks().end(),
                         [&](const auto& report) { return Name(report.key()) == Name(key); });
    }
  };

  // Calls act(State&) with the state locked.
  template <typename Act>
  auto With(Act act) {
    const std::lock_guard<std::mutex> lock(mutex_);
    changed_.notify_all();
    return act(state_);
  }

  FakeWorkers() {
    grpc::ServerBuilder builder;
    wire::ConfigureServer(&builder);
    builder.AddListeningPort("127.0.0.1:0", grpc::InsecureServerCredentials(), &port_);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
  }
  ~FakeWorkers() override {
    ReleaseAll();
    server_->Shutdown(std::chrono::system_clock::now());
  }
  // Answers what is held or stalled, from now on with UNAVAILABLE at once.
  void ReleaseAll() {
    With([this](State&) { closing_ = true; });
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  // Waits until is_true(const State&), which may look at files and processes, too.
  template <typename Condition>
  bool Await(Condition is_true, absl::Duration limit = absl::Seconds(20)) {
    const absl::Time until = absl::Now() + limit;
    std::unique_lock<std::mutex> lock(mutex_);
    while (!is_true(static_cast<const State&>(state_))) {
      if (absl::Now() > until) return false;
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    return true;
  }

 private:
  using When = Fault::When;

  grpc::Status Synchronize(grpc::ServerContext* context, const v1::SynchronizeRequest* request,
                           v1::SynchronizeResponse* response) override {
    std::unique_lock<std::mutex> lock(mutex_);
    const absl::Time now = absl::Now();
    if (state_.silent) {
      return Hold(context, &lock, [this] { return !state_.silent; });
    }
    if (state_.away) {
      ++state_.num_away;
      changed_.notify_all();
      return grpc::Status(grpc::StatusCode::UNAVAILABLE, "away");
    }
    state_.last = *request;
    state_.last_at = now;
    ++state_.num_synchronized;
    state_.boots.insert(request->boot_id());
    for (const v1::RankReport& report : request->ranks()) {
      Received& rank = state_.ranks[Name(report.key())];
      if (report.phase() != rank.report.phase()) {
        const std::string name = v1::RankReport::Phase_Name(report.phase());
        rank.story.push_back(name.substr(std::string("PHASE_").size()));
      }
      rank.report = report;
    }
    for (const std::string& job : state_.ended_jobs) response->add_ended_jobs(job);
    for (const auto& [name, assignment] : state_.assignments) {
      *response->add_assignments() = assignment;
    }
    *response->mutable_lease_duration() = wire::ToProto(state_.lease);
    *response->mutable_next_synchronize() = wire::ToProto(state_.next_synchronize);
    changed_.notify_all();
    return grpc::Status::OK;
  }

  grpc::Status UploadTelemetry(grpc::ServerContext* context,
                               const v1::UploadTelemetryRequest* request,
                               v1::UploadTelemetryResponse*) override {
    std::unique_lock<std::mutex> lock(mutex_);
    const Fault fault = state_.telemetry.Next();
    changed_.notify_all();
    if (fault.when == When::kBefore) return Fail(fault, context, &lock);
    std::vector<Json> lines;
    size_t size_bytes = 0;
    for (const std::string& line : request->event_json()) {
      size_bytes += line.size();
      lines.push_back(Json::parse(line));
      if (state_.invalid_seqs.contains(lines.back()["seq"].get<int64_t>())) {
        return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "a bad line");
      }
    }
    EXPECT_LE(size_bytes, size_t{1} << 20);
    EXPECT_LE(request->log().size(), size_t{64} << 10);
    Received& rank = state_.ranks[Name(request->key())];
    for (const Json& line : lines) Store(line, &rank);
    if (!request->log().empty()) StoreLog(*request, &rank);
    if (fault.when == When::kAfter) return Fail(fault, context, &lock);
    return grpc::Status::OK;
  }

  static void Store(const Json& line, Received* rank) {
    ++rank->num_lines_sent;
    const int64_t seq = line["seq"];
    const auto [at, is_new] = rank->lines.emplace(seq, line.dump());
    EXPECT_EQ(at->second, line.dump()) << "sent again, and not the same";
    if (!is_new) return;
    rank->seqs.push_back(seq);
    rank->story.push_back(absl::StrCat("seq ", seq));
  }
  static void StoreLog(const v1::UploadTelemetryRequest& request, Received* rank) {
    const auto offset = static_cast<size_t>(request.log_offset());
    ASSERT_LE(offset, rank->log.size()) << "a hole in the log";
    const size_t again = std::min(request.log().size(), rank->log.size() - offset);
    EXPECT_EQ(rank->log.substr(offset, again), request.log().substr(0, again));
    rank->log += request.log().substr(again);
    rank->story.push_back("log");
  }

  grpc::Status UploadBlob(grpc::ServerContext* context,
                          grpc::ServerReader<v1::UploadBlobRequest>* reader,
                          v1::UploadBlobResponse*) override {
    const Fault fault = With([](State& state) { return state.blobs.Next(); });
    v1::UploadBlobRequest message;
    if (!reader->Read(&message) || !message.has_header()) {
      return grpc::Status(grpc::StatusCode::CANCELLED, "cut off");
    }
    const v1::UploadBlobHeader header = message.header();
    std::unique_lock<std::mutex> lock(mutex_);
    if (fault.when == When::kBefore) return Fail(fault, context, &lock);
    lock.unlock();
    std::string bytes;
    while (reader->Read(&message)) {
      EXPECT_LE(message.chunk().size(), static_cast<size_t>(wire::kMaxChunkBytes));
      bytes += message.chunk();
      if (fault.when != When::kMidway) continue;
      lock.lock();
      return Fail(fault, context, &lock);
    }
    if (core::Sha256Hex(bytes) != header.sha256() ||
        static_cast<int64_t>(bytes.size()) != header.size_bytes()) {
      return grpc::Status(grpc::StatusCode::INVALID_ARGUMENT, "other bytes");
    }
    lock.lock();
    Received& rank = state_.ranks[Name(header.key())];
    rank.blobs[header.sha256()] = bytes;
    rank.num_checkpoint_blobs += header.checkpoint() ? 1 : 0;
    rank.story.push_back("blob " + header.sha256());
    changed_.notify_all();
    if (fault.when == When::kAfter) return Fail(fault, context, &lock);
    return grpc::Status::OK;
  }

  grpc::Status DownloadBlob(grpc::ServerContext* context, const v1::DownloadBlobRequest* request,
                            grpc::ServerWriter<v1::DownloadBlobResponse>* writer) override {
    std::unique_lock<std::mutex> lock(mutex_);
    const Fault fault = state_.downloads.Next();
    changed_.notify_all();
    if (fault.when == When::kBefore) return Fail(fault, context, &lock);
    const auto found = state_.datasets.find(request->sha256());
    if (found == state_.datasets.end()) return grpc::Status(grpc::StatusCode::NOT_FOUND, "none");
    std::string bytes = found->second;
    lock.unlock();
    if (fault.corrupts) bytes.back() ^= 1;
    v1::DownloadBlobResponse response;
    response.set_chunk(bytes.substr(0, bytes.size() / 2));
    writer->Write(response);
    if (fault.when == When::kMidway) {
      lock.lock();
      return Fail(fault, context, &lock);
    }
    response.set_chunk(bytes.substr(bytes.size() / 2));
    writer->Write(response);
    return grpc::Status::OK;
  }

  grpc::Status Fail(const Fault& fault, grpc::ServerContext* context,
                    std::unique_lock<std::mutex>* lock) {
    changed_.notify_all();
    if (fault.stalls) return Hold(context, lock, [] { return false; });
    return grpc::Status(fault.code, "as the test wants it");
  }
  // No answer until is_over(), the caller is gone or this object goes.
  grpc::Status Hold(grpc::ServerContext* context, std::unique_lock<std::mutex>* lock,
                    const std::function<bool()>& is_over) {
    while (!closing_ && !context->IsCancelled() && !is_over()) {
      changed_.wait_for(*lock, std::chrono::milliseconds(20));
    }
    return grpc::Status(grpc::StatusCode::UNAVAILABLE, "held");
  }

  std::mutex mutex_;  // guards state_ and closing_
  std::condition_variable changed_;
  State state_;
  bool closing_ = false;
  int port_ = 0;
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_FAKE_WORKERS_H_
