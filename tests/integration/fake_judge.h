// FakeJudge: a judge on a free loopback port that does as a test's script says, one entry a call,
// the last one ever after. Its score of an answer is the answer read as a number. It can go and
// come back on its port. Thread-safe.
#ifndef JENNER_TESTS_INTEGRATION_FAKE_JUDGE_H_
#define JENNER_TESTS_INTEGRATION_FAKE_JUDGE_H_

#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>
#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <deque>
#include <functional>
#include <limits>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "jenner/v1/judge.grpc.pb.h"
#include "wire/channel.h"

namespace jenner::tests {

// What one call does.
struct JudgeAct {
  grpc::StatusCode code = grpc::StatusCode::OK;
  bool stalls = false;  // no answer until the caller is gone, or Release()
  // Changes what would be answered.
  std::function<void(v1::ScoreResponse*)> change = nullptr;
};

class FakeJudge final : public v1::Judge::Service {
 public:
  FakeJudge() { Start(); }
  ~FakeJudge() override {
    Release();
    Stop();
  }
  std::string address() const { return absl::StrCat("127.0.0.1:", port_); }

  void Script(std::deque<JudgeAct> acts) {
    const std::lock_guard<std::mutex> lock(mutex_);
    acts_ = std::move(acts);
  }
  // Answers what is stalled, and what comes.
  void Release() {
    const std::lock_guard<std::mutex> lock(mutex_);
    acts_.clear();
    ++num_releases_;
    changed_.notify_all();
  }
  // Nobody listens at the address.
  void Stop() {
    if (server_ != nullptr) server_->Shutdown(std::chrono::system_clock::now());
    server_.reset();
  }
  void Start() {
    grpc::ServerBuilder builder;
    wire::ConfigureServer(&builder);
    int port = 0;
    builder.AddListeningPort(absl::StrCat("127.0.0.1:", port_), grpc::InsecureServerCredentials(),
                             &port);
    builder.RegisterService(this);
    server_ = builder.BuildAndStart();
    ASSERT_NE(server_, nullptr) << "port " << port_;
    port_ = port;
  }
  // What it was asked, call by call.
  std::vector<v1::ScoreRequest> requests() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return requests_;
  }
  int most_at_once() const {
    const std::lock_guard<std::mutex> lock(mutex_);
    return most_at_once_;
  }

 private:
  grpc::Status Score(grpc::ServerContext* context, const v1::ScoreRequest* request,
                     v1::ScoreResponse* response) override {
    std::unique_lock<std::mutex> lock(mutex_);
    requests_.push_back(*request);
    most_at_once_ = std::max(most_at_once_, ++num_at_once_);
    JudgeAct act;
    if (!acts_.empty()) act = acts_.front();
    if (acts_.size() > 1) acts_.pop_front();
    const int num_releases = num_releases_;
    while (act.stalls && num_releases_ == num_releases && !context->IsCancelled()) {
      changed_.wait_for(lock, std::chrono::milliseconds(10));
    }
    --num_at_once_;
    if (act.code != grpc::StatusCode::OK) return grpc::Status(act.code, "as the test\nwants it");
    for (const v1::ScoreItem& item : request->items()) {
      v1::ScoreResult* result = response->add_results();
      result->set_id(item.id());
      result->set_score(std::atof(item.answer().c_str()));
    }
    if (act.change) act.change(response);
    return grpc::Status::OK;
  }

  mutable std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  std::deque<JudgeAct> acts_;
  std::vector<v1::ScoreRequest> requests_;
  int num_releases_ = 0;
  int num_at_once_ = 0;
  int most_at_once_ = 0;

  int port_ = 0;  // of the test's thread
  std::unique_ptr<grpc::Server> server_;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_FAKE_JUDGE_H_
