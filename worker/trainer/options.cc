#include "worker/trainer/options.h"

#include <CLI/CLI.hpp>
#include <cstdio>

#include "absl/strings/numbers.h"
#include "absl/strings/strip.h"
#include "core/exit_code.h"

namespace jenner::trainer {
namespace {

constexpr int kMaxCudaDevices = 64;

// "cpu" or "cuda:N".
bool ParseDevice(const std::string& text, int* cuda_device) {
  *cuda_device = -1;
  if (text == "cpu") return true;
  absl::string_view number = text;
  return absl::ConsumePrefix(&number, "cuda:") && absl::SimpleAtoi(number, cuda_device) &&
         *cuda_device >= 0 && *cuda_device < kMaxCudaDevices;
}

}  // namespace

std::optional<Options> ParseOptions(int argc, char** argv, int* exit_code) {
  Options options;
  std::string device = "cpu";
  CLI::App app{
      "Runs one rank of a Jenner job: fine-tunes, evaluates, writes events as JSON lines."};
  app.add_option("--spec", options.spec_path, "job file (docs/formats/job.md)")->required();
  app.add_option("--models-dir", options.models_dir, "folder of base models")->required();
  app.add_option("--data-dir", options.data_dir, "folder of datasets, each named by its SHA-256");
  app.add_option("--out", options.out_dir, "folder for checkpoints and results")->required();
  app.add_option("--initial", options.initial_dir,
                 "folder with the adapter/ or model/ that the job goes on from (training.after); "
                 "rank 0");
  app.add_option("--threads", options.threads, "of tensor code; 0: all processors")
      ->check(CLI::Range(0, 1024));
  app.add_option("--rank", options.rank, "of this process in its gang")->check(CLI::Range(0, 63));
  app.add_option("--world-size", options.world_size, "ranks of the gang")->check(CLI::Range(1, 64));
  app.add_option("--store", options.store, "address that rank 0 announced; ranks above 0");
  app.add_option("--store-host", options.store_host,
                 "IPv4 address that rank 0's store listens on; default: of --interface, 127.0.0.1");
  app.add_option("--interface", options.interface,
                 "network interface for what ranks exchange, by name or IPv4 address");
  app.add_option("--device", device, "cpu or cuda:N; evaluation is always computed on the CPU")
      ->capture_default_str();
  app.add_option("--cuda-plugin", options.cuda_plugin,
                 "libjenner_cuda.so; default: beside this executable");
  app.add_option("--peer-timeout-s", options.peer_timeout_s, "of one exchange between ranks")
      ->check(CLI::Range(1, 86400));
  app.add_option("--rendezvous-timeout-s", options.rendezvous_timeout_s, "for all ranks to come")
      ->check(CLI::Range(1, 86400));
  app.add_option("--events-fd", options.events_fd, "descriptor for the event lines")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--stop-after", options.stop_after, "steps, then as on SIGTERM; for tests")
      ->check(CLI::Range(0, 1 << 30));
  app.set_version_flag("--version", "jenner-trainer " JENNER_VERSION);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    *exit_code = app.exit(error) == 0 ? 0 : static_cast<int>(core::ExitCode::kUsage);
    return std::nullopt;
  }
  const char* fault = nullptr;
  if (!ParseDevice(device, &options.cuda_device)) fault = "--device: expected cpu or cuda:N";
  if (options.rank >= options.world_size) fault = "--rank: expected less than --world-size";
  if ((options.rank > 0) == options.store.empty()) {
    fault = "--store is for ranks above 0, and they need it";
  }
  if (fault != nullptr) {
    std::fprintf(stderr, "%s\n", fault);
    *exit_code = static_cast<int>(core::ExitCode::kUsage);
    return std::nullopt;
  }
  return options;
}

}  // namespace jenner::trainer
