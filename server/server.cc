#include "server/server.h"

#include <grpcpp/ext/proto_server_reflection_plugin.h>
#include <grpcpp/health_check_service_interface.h>
#include <grpcpp/impl/server_builder_option.h>
#include <grpcpp/impl/server_builder_plugin.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/server.h>
#include <grpcpp/server_builder.h>

#include <unistd.h>

#include <array>
#include <cstdlib>
#include <set>
#include <thread>
#include <utility>
#include <vector>

#include "absl/strings/str_format.h"
#include "absl/time/clock.h"
#include "core/status.h"
#include "logging/log.h"
#include "server/coordinator_loop.h"
#include "server/feed/mutex.h"
#include "server/readiness.h"
#include "server/rpc/coordinators.h"
#include "server/rpc/datasets.h"
#include "server/rpc/experiments.h"
#include "server/rpc/study.h"
#include "server/rpc/workers.h"
#include "server/standby.h"
#include "server/store/data_dir.h"
#include "server/store/postgres_event_log.h"
#include "server/store/quota_file.h"
#include "server/store/sqlite_event_log.h"
#include "server/store/token_file.h"
#include "server/telemetry/exposer.h"
#include "wire/channel.h"

namespace jenner::server {
namespace {

using logging::Level;
using logging::Log;

constexpr size_t kTaskGroup = 64;
const char* const kServices[] = {"",
                                 "jenner.v1.Experiments",
                                 "jenner.v1.Datasets",
                                 "jenner.v1.Studies",
                                 "jenner.v1.Workers",
                                 "jenner.v1.Coordinators"};

void Die(const absl::Status& status) {
  Log(Level::kError,
      absl::IsAborted(status) ? "leads no more; ending, the next start waits for its turn"
                              : "the event log failed; ending, the next start replays it",
      {{"status", status.ToString()}});
  std::_Exit(EXIT_FAILURE);
}

// The reflection library adds its plugin to every builder of the process that it is linked into.
class WithoutReflection final : public grpc::ServerBuilderOption {
 public:
  void UpdateArguments(grpc::ChannelArguments*) override {}
  void UpdatePlugins(std::vector<std::unique_ptr<grpc::ServerBuilderPlugin>>* plugins) override {
    std::erase_if(*plugins, [](const auto& plugin) {
      return dynamic_cast<grpc::reflection::ProtoServerReflectionPlugin*>(plugin.get()) != nullptr;
    });
  }
};

// Who this is, for people: host, process and address.
std::string Holder(const std::string& listen) {
  std::array<char, 256> host{};
  if (gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  return absl::StrFormat("%s process %d (%s)", host.data(), getpid(), listen);
}

StandbyOptions StandbyOf(const ServerOptions& options) {
  StandbyOptions standby;
  standby.event_log = options.event_log;
  standby.leader.holder = Holder(options.listen);
  standby.leader.lease = options.leader_lease;
  standby.pause = options.pause;
  if (!standby.pause) {
    standby.pause = [](absl::Duration duration) { return !feed::Signal().WaitFor(duration); };
  }
  return standby;
}

bool IsEncrypted(const ServerOptions& options) {
  return !options.tls.ca.empty() || !options.tls.certificate.empty() || !options.tls.key.empty() ||
         options.require_client_certificate;
}

// What operators see of a server, whether it leads or not.
struct Shown {
  Shown() { metrics.StandsBy(std::nullopt); }
  // Does nothing if it is open, or not wanted.
  absl::Status Listen(const ServerOptions& options) {
    if (exposer != nullptr || options.metrics_listen.empty()) return absl::OkStatus();
    ASSIGN_OR_RETURN(exposer, telemetry::Exposer::Start(options.metrics_listen, metrics));
    if (options.on_metrics_listen) options.on_metrics_listen(exposer->port());
    return absl::OkStatus();
  }
  void SetReady(telemetry::Exposer::Ready ready) const {
    if (exposer != nullptr) exposer->SetReady(std::move(ready));
  }

  telemetry::Metrics metrics{JENNER_VERSION};
  std::unique_ptr<telemetry::Exposer> exposer;
};

// That wait to be computed; more are told to come back.
constexpr size_t kMaxStudies = 16;

void RunTasks(feed::TaskQueue& queue) {
  for (;;) {
    const std::vector<feed::Task> tasks = queue.Drain(kTaskGroup);
    if (tasks.empty()) return;
    for (const feed::Task& task : tasks) task();
  }
}

}  // namespace

// Members in the order in which they are made; they go the other way round.
struct Server::Impl {
  // `log`: none is events.db.
  Impl(ServerOptions given, store::DataDir dir, std::unique_ptr<store::PostgresEventLog> log,
       std::unique_ptr<Shown> operators_view)
      : options(std::move(given)),
        data_dir(std::move(dir)),
        shared_events(log.get()),
        events(std::move(log)),
        requests(options.mailbox_capacity),
        store_tasks(options.mailbox_capacity),
        file_tasks(options.mailbox_capacity),
        study_tasks(kMaxStudies),
        token_file(data_dir.TokensPath()),
        hub(options.max_watch_streams),
        shown(std::move(operators_view)),
        metrics(shown->metrics) {}

  absl::Status OpenStores();
  absl::Status OpenGate();
  void PollTokens();
  absl::Status Replay();
  absl::Status ShowFigures();
  absl::Status Listen();
  void FillBackend();
  void KeepLead();
  void StartThreads();
  void RunCoordinator();
  void RunTicker();
  void Tick();
  void TickOthers();  // but the coordinator's thread
  void SetServing(bool is_serving);
  void Shutdown();

  ServerOptions options;
  store::DataDir data_dir;
  store::PostgresEventLog* shared_events;   // `events`, or null
  std::unique_ptr<store::EventLog> events;  // of the coordinator's thread
  std::unique_ptr<rpc::Gate> gate;          // before what may hold calls
  std::unique_ptr<store::AuditLog> audit;
  std::shared_ptr<grpc::ServerCredentials> credentials;
  feed::Mailbox<rpc::Request> requests;
  feed::TaskQueue store_tasks;
  feed::TaskQueue file_tasks;
  feed::TaskQueue study_tasks;
  std::atomic<int> num_studies = 0;
  store::TokenFileWatch token_file;
  feed::Hub hub;
  std::unique_ptr<Shown> shown;
  telemetry::Metrics& metrics;  // of `shown`
  std::unique_ptr<store::MetricStore> metric_store;
  std::unique_ptr<store::BlobStore> blobs;
  std::unique_ptr<store::DatasetStore> datasets;
  std::set<std::string> checkpoint_files;
  std::unique_ptr<CoordinatorLoop> loop;
  rpc::Backend backend;
  std::unique_ptr<Retention> retention;
  std::unique_ptr<Readiness> readiness;
  std::unique_ptr<rpc::ExperimentsService> experiments_service;
  std::unique_ptr<rpc::DatasetsService> datasets_service;
  std::unique_ptr<rpc::StudiesService> studies_service;
  std::unique_ptr<rpc::WorkersService> workers_service;
  std::unique_ptr<rpc::CoordinatorsService> coordinators_service;
  std::unique_ptr<grpc::Server> grpc_server;
  int port = 0;
  feed::Signal stop_lead;
  std::thread lead_thread;
  feed::Signal stop_ticker;
  std::thread coordinator_thread;
  std::thread store_thread;
  std::thread study_thread;
  std::thread file_thread;
  std::thread ticker_thread;
  bool is_shut_down = false;
};

absl::Status Server::Impl::OpenStores() {
  if (events == nullptr) {
    RETURN_IF_ERROR(data_dir.BindToOwnLog());
    ASSIGN_OR_RETURN(events, store::SqliteEventLog::Open(data_dir.EventsPath()));
  }
  ASSIGN_OR_RETURN(metric_store, store::MetricStore::Open(data_dir.MetricsPath()));
  ASSIGN_OR_RETURN(blobs, store::BlobStore::Open(data_dir.BlobsPath()));
  ASSIGN_OR_RETURN(datasets, store::DatasetStore::Open(data_dir.BlobsPath() + "/datasets", *blobs));
  return absl::OkStatus();
}

// Who may come in, and over what.
absl::Status Server::Impl::OpenGate() {
  const bool is_encrypted = IsEncrypted(options);
  credentials = grpc::InsecureServerCredentials();
  if (is_encrypted) {
    ASSIGN_OR_RETURN(const wire::Tls tls, wire::ReadTls(options.tls));
    if (tls.certificate.empty()) {
      return absl::InvalidArgumentError("a server needs a certificate and its key, too");
    }
    credentials = wire::MakeServerCredentials(tls, options.require_client_certificate);
  }
  rpc::GateOptions gate_options = options.gate;
  gate_options.require_tokens =
      options.require_tokens || (is_encrypted && !wire::IsLoopback(options.listen));
  gate = std::make_unique<rpc::Gate>(gate_options);
  const auto tokens = token_file.Poll();
  if (tokens.has_value()) RETURN_IF_ERROR(tokens->status());
  if (tokens.has_value()) gate->SetTokens(**tokens);
  if (gate->TokensRequired() && (!tokens.has_value() || (*tokens)->empty())) {
    Log(Level::kWarning, "clients need tokens and there are none: jenner-server tokens add");
  }
  options.reflection = options.reflection && !is_encrypted && !gate->TokensRequired();
  ASSIGN_OR_RETURN(audit, store::AuditLog::Open(data_dir.AuditPath()));
  return absl::OkStatus();
}

void Server::Impl::PollTokens() {
  const auto tokens = token_file.Poll();
  if (!tokens.has_value()) return;
  if (!tokens->ok()) {
    return Log(Level::kError, "the tokens cannot be read; those of before stay good",
               {{"status", tokens->status().ToString()}});
  }
  gate->SetTokens(**tokens);
  Log(Level::kInfo, "tokens read", {{"tokens", absl::StrFormat("%d", (*tokens)->size())}});
}

absl::Status Server::Impl::Replay() {
  coordinator::Quotas quotas;
  if (!options.quotas_path.empty()) {
    ASSIGN_OR_RETURN(quotas, store::ReadQuotas(options.quotas_path));
  }
  loop = std::make_unique<CoordinatorLoop>(*events, hub, metrics,
                                           options.limits.lease + coordinator::kLeaseGrace, quotas,
                                           options.min_run_time);
  ASSIGN_OR_RETURN(const int64_t num_events, loop->Replay());
  // What a deletion by an older version left behind when it did not come to its end.
  ASSIGN_OR_RETURN(const std::vector<std::string> with_rows, metric_store->Experiments());
  int num_removed = 0;
  for (const std::string& experiment : with_rows) {
    if (loop->state().experiments.count(experiment) > 0) continue;
    RETURN_IF_ERROR(metric_store->DeleteExperiment(experiment));
    ++num_removed;
  }
  int num_active = 0;
  for (const auto& [id, experiment] : loop->state().experiments) {
    if (!coordinator::IsTerminal(experiment.state)) ++num_active;
  }
  Log(Level::kInfo, "replayed",
      {{"events", absl::StrFormat("%d", num_events)},
       {"experiments", absl::StrFormat("%d", loop->state().experiments.size())},
       {"active", absl::StrFormat("%d", num_active)},
       {"leftovers_removed", absl::StrFormat("%d", num_removed)}});
  return absl::OkStatus();
}

// The gauges as they were, of what has not ended.
absl::Status Server::Impl::ShowFigures() {
  metrics.ShowJobs(loop->state());
  metrics.Observe(loop->state(), options.clock());
  for (const auto& [id, experiment] : loop->state().experiments) {
    if (coordinator::IsTerminal(experiment.state)) continue;
    ASSIGN_OR_RETURN(const std::vector<store::Cell> cells, metric_store->Cells(id));
    for (const store::Cell& cell : cells) {
      const coordinator::Job* job = experiment.Find(cell.job);
      if (job != nullptr) rpc::ShowCell(telemetry::OwnerOf(experiment, *job), cell, &metrics);
    }
  }
  metrics.Leads(shared_events == nullptr ? 0 : shared_events->epoch());
  return absl::OkStatus();
}

void Server::Impl::FillBackend() {
  backend.coordinator = &requests;
  backend.store_tasks = &store_tasks;
  backend.file_tasks = &file_tasks;
  backend.study_tasks = &study_tasks;
  backend.num_studies = &num_studies;
  backend.metric_store = metric_store.get();
  backend.blobs = blobs.get();
  backend.datasets = datasets.get();
  backend.checkpoint_files = &checkpoint_files;
  backend.hub = &hub;
  backend.metrics = &metrics;
  backend.gate = gate.get();
  backend.audit = audit.get();
  backend.clock = options.clock;
  backend.version = JENNER_VERSION;
  backend.limits = options.limits;
  std::vector<std::pair<std::string, std::string>> files = {{"metrics", data_dir.MetricsPath()}};
  if (shared_events == nullptr) files.emplace_back("events", data_dir.EventsPath());
  retention = std::make_unique<Retention>(backend, options.retention, std::move(files));
  readiness = std::make_unique<Readiness>(backend, data_dir.BlobsPath() + "/tmp/probe");
  experiments_service = std::make_unique<rpc::ExperimentsService>(backend);
  datasets_service = std::make_unique<rpc::DatasetsService>(backend);
  studies_service = std::make_unique<rpc::StudiesService>(backend);
  workers_service = std::make_unique<rpc::WorkersService>(backend);
  coordinators_service = std::make_unique<rpc::CoordinatorsService>(
      backend, rpc::CoordinatorFacts{
                   options.data_dir, shared_events == nullptr ? 0 : shared_events->epoch(),
                   options.retention.keep_experiments, options.retention.keep_unreferenced});
}

absl::Status Server::Impl::Listen() {
  grpc::EnableDefaultHealthCheckService(true);
  // Does nothing the second time, but keeps a static library's object in the program.
  grpc::reflection::InitProtoReflectionServerBuilderPlugin();
  grpc::ServerBuilder builder;
  if (!options.reflection) builder.SetOption(std::make_unique<WithoutReflection>());
  wire::ConfigureServer(&builder);
  builder.AddListeningPort(options.listen, credentials, &port);
  builder.RegisterService(experiments_service.get());
  builder.RegisterService(datasets_service.get());
  builder.RegisterService(studies_service.get());
  builder.RegisterService(workers_service.get());
  builder.RegisterService(coordinators_service.get());
  grpc_server = builder.BuildAndStart();
  if (grpc_server == nullptr || port == 0) {
    return absl::FailedPreconditionError(
        absl::StrFormat("cannot listen at %s (--listen): the port is taken, or the address is not "
                        "of this machine",
                        options.listen));
  }
  SetServing(true);
  shown->SetReady([this] { return readiness->Check(); });
  return absl::OkStatus();
}

// From before the replay, which may take longer than a lease, to the end.
void Server::Impl::KeepLead() {
  if (shared_events == nullptr) return;
  lead_thread = std::thread([this] {
    while (!stop_lead.WaitFor(options.leader_lease / 4)) {
      const absl::Status renewed = shared_events->Renew();
      if (!renewed.ok()) return options.on_fatal(renewed);
    }
  });
}

void Server::Impl::StartThreads() {
  coordinator_thread = std::thread([this] { RunCoordinator(); });
  store_thread = std::thread([this] { RunTasks(store_tasks); });
  file_thread = std::thread([this] { RunTasks(file_tasks); });
  study_thread = std::thread([this] { RunTasks(study_tasks); });
  if (options.tick > absl::ZeroDuration()) ticker_thread = std::thread([this] { RunTicker(); });
}

void Server::Impl::RunCoordinator() {
  for (;;) {
    const std::vector<rpc::Request> group = requests.Drain(CoordinatorLoop::kMaxGroup);
    if (group.empty()) return;
    const absl::Status handled = loop->Handle(group, options.clock());
    if (!handled.ok()) return options.on_fatal(handled);
  }
}

void Server::Impl::RunTicker() {
  while (!stop_ticker.WaitFor(options.tick)) Tick();
}

void Server::Impl::Tick() {
  rpc::Request request;
  request.command = coordinator::Tick{};
  // A full mailbox ticks anyway: each group of commands does.
  (void)requests.Push(std::move(request));
  TickOthers();
}

void Server::Impl::TickOthers() {
  hub.Tick(options.clock());
  metrics.SetWatchStall(hub.LongestStall());
  retention->Tick(options.clock());
  PollTokens();
}

void Server::Impl::SetServing(bool is_serving) {
  grpc::HealthCheckServiceInterface* health = grpc_server->GetHealthCheckService();
  if (health == nullptr) return;
  for (const char* service : kServices) health->SetServingStatus(service, is_serving);
}

void Server::Impl::Shutdown() {
  if (is_shut_down) return;
  is_shut_down = true;
  shown->SetReady([] { return absl::UnavailableError("shutting down"); });
  if (grpc_server != nullptr) {
    SetServing(false);
    hub.Close();
    grpc_server->Shutdown(absl::ToChronoTime(absl::Now() + options.shutdown_grace));
    grpc_server->Wait();
  }
  stop_ticker.Notify();
  if (ticker_thread.joinable()) ticker_thread.join();
  // The coordinator first: its answers post tasks.
  requests.Close();
  if (coordinator_thread.joinable()) coordinator_thread.join();
  store_tasks.Close();
  file_tasks.Close();
  if (store_thread.joinable()) store_thread.join();
  if (file_thread.joinable()) file_thread.join();
  study_tasks.Close();
  if (study_thread.joinable()) study_thread.join();
  shown->exposer.reset();
  stop_lead.Notify();
  if (lead_thread.joinable()) lead_thread.join();
  if (shared_events != nullptr) shared_events->Resign();
}

absl::StatusOr<std::unique_ptr<Server>> Server::Start(ServerOptions options) {
  if (options.tls.ca.empty()) {
    RETURN_IF_ERROR(wire::CheckPlaintext(options.listen, options.allow_plaintext));
  }
  // What would be found wrong when this server leads, perhaps days later, is better found now.
  if (IsEncrypted(options)) RETURN_IF_ERROR(wire::ReadTls(options.tls).status());
  if (!options.clock) options.clock = [] { return absl::Now(); };
  if (!options.on_fatal) options.on_fatal = Die;
  auto shown = std::make_unique<Shown>();
  StandbyOptions standby = StandbyOf(options);
  standby.metrics = &shown->metrics;
  std::unique_ptr<store::PostgresEventLog> log;
  if (!options.event_log.empty()) {
    if (TakeoverTime(options.leader_lease) > options.limits.lease) {
      Log(Level::kWarning,
          "ranks will not outlive a takeover: --lease is shorter than one may take",
          {{"lease", absl::FormatDuration(options.limits.lease)},
           {"takeover", absl::FormatDuration(TakeoverTime(options.leader_lease))}});
    }
    if (const absl::Status open = shown->Listen(options); !open.ok()) {
      Log(Level::kWarning, "not before this server leads", {{"status", open.ToString()}});
    }
    shown->SetReady([] { return absl::UnavailableError("stands by: another server leads"); });
    ASSIGN_OR_RETURN(log, WaitToLead(standby));
    shown->SetReady([] { return absl::UnavailableError("leads, and has not replayed yet"); });
  }
  absl::StatusOr<store::DataDir> dir = log == nullptr
                                           ? store::DataDir::Open(options.data_dir)
                                           : TakeDataDir(options.data_dir, *log, standby);
  if (!dir.ok()) {
    if (log != nullptr) log->Resign();
    return dir.status();
  }
  std::unique_ptr<Server> server(new Server(std::make_unique<Impl>(
      std::move(options), *std::move(dir), std::move(log), std::move(shown))));
  Impl& impl = *server->impl_;
  impl.KeepLead();
  RETURN_IF_ERROR(impl.shown->Listen(impl.options));
  RETURN_IF_ERROR(impl.OpenGate());
  RETURN_IF_ERROR(impl.OpenStores());
  RETURN_IF_ERROR(impl.Replay());
  RETURN_IF_ERROR(impl.ShowFigures());
  impl.FillBackend();
  // Before the port is open, so that no call finds nobody to answer it.
  impl.StartThreads();
  RETURN_IF_ERROR(impl.Listen());
  return server;
}

Server::Server(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Server::~Server() { Shutdown(); }

int Server::port() const { return impl_->port; }

int Server::metrics_port() const {
  return impl_->shown->exposer == nullptr ? 0 : impl_->shown->exposer->port();
}

void Server::Tick() {
  feed::Signal done;
  rpc::Request request;
  request.command = coordinator::Tick{};
  request.answer = [&done](const absl::Status&, const rpc::View&) { done.Notify(); };
  if (!impl_->requests.Push(std::move(request))) return;
  done.Wait();
  impl_->TickOthers();
}

void Server::Shutdown() { impl_->Shutdown(); }

}  // namespace jenner::server
