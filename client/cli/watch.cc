// `experiment watch`: cells and changes of state as lines, training as bars on a terminal or as a
// line every tenth of the way elsewhere.
#include <signal.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <iostream>
#include <map>
#include <set>
#include <thread>

#include "absl/strings/str_format.h"
#include "client/cli/output.h"
#include "client/cli/table.h"
#include "client/cli/verbs.h"
#include "core/spec.h"

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

// Rows and columns of the terminal that the bars are on.
winsize TerminalSize() {
  winsize size{};
  if (ioctl(STDERR_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0 || size.ws_col == 0) {
    size.ws_row = 24;
    size.ws_col = 80;
  }
  return size;
}

struct JobLine {
  std::string arms;
  v1::State state = v1::STATE_QUEUED;
  std::string reason;
  int total_steps = 0;
  v1::TrainPoint point;  // the last
  int last_tenth = -1;
};

class Display {
 public:
  explicit Display(const Globals& globals) : globals_(globals), list_(globals.output) {}

  void Show(const v1::WatchExperimentResponse& update) {
    if (globals_.output != Output::kTable) {
      if (!update.has_heartbeat()) list_.Add(update);
      return;
    }
    Erase();
    if (update.has_experiment()) ShowExperiment(update.experiment());
    if (update.has_train_point()) ShowPoint(update.train_point());
    if (update.has_rewind()) ShowRewind(update.rewind());
    if (update.has_cell()) ShowCell(update.cell());
    if (update.has_terminal()) {
      std::cout << "experiment " << StateName(update.terminal().state()) << "\n" << std::endl;
      return;
    }
    Draw();
  }

  // Takes the bars off the terminal.
  void Erase() {
    // From the first column: an echoed ^C may have moved on.
    if (drawn_ > 0) std::cerr << absl::StrFormat("\r\x1b[%dA\x1b[J", drawn_) << std::flush;
    drawn_ = 0;
  }

  void End() {
    Erase();
    if (list_.is_open()) list_.End();
  }

 private:
  void ShowExperiment(const v1::Experiment& experiment) {
    for (const v1::Job& job : experiment.jobs()) {
      if (jobs_.count(job.name()) == 0) order_.push_back(job.name());
      JobLine& line = jobs_[job.name()];
      line.arms = FormatArms(job.arms(), 1);
      if (job.total_steps() > 0) line.total_steps = job.total_steps();
      const std::string reason = job.state_reason().code();
      if (line.state != job.state() || line.reason != reason) {
        std::cout << "job   " << LastComponent(job.name()) << "  " << line.arms << "  "
                  << StateName(job.state());
        if (job.attempt() > 1) std::cout << ", attempt " << job.attempt();
        if (!reason.empty()) std::cout << ": " << FormatReason(job.state_reason());
        std::cout << std::endl;
      }
      line.state = job.state();
      line.reason = reason;
    }
  }

  void ShowPoint(const v1::TrainPoint& point) {
    JobLine& line = jobs_[point.job()];
    line.point = point;
    const int tenth = line.total_steps > 0 ? 10 * point.step() / line.total_steps : point.step();
    if (!globals_.progress && tenth != line.last_tenth) {
      // How many there will be is known a moment after the first.
      const std::string of = line.total_steps > 0 ? absl::StrFormat("/%d", line.total_steps) : "";
      std::cout << absl::StrFormat("step  %s  %s  %d%s  loss %.4f  %.0f tokens/s",
                                   LastComponent(point.job()), line.arms, point.step(), of,
                                   point.loss(), point.tokens_per_second())
                << std::endl;
    }
    line.last_tenth = tenth;
  }

  void ShowRewind(const v1::Rewind& rewind) {
    JobLine& line = jobs_[rewind.job()];
    if (rewind.step() < line.point.step()) {
      line.point.Clear();
      line.point.set_step(std::max(rewind.step(), 0));
      line.last_tenth = -1;
    }
    std::cout << "job   " << LastComponent(rewind.job()) << "  " << line.arms << "  attempt "
              << rewind.attempt() << " begins again after step " << std::max(rewind.step(), 0)
              << std::endl;
  }

  void ShowCell(const v1::Cell& cell) {
    std::string text =
        absl::StrFormat("cell  %s  step %d  %s%s:", FormatArms(cell.arms(), 1), cell.step(),
                        IsOther(cell.prompt_set()) ? cell.prompt_set() + "  " : "", cell.context());
    for (const v1::TraitRatio& trait : cell.traits()) {
      text += "  " + trait.trait() + " " + FormatRatio(trait, cell.num_samples());
    }
    // A later attempt tells its cells again.
    if (cells_.insert(text).second) std::cout << text << std::endl;
  }

  // One line a running training; a line that wrapped, or more of them than the terminal is high,
  // could not be erased.
  void Draw() {
    if (!globals_.progress) return;
    const winsize size = TerminalSize();
    size_t longest = 0;
    for (const auto& [name, line] : jobs_) longest = std::max(longest, line.arms.size());
    int hidden = 0;
    for (const std::string& name : order_) {
      const JobLine& line = jobs_[name];
      if (line.state != v1::STATE_RUNNING || line.total_steps == 0) continue;
      if (drawn_ + 2 >= size.ws_row) {
        ++hidden;
        continue;
      }
      const std::string label = line.arms + std::string(longest - line.arms.size(), ' ');
      std::cerr << FormatBar(label, line.point, line.total_steps, size.ws_col) << "\n";
      ++drawn_;
    }
    if (hidden > 0) {
      std::cerr << absl::StrFormat("and %d more\n", hidden);
      ++drawn_;
    }
    std::cerr << std::flush;
  }

  const Globals& globals_;
  MessageList list_;
  std::vector<std::string> order_;  // of the jobs, as the experiment has them
  std::map<std::string, JobLine> jobs_;
  std::set<std::string> cells_;  // shown
  int drawn_ = 0;                // lines of bars on the terminal
};

int Detached(const Globals& globals, const std::string& id, const std::string& cursor) {
  std::cerr << "jenner: detached; experiment " << id << " goes on\n";
  const std::string again = "watch " + id + (cursor.empty() ? "" : " --cursor " + cursor);
  PrintNext(globals, {{again, "follow it again"}, {"cancel " + id, "stop it"}});
  return kExitInterrupted;
}

}  // namespace

int WatchToEnd(const Globals& globals, const std::string& given, const std::string& cursor,
               bool quiet) {
  const std::string name = ExperimentName(given);
  Display display(globals);
  client::ClientOptions options = globals.client;
  options.on_silence = [&](const absl::Status& status) {
    display.Erase();  // the message would stand between the bars and their end
    if (globals.client.on_silence) globals.client.on_silence(status);
  };
  client::Client client(options);
  const std::unique_ptr<client::Watch> watch = client.WatchExperiment(name, cursor);
  v1::Terminal end;
  bool interrupted = false;
  {
    InterruptGuard guard(watch.get());
    for (v1::WatchExperimentResponse update; watch->Next(&update);) {
      if (!quiet) display.Show(update);
      if (update.has_terminal()) end = update.terminal();
    }
    interrupted = guard.interrupted();
  }
  display.End();
  const std::string id = LastComponent(name);
  if (interrupted) return Detached(globals, id, watch->cursor());
  if (!watch->status().ok()) return Report(watch->status());
  if (quiet || globals.output == Output::kTable) {
    if (const int code = Results(globals, name); code != kExitOk) return code;
  }
  if (end.state() != v1::STATE_SUCCEEDED) {
    std::cerr << "jenner: experiment " << id << " " << StateName(end.state()) << ": "
              << FormatReason(end.state_reason()) << "\n";
    PrintNext(globals, {{"get " + id, "its jobs and why they ended"}});
  }
  return ExitCodeOf(end.state());
}

}  // namespace jenner::cli
