// jenner-trainer: one rank of a job. Sets the process up, has the one catch, and turns what it
// caught into the last event and the exit code (docs/formats/trainer-events.md).
#include <ATen/Parallel.h>
#include <malloc.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <thread>

#include "core/exit_code.h"
#include "worker/trainer/event_writer.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/options.h"
#include "worker/trainer/runner.h"

namespace jenner::trainer {
namespace {

volatile sig_atomic_t termination_requested = 0;

void OnTerminate(int) { termination_requested = 1; }

void HandleSignals() {
  struct sigaction action = {};
  action.sa_handler = OnTerminate;
  action.sa_flags = SA_RESTART;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
  signal(SIGPIPE, SIG_IGN);  // a closed event stream is an error of write()
}

// What the OpenMP runtime and c10 read when they are loaded can only be set before an exec. Ranks
// of a gang often share a machine: a thread that spins while it waits would take a core from a
// peer.
void SetEnvironment(const Options& options, char** argv) {
  constexpr char kDone[] = "JENNER_TRAINER_ENVIRONMENT";
  if (std::getenv(kDone) != nullptr) return;
  setenv(kDone, "set", 1);
  if (options.world_size > 1) setenv("OMP_WAIT_POLICY", "PASSIVE", 0);
  setenv("TORCH_CPP_LOG_LEVEL", "ERROR", 0);
  setenv("GLIBC_TUNABLES", "glibc.malloc.hugetlb=1", 0);  // madvise: fewer page faults
  char self[4096] = {};
  if (readlink("/proc/self/exe", self, sizeof(self) - 1) > 0) execv(self, argv);
  std::perror("exec");  // goes on without
}

void SetUpProcess(const Options& options) {
  HandleSignals();
  // Freed memory is kept: activations of the next step would otherwise be faulted in page by page.
  mallopt(M_MMAP_THRESHOLD, 1 << 30);
  mallopt(M_TRIM_THRESHOLD, 1 << 30);
  mallopt(M_ARENA_MAX, 2);
  const unsigned processors = std::max(1u, std::thread::hardware_concurrency());
  at::set_num_threads(options.threads > 0 ? options.threads : static_cast<int>(processors));
}

int Main(const Options& options) {
  EventWriter events(options.events_fd);
  Runner runner(options, &events, [] { return termination_requested != 0; });
  try {
    runner.Run();
    return static_cast<int>(core::ExitCode::kSuccess);
  } catch (...) {
    Failure failure = CurrentFailure();
    // A peer that obeyed the same request first is no loss.
    if (failure.code() == core::ExitCode::kPeerLost && termination_requested != 0) {
      failure = Failure(core::ExitCode::kTerminated, "ended on request; a peer was faster");
    }
    std::fprintf(stderr, "%s: %s\n", Name(failure.code()), failure.what());
    try {
      events.WriteFailed(failure.code(), failure.what(), runner.steps_done());
    } catch (const std::exception& error) {
      std::fprintf(stderr, "the failure could not be written: %s\n", error.what());
    }
    return static_cast<int>(failure.code());
  }
}

}  // namespace
}  // namespace jenner::trainer

int main(int argc, char** argv) {
  int exit_code = 0;
  const auto options = jenner::trainer::ParseOptions(argc, argv, &exit_code);
  if (!options) return exit_code;
  jenner::trainer::SetEnvironment(*options, argv);
  jenner::trainer::SetUpProcess(*options);
  exit_code = jenner::trainer::Main(*options);
  std::fflush(nullptr);
  // No destructors: threads of a collective whose peer is gone may hang.
  _exit(exit_code);
}
