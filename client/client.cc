#include "client/client.h"

#include <grpc/grpc_security_constants.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <thread>
#include <utility>

#include "absl/strings/str_format.h"
#include "core/sha256.h"
#include "core/status.h"
#include "core/version.h"
#include "wire/channel.h"
#include "wire/status.h"
#include "wire/trace.h"

namespace jenner::client {
namespace {

constexpr size_t kChunkBytes = size_t{1} << 20;
constexpr int kPageSize = 1000;
constexpr absl::Duration kSilence = absl::Seconds(1);  // before it is told

// A wait before try `attempt` (0-based): 100 ms doubling to 2 s, with full jitter.
absl::Duration Backoff(int attempt) {
  thread_local std::minstd_rand random{std::random_device{}()};
  const double ceiling = std::min(2.0, 0.1 * static_cast<double>(1 << std::min(attempt, 8)));
  return absl::Seconds(std::uniform_real_distribution<double>(ceiling / 4, ceiling)(random));
}

// Before the next try; shorter if a connection that was missing comes about.
void Wait(grpc::Channel* channel, absl::Duration duration) {
  if (channel->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    wire::AwaitConnection(channel, duration);
  } else {
    std::this_thread::sleep_for(absl::ToChronoNanoseconds(duration));
  }
}

// Names the server where nothing came from it.
absl::Status Named(const absl::Status& status, const std::string& server, absl::Duration waited) {
  if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status)) return status;
  return Annotate(status, "no answer from " + server + " within " + absl::FormatDuration(waited));
}

}  // namespace

std::string NewRequestId() {
  std::random_device device;
  unsigned char bytes[16];
  for (unsigned char& byte : bytes) byte = static_cast<unsigned char>(device());
  bytes[6] = static_cast<unsigned char>((bytes[6] & 0x0f) | 0x40);  // RFC 4122, version 4
  bytes[8] = static_cast<unsigned char>((bytes[8] & 0x3f) | 0x80);
  std::string out;
  for (int i = 0; i < 16; ++i) {
    if (i == 4 || i == 6 || i == 8 || i == 10) out += '-';
    out += absl::StrFormat("%02x", bytes[i]);
  }
  return out;
}

absl::Status Client::Check(const ClientOptions& options) {
  if (options.token.empty() || options.tls.has_value() || wire::IsLoopback(options.server)) {
    return absl::OkStatus();
  }
  return absl::FailedPreconditionError(
      options.server +
      " is not on this machine and the connection is not "
      "encrypted: the token is not sent there (--ca makes it TLS)");
}

void Client::Sign(grpc::ClientContext* context) const {
  if (!options_.token.empty()) context->AddMetadata("authorization", "Bearer " + options_.token);
  context->AddMetadata(wire::kTraceparent, wire::Traceparent(trace_id_));
}

absl::Status Client::WithTrace(absl::Status status) const {
  return status.ok() ? status : wire::WithMetadata(std::move(status), "trace_id", trace_id_);
}

Client::Client(ClientOptions options)
    : options_(std::move(options)), trace_id_(wire::NewTraceId()) {
  channel_ = wire::MakeClientChannel(options_.server, options_.tls);
  experiments_ = v1::Experiments::NewStub(channel_);
  datasets_ = v1::Datasets::NewStub(channel_);
  studies_ = v1::Studies::NewStub(channel_);
  workers_ = v1::Workers::NewStub(channel_);
  coordinators_ = v1::Coordinators::NewStub(channel_);
}

void Client::TellVersion(const grpc::ClientContext& context) const {
  if (options_.on_version == nullptr || is_version_told_.exchange(true)) return;
  const auto found = context.GetServerInitialMetadata().find(core::kVersionMetadata);
  if (found == context.GetServerInitialMetadata().end()) return;
  options_.on_version(std::string(found->second.data(), found->second.size()));
}

// Calls `call(context)` until it is not UNAVAILABLE or the deadline is over.
template <typename Call>
absl::Status Client::Retry(Call call) const {
  const absl::Time start = absl::Now();
  const absl::Time deadline = start + options_.timeout;
  bool is_told = options_.on_silence == nullptr;
  for (int attempt = 0;; ++attempt) {
    grpc::ClientContext context;
    context.set_deadline(absl::ToChronoTime(deadline));
    Sign(&context);
    const grpc::Status status = call(&context);
    const absl::Status result = wire::FromGrpcStatus(status);
    if (result.ok()) TellVersion(context);
    const absl::Duration asked = wire::RetryDelayOf(result);
    const absl::Duration wait = std::max(asked, Backoff(attempt));
    const bool is_worth_it = absl::IsUnavailable(result) || asked > absl::ZeroDuration();
    if (result.ok() || !is_worth_it || absl::Now() + wait >= deadline) {
      return WithTrace(Named(result, options_.server, options_.timeout));
    }
    if (!is_told && absl::Now() - start > kSilence) {
      options_.on_silence(result);
      is_told = true;
    }
    Wait(channel_.get(), wait);
  }
}

absl::StatusOr<v1::CreateExperimentResponse> Client::PreviewExperiment(
    v1::CreateExperimentRequest request) {
  request.set_validate_only(true);
  v1::CreateExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->CreateExperiment(context, request, &response);
  }));
  return response;
}

absl::StatusOr<v1::Experiment> Client::CreateExperiment(v1::CreateExperimentRequest request) {
  if (request.request_id().empty()) request.set_request_id(NewRequestId());
  v1::CreateExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->CreateExperiment(context, request, &response);
  }));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<v1::Experiment> Client::GetExperiment(const std::string& name) {
  v1::GetExperimentRequest request;
  request.set_name(name);
  v1::GetExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->GetExperiment(context, request, &response);
  }));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<std::vector<v1::Experiment>> Client::ListExperiments(int limit) {
  std::vector<v1::Experiment> all;
  v1::ListExperimentsRequest request;
  do {
    request.set_page_size(limit == 0 ? kPageSize
                                     : std::min(kPageSize, limit - static_cast<int>(all.size())));
    v1::ListExperimentsResponse response;
    RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
      return experiments_->ListExperiments(context, request, &response);
    }));
    for (v1::Experiment& one : *response.mutable_experiments()) all.push_back(std::move(one));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || static_cast<int>(all.size()) < limit));
  return all;
}

absl::StatusOr<v1::Experiment> Client::CancelExperiment(const std::string& name, bool kill) {
  v1::CancelExperimentRequest request;
  request.set_name(name);
  request.set_kill(kill);
  v1::CancelExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->CancelExperiment(context, request, &response);
  }));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<v1::Experiment> Client::PauseExperiment(const std::string& name) {
  v1::PauseExperimentRequest request;
  request.set_name(name);
  v1::PauseExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->PauseExperiment(context, request, &response);
  }));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<v1::Experiment> Client::ResumeExperiment(const std::string& name) {
  v1::ResumeExperimentRequest request;
  request.set_name(name);
  v1::ResumeExperimentResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->ResumeExperiment(context, request, &response);
  }));
  return std::move(*response.mutable_experiment());
}

absl::StatusOr<v1::Worker> Client::CordonWorker(const std::string& name, bool drain) {
  v1::CordonWorkerRequest request;
  request.set_name(name);
  request.set_drain(drain);
  v1::CordonWorkerResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return workers_->CordonWorker(context, request, &response);
  }));
  return std::move(*response.mutable_worker());
}

absl::StatusOr<v1::Worker> Client::UncordonWorker(const std::string& name) {
  v1::UncordonWorkerRequest request;
  request.set_name(name);
  v1::UncordonWorkerResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return workers_->UncordonWorker(context, request, &response);
  }));
  return std::move(*response.mutable_worker());
}

absl::Status Client::DeleteExperiment(const std::string& name) {
  v1::DeleteExperimentRequest request;
  request.set_name(name);
  v1::DeleteExperimentResponse response;
  int num_tries = 0;
  const absl::Status status = Retry([&](grpc::ClientContext* context) {
    ++num_tries;
    return experiments_->DeleteExperiment(context, request, &response);
  });
  // An earlier try did it, and its answer was lost.
  return num_tries > 1 && absl::IsNotFound(status) ? absl::OkStatus() : status;
}

absl::StatusOr<std::vector<v1::ResultRow>> Client::GetResults(const std::string& name) {
  v1::GetResultsRequest request;
  request.set_name(name);
  v1::GetResultsResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->GetResults(context, request, &response);
  }));
  return std::vector<v1::ResultRow>(response.rows().begin(), response.rows().end());
}

absl::StatusOr<std::vector<v1::Sample>> Client::ListSamples(v1::ListSamplesRequest request,
                                                            int limit) {
  std::vector<v1::Sample> all;
  do {
    request.set_page_size(limit == 0 ? kPageSize
                                     : std::min(kPageSize, limit - static_cast<int>(all.size())));
    v1::ListSamplesResponse response;
    RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
      return experiments_->ListSamples(context, request, &response);
    }));
    for (v1::Sample& one : *response.mutable_samples()) all.push_back(std::move(one));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty() && (limit == 0 || static_cast<int>(all.size()) < limit));
  return all;
}

absl::StatusOr<v1::GetLogsResponse> Client::GetLogs(const v1::GetLogsRequest& request) {
  v1::GetLogsResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return experiments_->GetLogs(context, request, &response);
  }));
  return response;
}

absl::StatusOr<v1::Study> Client::GetStudy(const std::string& name) {
  v1::GetStudyRequest request;
  request.set_name(name);
  v1::GetStudyResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return studies_->GetStudy(context, request, &response);
  }));
  return std::move(*response.mutable_study());
}

absl::StatusOr<v1::FreezeScreenResponse> Client::FreezeScreen(const std::string& name, int top) {
  v1::FreezeScreenRequest request;
  request.set_name(name);
  request.set_top(top);
  v1::FreezeScreenResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    return studies_->FreezeScreen(context, request, &response);
  }));
  return response;
}

absl::StatusOr<std::vector<v1::Worker>> Client::ListWorkers() {
  std::vector<v1::Worker> all;
  v1::ListWorkersRequest request;
  request.set_page_size(kPageSize);
  do {
    v1::ListWorkersResponse response;
    RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
      return workers_->ListWorkers(context, request, &response);
    }));
    for (v1::Worker& one : *response.mutable_workers()) all.push_back(std::move(one));
    request.set_page_token(response.next_page_token());
  } while (!request.page_token().empty());
  return all;
}

absl::StatusOr<CoordinatorAnswer> Client::GetCoordinator() {
  CoordinatorAnswer answer;
  v1::GetCoordinatorResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    const grpc::Status status =
        coordinators_->GetCoordinator(context, v1::GetCoordinatorRequest(), &response);
    const auto proof = context->auth_context();
    if (proof == nullptr) return status;
    for (const grpc::string_ref& pem :
         proof->FindPropertyValues(GRPC_X509_PEM_CERT_PROPERTY_NAME)) {
      answer.certificate.assign(pem.data(), pem.size());
    }
    return status;
  }));
  answer.coordinator = std::move(*response.mutable_coordinator());
  return answer;
}

absl::StatusOr<std::string> Client::UploadDataset(const std::string& bytes, v1::DatasetUse use) {
  const std::string hash = core::Sha256Hex(bytes);
  // A dataset that is there was checked for the use it was uploaded with, which may be another one:
  // so it is always sent; the server stores equal bytes once.
  v1::UploadDatasetResponse response;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    auto writer = datasets_->UploadDataset(context, &response);
    v1::UploadDatasetRequest request;
    request.mutable_header()->set_sha256(hash);
    request.mutable_header()->set_size_bytes(static_cast<int64_t>(bytes.size()));
    request.mutable_header()->set_use(use);
    bool open = writer->Write(request);
    for (size_t at = 0; open && at < bytes.size(); at += kChunkBytes) {
      request.set_chunk(bytes.substr(at, kChunkBytes));
      open = writer->Write(request);
    }
    if (open) writer->WritesDone();
    return writer->Finish();
  }));
  return core::RefOfHex(hash);
}

absl::StatusOr<std::string> Client::DownloadDataset(const std::string& ref) {
  v1::DownloadDatasetRequest request;
  request.set_name("datasets/" + core::HexOfRef(ref).value_or(ref));
  std::string bytes;
  RETURN_IF_ERROR(Retry([&](grpc::ClientContext* context) {
    bytes.clear();
    auto reader = datasets_->DownloadDataset(context, request);
    for (v1::DownloadDatasetResponse response; reader->Read(&response);) bytes += response.chunk();
    return reader->Finish();
  }));
  return bytes;
}

struct Watch::Stream {
  std::mutex mutex;  // guards context and cancelled against Cancel()
  std::unique_ptr<grpc::ClientContext> context;
  std::unique_ptr<grpc::ClientReader<v1::WatchExperimentResponse>> reader;
  bool cancelled = false;
  bool terminal = false;
  bool is_answered = false;
  bool is_told = false;  // of the present silence
  int failures = 0;
  absl::Time last_heard = absl::Now();
};

std::unique_ptr<Watch> Client::WatchExperiment(const std::string& name, const std::string& cursor,
                                               absl::Duration heartbeat) {
  return std::unique_ptr<Watch>(new Watch(this, name, cursor, heartbeat));
}

Watch::Watch(Client* client, std::string name, std::string cursor, absl::Duration heartbeat)
    : client_(client),
      name_(std::move(name)),
      cursor_(std::move(cursor)),
      heartbeat_(heartbeat),
      stream_(std::make_unique<Stream>()) {}

Watch::~Watch() { Cancel(); }

void Watch::Cancel() {
  std::lock_guard<std::mutex> lock(stream_->mutex);
  stream_->cancelled = true;
  if (stream_->context != nullptr) stream_->context->TryCancel();
}

bool Watch::IsCancelled() const {
  std::lock_guard<std::mutex> lock(stream_->mutex);
  return stream_->cancelled;
}

// Opens a stream at the cursor. False: cancelled.
bool Watch::Connect() {
  v1::WatchExperimentRequest request;
  request.set_name(name_);
  request.set_cursor(cursor_);
  if (heartbeat_ > absl::ZeroDuration()) {
    request.mutable_heartbeat_interval()->set_seconds(absl::ToInt64Seconds(heartbeat_));
  }
  auto context = std::make_unique<grpc::ClientContext>();
  grpc::ClientContext* raw = context.get();
  client_->Sign(raw);
  {
    std::lock_guard<std::mutex> lock(stream_->mutex);
    if (stream_->cancelled) return false;
    stream_->reader.reset();
    stream_->context = std::move(context);
  }
  stream_->reader = client_->experiments_->WatchExperiment(raw, request);
  return true;
}

bool Watch::Next(v1::WatchExperimentResponse* response) {
  while (true) {
    if (stream_->reader == nullptr && !Connect()) {
      status_ = absl::CancelledError("the watch was cancelled");
      return false;
    }
    if (stream_->reader->Read(response)) {
      cursor_ = response->cursor();
      stream_->terminal = response->has_terminal();
      stream_->is_answered = true;
      stream_->is_told = false;
      stream_->failures = 0;
      stream_->last_heard = absl::Now();
      return true;
    }
    const grpc::Status end = stream_->reader->Finish();
    stream_->reader.reset();
    status_ = wire::FromGrpcStatus(end);
    if (stream_->terminal && end.ok()) return false;
    // A slow reader was let go, or the server went away, which may end the call as cancelled: both
    // go on from the cursor.
    const bool again = end.ok() || end.error_code() == grpc::StatusCode::UNAVAILABLE ||
                       end.error_code() == grpc::StatusCode::RESOURCE_EXHAUSTED ||
                       (end.error_code() == grpc::StatusCode::CANCELLED && !IsCancelled());
    const ClientOptions& options = client_->options_;
    const absl::Duration patience = stream_->is_answered ? kMaxSilence : options.timeout;
    const absl::Duration silence = absl::Now() - stream_->last_heard;
    if (!again || silence > patience) {
      status_ = client_->WithTrace(Named(status_, options.server, patience));
      return false;
    }
    if (!stream_->is_told && stream_->failures > 0 && silence > kSilence && options.on_silence) {
      options.on_silence(status_);
      stream_->is_told = true;
    }
    Wait(client_->channel_.get(), Backoff(stream_->failures++));
  }
}

}  // namespace jenner::client
