#include "tests/bench/load/watchers.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>
#include <grpcpp/support/client_callback.h>

#include <algorithm>
#include <condition_variable>

#include "absl/time/clock.h"
#include "jenner/v1/experiment.grpc.pb.h"
#include "tests/bench/load/channel.h"
#include "wire/convert.h"

namespace jenner::load {

class Watchers::Stream final : public grpc::ClientReadReactor<v1::WatchExperimentResponse> {
 public:
  Stream(Watchers* all, const std::string& experiment)
      : all_(all), stub_(v1::Experiments::NewStub(MakeOwnChannel(all->address_))) {
    request_.set_name("experiments/" + experiment);
    stub_->async()->WatchExperiment(&context_, &request_, this);
    StartRead(&update_);
    StartCall();
  }
  ~Stream() override {
    context_.TryCancel();
    std::unique_lock<std::mutex> lock(mutex_);
    done_changed_.wait(lock, [this] { return is_done_; });
  }

  void OnReadDone(bool ok) override {
    if (!ok) return;
    ++all_->num_updates_;
    if (update_.has_terminal()) is_terminal_ = true;
    if (update_.has_experiment()) Look(update_.experiment());
    StartRead(&update_);
  }
  void OnDone(const grpc::Status&) override {
    ++(is_terminal_ ? all_->num_terminal_ : all_->num_broken_);
    const std::lock_guard<std::mutex> lock(mutex_);
    is_done_ = true;
    done_changed_.notify_all();
  }

 private:
  void Look(const v1::Experiment& experiment) {
    const absl::Time now = absl::Now();
    absl::Time newest = absl::InfinitePast();
    for (const v1::Job& job : experiment.jobs()) {
      if (job.has_start_time()) newest = std::max(newest, wire::ToCore(job.start_time()));
      if (job.has_end_time()) newest = std::max(newest, wire::ToCore(job.end_time()));
    }
    // The first snapshot tells of what was before.
    if (has_first_ && newest > newest_) all_->lag.Add(now - newest);
    has_first_ = true;
    newest_ = newest;
  }

  Watchers* const all_;
  std::unique_ptr<v1::Experiments::Stub> stub_;
  grpc::ClientContext context_;
  v1::WatchExperimentRequest request_;
  v1::WatchExperimentResponse update_;
  bool is_terminal_ = false;
  bool has_first_ = false;
  absl::Time newest_ = absl::InfinitePast();
  std::mutex mutex_;
  std::condition_variable done_changed_;
  bool is_done_ = false;
};

Watchers::Watchers(const std::string& address) : address_(address) {}

Watchers::~Watchers() = default;

void Watchers::Add(const std::string& experiment) {
  auto stream = std::make_unique<Stream>(this, experiment);
  const std::lock_guard<std::mutex> lock(mutex_);
  streams_.push_back(std::move(stream));
}

}  // namespace jenner::load
