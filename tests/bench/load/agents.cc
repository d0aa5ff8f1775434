#include "tests/bench/load/agents.h"

#include <grpcpp/channel.h>
#include <grpcpp/client_context.h>

#include <chrono>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "jenner/v1/worker.grpc.pb.h"
#include "tests/bench/load/channel.h"
#include "wire/convert.h"

namespace jenner::load {
namespace {

constexpr auto kDeadline = std::chrono::seconds(30);
constexpr int kKilled = 137;

}  // namespace

struct Agents::Agent {
  std::unique_ptr<v1::Workers::Stub> stub;
  std::unique_ptr<grpc::ClientContext> context;
  v1::SynchronizeRequest request;
  v1::SynchronizeResponse response;
};

Agents::Agents(const std::string& address, int count) {
  for (int i = 0; i < count; ++i) {
    auto agent = std::make_unique<Agent>();
    agent->stub = v1::Workers::NewStub(MakeOwnChannel(address));
    agent->request.set_worker(absl::StrFormat("w%04d", i));
    agent->request.set_boot_id("boot");
    agent->request.set_slots(1);
    agent->request.add_models("tiny");
    agent->request.set_host("127.0.0.1");
    // Spread over the first half second, as those of machines that started at any time are.
    due_.push({absl::Now() + absl::Milliseconds(500) * i / count, agent.get()});
    agents_.push_back(std::move(agent));
  }
  thread_ = std::thread([this] { Run(); });
}

Agents::~Agents() {
  std::unique_lock<std::mutex> lock(mutex_);
  is_stopped_ = true;
  changed_.notify_all();
  changed_.wait(lock, [this] { return num_under_way_ == 0; });
  lock.unlock();
  thread_.join();
}

void Agents::Finish(int fail_every) {
  const std::lock_guard<std::mutex> lock(mutex_);
  is_finishing_ = true;
  fail_every_ = fail_every;
}

void Agents::Run() {
  std::unique_lock<std::mutex> lock(mutex_);
  while (!is_stopped_) {
    if (due_.empty()) {
      changed_.wait(lock);
      continue;
    }
    const auto [time, agent] = due_.top();
    if (time > absl::Now()) {
      changed_.wait_for(lock, absl::ToChronoNanoseconds(time - absl::Now()));
      continue;
    }
    due_.pop();
    ++num_under_way_;
    Report(agent);
    lock.unlock();
    Synchronize(agent);
    lock.lock();
  }
}

// What the agent has to say next of what it was given last. REQUIRES: mutex_ is held.
void Agents::Report(Agent* agent) {
  agent->request.clear_ranks();
  for (const v1::Assignment& assignment : agent->response.assignments()) {
    v1::RankReport* report = agent->request.add_ranks();
    *report->mutable_key() = assignment.key();
    report->set_phase(is_finishing_ ? v1::RankReport::PHASE_ENDED : v1::RankReport::PHASE_RUNNING);
    if (!is_finishing_) continue;
    const bool fails =
        fail_every_ > 0 && assignment.key().attempt() == 1 && num_ended_++ % fail_every_ == 0;
    if (!fails) continue;
    report->set_exit_code(kKilled);
    report->set_error_code("KILLED");
    failed_.emplace(assignment.key().experiment() + "/" + assignment.key().job(), absl::Now());
  }
}

void Agents::Synchronize(Agent* agent) {
  agent->context = std::make_unique<grpc::ClientContext>();
  agent->context->set_deadline(std::chrono::system_clock::now() + kDeadline);
  agent->response.Clear();
  agent->stub->async()->Synchronize(agent->context.get(), &agent->request, &agent->response,
                                    [this, agent, begin = absl::Now()](const grpc::Status& status) {
                                      Answered(agent, begin, status.ok(), status.error_message());
                                    });
}

void Agents::Answered(Agent* agent, absl::Time begin, bool ok, const std::string& error) {
  const absl::Time now = absl::Now();
  if (ok) {
    ++num_synchronized_;
    latency.Add(now - begin);
  } else {
    ++num_failed_calls_;
  }
  const std::lock_guard<std::mutex> lock(mutex_);
  if (!ok) last_error_ = error;
  for (const v1::Assignment& assignment : agent->response.assignments()) {
    if (assignment.key().attempt() < 2) continue;
    const auto failed = failed_.find(assignment.key().experiment() + "/" + assignment.key().job());
    if (failed == failed_.end()) continue;
    recovery.Add(now - failed->second);
    failed_.erase(failed);
  }
  const absl::Duration pause =
      ok ? wire::ToCore(agent->response.next_synchronize()) : absl::Milliseconds(500);
  due_.push({now + pause, agent});
  --num_under_way_;
  changed_.notify_all();
}

}  // namespace jenner::load
