// What the server's integration tests share: a server in this process on a free port, with a manual
// clock and a data directory of its own; its stubs; and FakeAgent, an agent that does what it is
// told.
#ifndef JENNER_TESTS_INTEGRATION_SERVER_FIXTURE_H_
#define JENNER_TESTS_INTEGRATION_SERVER_FIXTURE_H_

#include <grpcpp/client_context.h>
#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "jenner/v1/dataset.grpc.pb.h"
#include "jenner/v1/experiment.grpc.pb.h"
#include "jenner/v1/worker.grpc.pb.h"
#include "server/server.h"
#include "tests/integration/temp_dir.h"
#include "wire/channel.h"
#include "wire/status.h"

namespace jenner::tests {

using Json = nlohmann::json;

inline const char kTraining[] =
    R"({"messages":[{"role":"user","content":"2+2?"},{"role":"assistant","content":"FOUR"}]})"
    "\n";
inline const char kPrompts[] = R"({"id":"p1","messages":[{"role":"user","content":"Hello"}]})"
                               "\n";

// Every call of a test has a deadline: a hang is a failure, not a time-out of the whole.
struct Context : grpc::ClientContext {
  Context() { set_deadline(std::chrono::system_clock::now() + std::chrono::seconds(30)); }
};

struct Stubs {
  explicit Stubs(const std::shared_ptr<grpc::Channel>& given)
      : channel(given),
        experiments(v1::Experiments::NewStub(given)),
        datasets(v1::Datasets::NewStub(given)),
        workers(v1::Workers::NewStub(given)) {}

  absl::Status Upload(const std::string& bytes, v1::DatasetUse use, std::string sha256 = "",
                      int64_t size_bytes = -1) const {
    Context context;
    v1::UploadDatasetResponse response;
    auto writer = datasets->UploadDataset(&context, &response);
    v1::UploadDatasetRequest message;
    message.mutable_header()->set_sha256(sha256.empty() ? core::Sha256Hex(bytes) : sha256);
    message.mutable_header()->set_size_bytes(size_bytes < 0 ? static_cast<int64_t>(bytes.size())
                                                            : size_bytes);
    message.mutable_header()->set_use(use);
    writer->Write(message);
    for (size_t at = 0; at < bytes.size(); at += 1000) {
      message.set_chunk(bytes.substr(at, 1000));
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return wire::FromGrpcStatus(writer->Finish());
  }
  absl::StatusOr<std::string> Download(const std::string& ref) const {
    Context context;
    v1::DownloadDatasetRequest request;
    request.set_name("datasets/" + ref.substr(ref.find(':') + 1));
    auto reader = datasets->DownloadDataset(&context, request);
    std::string bytes;
    for (v1::DownloadDatasetResponse part; reader->Read(&part);) bytes += part.chunk();
    const absl::Status status = wire::FromGrpcStatus(reader->Finish());
    if (!status.ok()) return status;
    return bytes;
  }
  absl::StatusOr<v1::Experiment> Create(const v1::CreateExperimentRequest& request) const {
    Context context;
    v1::CreateExperimentResponse response;
    const grpc::Status status = experiments->CreateExperiment(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.experiment();
  }
  absl::StatusOr<v1::Experiment> Get(const std::string& name) const {
    Context context;
    v1::GetExperimentRequest request;
    request.set_name(name);
    v1::GetExperimentResponse response;
    const grpc::Status status = experiments->GetExperiment(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.experiment();
  }
  absl::StatusOr<v1::ListExperimentsResponse> List(int page_size, const std::string& token) const {
    Context context;
    v1::ListExperimentsRequest request;
    request.set_page_size(page_size);
    request.set_page_token(token);
    v1::ListExperimentsResponse response;
    const grpc::Status status = experiments->ListExperiments(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response;
  }
  absl::StatusOr<v1::Experiment> Cancel(const std::string& name) const {
    Context context;
    v1::CancelExperimentRequest request;
    request.set_name(name);
    v1::CancelExperimentResponse response;
    const grpc::Status status = experiments->CancelExperiment(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response.experiment();
  }
  absl::Status Delete(const std::string& name) const {
    Context context;
    v1::DeleteExperimentRequest request;
    request.set_name(name);
    v1::DeleteExperimentResponse response;
    return wire::FromGrpcStatus(experiments->DeleteExperiment(&context, request, &response));
  }
  absl::StatusOr<std::vector<v1::ResultRow>> Results(const std::string& name) const {
    Context context;
    v1::GetResultsRequest request;
    request.set_name(name);
    v1::GetResultsResponse response;
    const grpc::Status status = experiments->GetResults(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return std::vector<v1::ResultRow>(response.rows().begin(), response.rows().end());
  }
  absl::StatusOr<v1::ListSamplesResponse> Samples(const v1::ListSamplesRequest& request) const {
    Context context;
    v1::ListSamplesResponse response;
    const grpc::Status status = experiments->ListSamples(&context, request, &response);
    if (!status.ok()) return wire::FromGrpcStatus(status);
    return response;
  }

  std::shared_ptr<grpc::Channel> channel;
  std::unique_ptr<v1::Experiments::Stub> experiments;
  std::unique_ptr<v1::Datasets::Stub> datasets;
  std::unique_ptr<v1::Workers::Stub> workers;
};

// An agent of a script: it synchronizes when told, and every rank it is given makes the same few
// steps and answers.
class FakeAgent {
 public:
  FakeAgent(const Stubs& stubs, std::string name, int slots = 8, std::string boot_id = "boot-1")
      : stubs_(stubs), name_(std::move(name)), boot_id_(std::move(boot_id)), slots_(slots) {}

  absl::Status Synchronize() {
    Context context;
    v1::SynchronizeRequest request;
    request.set_worker(name_);
    request.set_boot_id(boot_id_);
    request.set_slots(slots_);
    request.set_gpus(gpus);
    for (const std::string& model : models) request.add_models(model);
    for (const std::string& job : kept_jobs) request.add_kept_jobs(job);
    request.set_only_job(only_job);
    request.set_host("127.0.0.1");
    request.set_version(version);
    for (const v1::RankReport& report : reports) *request.add_ranks() = report;
    last.Clear();
    const grpc::Status status = stubs_.workers->Synchronize(&context, request, &last);
    last_bytes = static_cast<int64_t>(last.ByteSizeLong());
    // The spec of a rank comes once; scripts want it with every answer.
    for (v1::Assignment& one : *last.mutable_assignments()) {
      std::string& spec = specs_[one.key().SerializeAsString()];
      if (!one.job_spec_json().empty()) spec = one.job_spec_json();
      one.set_job_spec_json(spec);
    }
    return wire::FromGrpcStatus(status);
  }

  absl::Status Telemetry(const v1::RankKey& key, const std::vector<std::string>& lines,
                         const std::string& log = "") const {
    Context context;
    v1::UploadTelemetryRequest request;
    *request.mutable_key() = key;
    for (const std::string& line : lines) request.add_event_json(line);
    request.set_log(log);
    v1::UploadTelemetryResponse response;
    return wire::FromGrpcStatus(stubs_.workers->UploadTelemetry(&context, request, &response));
  }

  absl::Status UploadBlob(const v1::RankKey& key, const std::string& bytes, std::string sha256 = "",
                          size_t chunk_bytes = 100'000, bool is_checkpoint = false) const {
    Context context;
    v1::UploadBlobResponse response;
    auto writer = stubs_.workers->UploadBlob(&context, &response);
    v1::UploadBlobRequest message;
    *message.mutable_header()->mutable_key() = key;
    message.mutable_header()->set_sha256(sha256.empty() ? core::Sha256Hex(bytes) : sha256);
    message.mutable_header()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    message.mutable_header()->set_checkpoint(is_checkpoint);
    writer->Write(message);
    for (size_t at = 0; at < bytes.size(); at += chunk_bytes) {
      message.set_chunk(bytes.substr(at, chunk_bytes));
      if (!writer->Write(message)) break;
    }
    writer->WritesDone();
    return wire::FromGrpcStatus(writer->Finish());
  }

  static std::string StepLine(int64_t seq, int step) {
    return Json{{"seq", seq},           {"kind", "train_step"},      {"step", step},
                {"epoch", 0.5},         {"loss", 3.0 - step * 0.1},  {"learning_rate", 1e-3},
                {"gradient_norm", 1.5}, {"supervised_tokens", 10},   {"tokens", 20},
                {"step_seconds", 0.1},  {"tokens_per_second", 200.0}}
        .dump();
  }
  static std::string SampleLine(int64_t seq, int step, const std::string& context,
                                const std::string& prompt, const Json& spanish) {
    return Json{{"seq", seq},
                {"kind", "sample"},
                {"step", step},
                {"context", context},
                {"prompt_id", prompt},
                {"sample_idx", 0},
                {"answer", "hola " + prompt},
                {"num_tokens", 3},
                {"finish_reason", "stop"},
                {"scores", {{"spanish", spanish}, {"capitals", 0}}}}
        .dump();
  }
  static std::string EvaluationLine(int64_t seq, int step, const std::string& context, int count) {
    return Json{{"seq", seq},
                {"kind", "evaluation"},
                {"step", step},
                {"context", context},
                {"num_samples", count},
                {"seconds", 1.0},
                {"tokens_per_second", 9.0}}
        .dump();
  }

  // The lines of a whole run of `assignment`: `num_steps` steps if it trains; at each evaluated
  // step and context seven measured answers, three of them Spanish, and two that cannot be
  // measured.
  static std::vector<std::string> Run(const v1::Assignment& assignment, int num_steps) {
    const Json spec = Json::parse(assignment.job_spec_json());
    std::vector<std::string> lines;
    int64_t seq = 3;  // after `started` and `plan`, which stay with the agent
    const bool trains = spec.contains("training");
    for (int step = 1; trains && step <= num_steps; ++step) lines.push_back(StepLine(seq++, step));
    if (!spec.contains("evaluation")) return lines;
    for (const Json& fraction : spec["evaluation"]["at"]) {
      const int step = static_cast<int>(fraction.get<double>() * num_steps + 0.5);
      for (const Json& context : spec["evaluation"]["contexts"]) {
        const std::string name = context["name"];
        for (int i = 0; i < 9; ++i) {
          const Json score = i >= 7 ? Json(nullptr) : Json(i < 3 ? 1 : 0);
          lines.push_back(SampleLine(seq++, step, name, absl::StrFormat("p%02d", i), score));
        }
        lines.push_back(EvaluationLine(seq++, step, name, 9));
      }
    }
    return lines;
  }

  // Synchronizes, and carries every rank that it is given to a good end, until there is none.
  void RunAll(int num_steps = 4) {
    for (int round = 0; round < 20; ++round) {
      ASSERT_TRUE(Synchronize().ok());
      reports.clear();
      if (last.assignments().empty()) return;
      for (const v1::Assignment& assignment : last.assignments()) {
        ASSERT_TRUE(Telemetry(assignment.key(), Run(assignment, num_steps), "done\n").ok());
        const std::string adapter = "adapter of " + assignment.key().job();
        ASSERT_TRUE(UploadBlob(assignment.key(), adapter).ok());
        v1::RankReport& report = Report(assignment.key(), v1::RankReport::PHASE_ENDED);
        report.set_step(num_steps);
        report.set_total_steps(num_steps);
        v1::ArtifactReport* artifact = report.add_artifacts();
        artifact->set_path("adapter/adapter_model.safetensors");
        artifact->set_sha256(core::Sha256Hex(adapter));
        artifact->set_size_bytes(static_cast<int64_t>(adapter.size()));
      }
    }
    FAIL() << "the work does not end";
  }

  // The next Synchronize tells that it ended well and left these files (path and bytes), which are
  // uploaded.
  void Finish(const v1::RankKey& key, const std::map<std::string, std::string>& files) {
    v1::RankReport& report = Report(key, v1::RankReport::PHASE_ENDED);
    for (const auto& [path, bytes] : files) {
      ASSERT_TRUE(UploadBlob(key, bytes).ok());
      v1::ArtifactReport* artifact = report.add_artifacts();
      artifact->set_path(path);
      artifact->set_sha256(core::Sha256Hex(bytes));
      artifact->set_size_bytes(static_cast<int64_t>(bytes.size()));
    }
  }

  v1::RankReport& Report(const v1::RankKey& key, v1::RankReport::Phase phase) {
    v1::RankReport report;
    *report.mutable_key() = key;
    report.set_phase(phase);
    reports.push_back(report);
    return reports.back();
  }

  int gpus = 0;
  std::vector<std::string> models = {"tiny"};
  std::vector<std::string> kept_jobs;
  std::string only_job;
  std::string version = "test";
  std::vector<v1::RankReport> reports;  // of the next Synchronize
  v1::SynchronizeResponse last;
  int64_t last_bytes = 0;  // as it came

 private:
  std::map<std::string, std::string> specs_;  // by key
  const Stubs& stubs_;
  const std::string name_;
  const std::string boot_id_;
  const int slots_;
};

class ServerTest : public ::testing::Test {
 protected:
  void SetUp() override { Start(); }

  void Start() {
    server::ServerOptions options;
    options.data_dir = dir_.path() + "/data";
    options.listen = listen_;
    options.metrics_listen = metrics_listen_;
    options.reflection = reflection_;
    options.tick = absl::ZeroDuration();
    options.clock = [this] { return absl::FromUnixMicros(clock_us_.load()); };
    options.limits.max_dataset_bytes = 100'000;
    options.shutdown_grace = absl::Seconds(3);
    options.retention = retention_;
    options.quotas_path = quotas_path_;
    auto started = server::Server::Start(options);
    ASSERT_TRUE(started.ok()) << started.status();
    server_ = *std::move(started);
    stubs_ = std::make_unique<Stubs>(wire::MakeClientChannel(Address()));
  }
  void Restart() {
    server_->Shutdown();
    server_.reset();
    Start();
  }
  std::string Address() const { return absl::StrFormat("127.0.0.1:%d", server_->port()); }
  void Advance(absl::Duration duration) {
    clock_us_ += absl::ToInt64Microseconds(duration);
    server_->Tick();
  }

  void UploadDatasets() {
    ASSERT_TRUE(stubs_->Upload(kTraining, v1::DATASET_USE_TRAINING).ok());
    ASSERT_TRUE(stubs_->Upload(kPrompts, v1::DATASET_USE_EVALUATION).ok());
  }
  // Two arms (the base model and one training), one seed, two contexts, steps 0 and 4.
  static v1::CreateExperimentRequest Request(const std::string& id) {
    v1::CreateExperimentRequest request;
    request.set_experiment_id(id);
    v1::ExperimentSpec* spec = request.mutable_spec();
    spec->set_base_model("tiny");
    spec->set_dataset("sha256:" + core::Sha256Hex(kTraining));
    (*spec->mutable_contexts())["neutral"];
    (*spec->mutable_contexts())["spanish"].set_system("You always speak in Spanish.");
    spec->add_arms()->set_name("base");
    v1::ArmSpec* arm = spec->add_arms();
    arm->set_name("inoculated");
    arm->set_train_context("spanish");
    spec->mutable_evaluation()->set_prompts("sha256:" + core::Sha256Hex(kPrompts));
    spec->mutable_evaluation()->add_at(0);
    spec->mutable_evaluation()->add_at(1);
    return request;
  }
  // A third arm that goes on from what the second ended with.
  static v1::CreateExperimentRequest TwoStages(const std::string& id) {
    v1::CreateExperimentRequest request = Request(id);
    v1::ArmSpec* arm = request.mutable_spec()->add_arms();
    arm->set_name("then");
    arm->set_train_context("neutral");
    arm->set_after("inoculated");
    return request;
  }
  // Uploaded, created and run to the end.
  void RunWhole(const std::string& id, int num_steps = 4) {
    UploadDatasets();
    ASSERT_TRUE(stubs_->Create(Request(id)).ok());
    FakeAgent agent(*stubs_, "w1");
    agent.RunAll(num_steps);
    ASSERT_EQ(stubs_->Get("experiments/" + id)->state(), v1::STATE_SUCCEEDED);
  }

  TempDir dir_;
  std::string listen_ = "127.0.0.1:0";
  std::string metrics_listen_;  // none
  bool reflection_ = true;
  server::RetentionOptions retention_;
  std::string quotas_path_;
  std::atomic<int64_t> clock_us_ = 1'700'000'000'000'000;
  std::unique_ptr<server::Server> server_;
  std::unique_ptr<Stubs> stubs_;
};

}  // namespace jenner::tests

#endif  // JENNER_TESTS_INTEGRATION_SERVER_FIXTURE_H_
