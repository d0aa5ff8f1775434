// Index: where in the experiments of a State to look for what runs, waits or is about to end, so
// that nothing that happens often walks through all of them. Follows from the experiments; Apply()
// keeps it. Names jobs by keys, not pointers, so that a copy of a State has a good one.
#ifndef JENNER_SERVER_COORDINATOR_INDEX_H_
#define JENNER_SERVER_COORDINATOR_INDEX_H_

#include <cstdint>
#include <functional>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace jenner::coordinator {

struct Experiment;
struct State;

struct JobKey {
  std::string experiment;
  size_t job = 0;  // in its list
  auto operator<=>(const JobKey&) const = default;
};

// What ranks hold on workers.
struct Held {
  int32_t slots = 0;
  int32_t gpus = 0;
  bool operator==(const Held&) const = default;
};

struct Index {
  struct Worker {
    Held held;
    std::set<JobKey> jobs;  // with unended ranks there
    bool operator==(const Worker&) const = default;
  };
  struct Owner {
    int32_t held = 0;         // slots and GPUs
    int32_t waiting = 0;      // jobs that are queued or paused
    int32_t experiments = 0;  // that have not ended
    bool operator==(const Owner&) const = default;
  };
  struct Waiting {
    std::string experiment;
    std::vector<size_t> jobs;  // in its list, ascending
    bool operator==(const Waiting&) const = default;
  };
  // One owner's queued jobs of one priority, by the experiment's order.
  using Line = std::map<int64_t, Waiting>;

  std::map<int32_t, std::set<JobKey>> gangs;  // jobs that have ranks, by priority
  std::set<JobKey> ended_gangs;               // those all of whose ranks have ended
  std::map<std::string, Worker> workers;
  std::map<std::string, Owner> owners;
  // By priority and owner; those in back-off, too, but none of experiments that are cancelled and
  // none that wait for another job.
  std::map<int32_t, std::map<std::string, Line>, std::greater<int32_t>> queue;
  // Queued or paused jobs that are orphaned (IsOrphaned); none of experiments that are cancelled.
  std::set<JobKey> orphans;
  std::map<std::string, int32_t> unended;  // experiment that has not ended -> jobs that have not
  std::set<std::string> ending;            // that are cancelled or pausing, or only need to end
  bool operator==(const Index&) const = default;

  // Puts in, or takes out, the whole experiment or one of its jobs. What is about to change is to
  // be taken out as it was and put in as it is then; with a job that ends also its successors.
  void Add(const Experiment& experiment);
  void Remove(const Experiment& experiment);
  void AddJob(const Experiment& experiment, size_t job);
  void RemoveJob(const Experiment& experiment, size_t job);

 private:
  void Count(const Experiment& experiment, size_t job, int32_t sign);
  void CountExperiment(const Experiment& experiment, int32_t sign);
  void NoteEnding(const Experiment& experiment);
};

Index IndexOf(const State& state);

}  // namespace jenner::coordinator

#endif  // JENNER_SERVER_COORDINATOR_INDEX_H_
