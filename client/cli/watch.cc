// `experiment watch`: cells and changes of state as lines, training as bars on a terminal or as a
// line every tenth of the way elsewhere.
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"

namespace jenner::cli {
namespace {

// Interrupts reach the watch through a pipe, for a signal handler may do next to nothing.
int interrupt_pipe[2] = {-1, -1};

void OnInterrupt(int) {
  const char byte = 1;
  const ssize_t ignored = write(interrupt_pipe[1], &byte, 1);
  (void)ignored;
}

// Cancels a watch at the first SIGINT, for as long as it lives.
class InterruptGuard {
 public:
  explicit InterruptGuard(client::Watch* watch) {
    if (pipe(interrupt_pipe) != 0) return;
    struct sigaction action {};
    action.sa_handler = OnInterrupt;
    sigaction(SIGINT, &action, &before_);
    thread_ = std::thread([this, watch] {
      char byte = 0;
      if (read(interrupt_pipe[0], &byte, 1) != 1 || byte == 0) return;
      interrupted_ = true;
      watch->Cancel();
    });
  }
  ~InterruptGuard() {
    if (!thread_.joinable()) return;
    sigaction(SIGINT, &before_, nullptr);
    const char quit = 0;
    const ssize_t ignored = write(interrupt_pipe[1], &quit, 1);
    (void)ignored;
    thread_.join();
    close(interrupt_pipe[0]);
    close(interrupt_pipe[1]);
  }
  bool interrupted() const { return interrupted_; }

 private:
  struct sigaction before_ {};
  std::thread thread_;
  std::atomic<bool> interrupted_ = false;
};

struct JobLine {
  std::string arms;
  v1::State state = v1::STATE_QUEUED;
  std::string reason;
  int step = 0;
  int total_steps = 0;
  double loss = 0;
  double tokens_per_second = 0;
  int last_tenth = -1;
};

class Display {
 public:
  explicit Display(const Globals& globals) : globals_(globals) {}

  void Show(const v1::WatchExperimentResponse& update) {
    if (globals_.output != Output::kTable) {
      if (!update.has_heartbeat()) std::cout << ToJson(update, false) << std::endl;
      return;
    }
    Erase();
    if (update.has_experiment()) ShowExperiment(update.experiment());
    if (update.has_train_point()) ShowPoint(update.train_point());
    if (update.has_cell()) ShowCell(update.cell());
    if (update.has_terminal()) {
      std::cout << "experiment " << StateName(update.terminal().state());
      if (!update.terminal().state_reason().code().empty()) {
        std::cout << ": " << update.terminal().state_reason().code() << ": "
                  << update.terminal().state_reason().message();
      }
      std::cout << std::endl;
      return;
    }
    Draw();
  }

  void Erase() {
    if (drawn_ > 0) std::cerr << absl::StrFormat("\x1b[%dA\x1b[J", drawn_) << std::flush;
    drawn_ = 0;
  }

 private:
  void ShowExperiment(const v1::Experiment& experiment) {
    for (const v1::Job& job : experiment.jobs()) {
      JobLine& line = jobs_[job.name()];
      line.arms.clear();
      for (const std::string& arm : job.arms()) line.arms += (line.arms.empty() ? "" : ", ") + arm;
      if (job.total_steps() > 0) line.total_steps = job.total_steps();
      const std::string reason = job.state_reason().code();
      if (line.state != job.state() || line.reason != reason) {
        std::cout << LastComponent(job.name()) << " (" << line.arms << ") "
                  << StateName(job.state());
        if (job.attempt() > 1) std::cout << ", attempt " << job.attempt();
        if (!reason.empty()) std::cout << ": " << reason << ": " << job.state_reason().message();
        std::cout << std::endl;
      }
      line.state = job.state();
      line.reason = reason;
    }
  }

  void ShowPoint(const v1::TrainPoint& point) {
    JobLine& line = jobs_[point.job()];
    line.step = point.step();
    line.loss = point.loss();
    line.tokens_per_second = point.tokens_per_second();
    const int tenth = line.total_steps > 0 ? 10 * line.step / line.total_steps : line.step;
    if (!globals_.progress && tenth != line.last_tenth) {
      // How many there will be is known a moment after the first.
      const std::string of = line.total_steps > 0 ? absl::StrFormat("/%d", line.total_steps) : "";
      std::cout << absl::StrFormat("%s (%s) step %d%s  loss %.4f  %.0f tokens/s",
                                   LastComponent(point.job()), line.arms, line.step, of, line.loss,
                                   line.tokens_per_second)
                << std::endl;
    }
    line.last_tenth = tenth;
  }

  void ShowCell(const v1::Cell& cell) {
    std::string arms;
    for (const std::string& arm : cell.arms()) arms += (arms.empty() ? "" : ", ") + arm;
    std::string text = absl::StrFormat("cell  %s  step %d  %s:", arms, cell.step(), cell.context());
    for (const v1::TraitRatio& trait : cell.traits()) {
      text += "  " + trait.trait() + " " + FormatRatio(trait, cell.num_samples());
    }
    // A later attempt tells its cells again.
    if (cells_.insert(text).second) std::cout << text << std::endl;
  }

  void Draw() {
    if (!globals_.progress) return;
    for (const auto& [name, line] : jobs_) {
      if (line.state != v1::STATE_RUNNING || line.total_steps == 0) continue;
      constexpr int kWidth = 24;
      const int filled = kWidth * line.step / line.total_steps;
      std::cerr << absl::StrFormat("%-28s [%s%s] %d/%d  loss %.4f  %.0f tokens/s\n",
                                   line.arms.substr(0, 28),
                                   std::string(static_cast<size_t>(filled), '#'),
                                   std::string(static_cast<size_t>(kWidth - filled), '.'),
                                   line.step, line.total_steps, line.loss, line.tokens_per_second);
      ++drawn_;
    }
    std::cerr << std::flush;
  }

  const Globals& globals_;
  std::map<std::string, JobLine> jobs_;
  std::set<std::string> cells_;  // shown
  int drawn_ = 0;                // bars on the terminal
};

}  // namespace

int WatchToEnd(const Globals& globals, const std::string& given, const std::string& cursor,
               bool quiet) {
  const std::string name = ExperimentName(given);
  client::Client client(globals.client);
  const std::unique_ptr<client::Watch> watch = client.WatchExperiment(name, cursor);
  Display display(globals);
  v1::State state = v1::STATE_UNSPECIFIED;
  bool interrupted = false;
  {
    InterruptGuard guard(watch.get());
    for (v1::WatchExperimentResponse update; watch->Next(&update);) {
      if (!quiet) display.Show(update);
      if (update.has_terminal()) state = update.terminal().state();
    }
    interrupted = guard.interrupted();
  }
  display.Erase();
  if (interrupted) {
    const std::string id = LastComponent(name);
    std::cerr << "jenner: detached; experiment " << id
              << " goes on. To follow it again: jenner experiment watch " << id << " --cursor "
              << watch->cursor() << "; to stop it: jenner experiment cancel " << id << "\n";
    return kExitInterrupted;
  }
  if (!watch->status().ok()) return Report(watch->status());
  if (globals.output == Output::kTable) {
    if (!quiet) std::cout << "\n";
    if (const int code = Results(globals, name); code != kExitOk) return code;
  }
  return ExitCodeOf(state);
}

}  // namespace jenner::cli
