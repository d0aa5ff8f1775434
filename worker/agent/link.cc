#include "worker/agent/link.h"

#include <algorithm>
#include <thread>

#include "absl/strings/str_cat.h"
#include "core/sha256.h"
#include "core/status.h"
#include "wire/channel.h"
#include "wire/status.h"
#include "worker/agent/files.h"

namespace jenner::agent {
namespace {

constexpr int64_t kChunkBytes = 1 << 20;
constexpr absl::Duration kCallTimeout = absl::Seconds(20);
constexpr absl::Duration kBlobTimeout = absl::Minutes(30);

}  // namespace

Link::Link(const std::string& server, const std::optional<wire::Tls>& tls)
    : channel_(wire::MakeClientChannel(server, tls)), stub_(v1::Workers::NewStub(channel_)) {}

absl::StatusOr<v1::SynchronizeResponse> Link::Synchronize(const v1::SynchronizeRequest& request,
                                                          absl::Duration timeout) {
  grpc::ClientContext context;
  context.set_deadline(absl::ToChronoTime(absl::Now() + timeout));
  v1::SynchronizeResponse response;
  RETURN_IF_ERROR(wire::FromGrpcStatus(stub_->Synchronize(&context, request, &response)));
  return response;
}

bool Link::Pause(absl::Duration duration) {
  if (channel_->GetState(/*try_to_connect=*/true) != GRPC_CHANNEL_READY) {
    return wire::AwaitConnection(channel_.get(), duration);
  }
  std::this_thread::sleep_for(absl::ToChronoNanoseconds(duration));  // tidy: allow, a pause
  return false;
}

absl::Status Link::UploadTelemetry(const v1::UploadTelemetryRequest& request,
                                   Cancellation* cancellation) {
  CancellableContext context(cancellation, kCallTimeout);
  v1::UploadTelemetryResponse response;
  return wire::FromGrpcStatus(stub_->UploadTelemetry(context.get(), request, &response));
}

absl::Status Link::UploadBlob(const v1::UploadBlobHeader& header, const std::string& path,
                              Cancellation* cancellation) {
  CancellableContext context(cancellation, kBlobTimeout);
  v1::UploadBlobResponse response;
  const auto writer = stub_->UploadBlob(context.get(), &response);
  v1::UploadBlobRequest request;
  *request.mutable_header() = header;
  const int64_t size_bytes = header.size_bytes();
  bool open = writer->Write(request);
  absl::Status read;
  for (int64_t at = 0; open && at < size_bytes;) {
    absl::StatusOr<std::string> part = ReadPart(path, at, std::min(kChunkBytes, size_bytes - at));
    if (!part.ok() || part->empty()) {
      read = part.ok() ? absl::DataLossError(path + ": shorter than announced") : part.status();
      context.get()->TryCancel();
      break;
    }
    at += static_cast<int64_t>(part->size());
    request.set_chunk(*std::move(part));
    open = writer->Write(request);
  }
  if (read.ok()) writer->WritesDone();
  const absl::Status status = wire::FromGrpcStatus(writer->Finish());
  return read.ok() ? status : read;
}

absl::Status Link::DownloadBlob(const std::string& sha256, const std::string& path,
                                int64_t max_bytes, Cancellation* cancellation) {
  CancellableContext context(cancellation, kBlobTimeout);
  v1::DownloadBlobRequest request;
  request.set_sha256(sha256);
  ASSIGN_OR_RETURN(FileWriter writer, FileWriter::Create(path));
  const auto reader = stub_->DownloadBlob(context.get(), request);
  core::Sha256 hash;
  int64_t num_bytes = 0;
  absl::Status written;
  v1::DownloadBlobResponse response;
  while (written.ok() && reader->Read(&response)) {
    num_bytes += static_cast<int64_t>(response.chunk().size());
    hash.Update(response.chunk());
    written = num_bytes > max_bytes
                  ? absl::DataLossError(absl::StrCat("more than ", max_bytes, " bytes"))
                  : writer.Write(response.chunk());
  }
  if (!written.ok()) context.get()->TryCancel();
  const absl::Status status = wire::FromGrpcStatus(reader->Finish());
  RETURN_IF_ERROR(Annotate(written.ok() ? status : written, "blob " + sha256));
  if (hash.FinishHex() != sha256)
    return absl::DataLossError("blob " + sha256 + ": other bytes arrived");
  return writer.Commit(/*sync=*/true);
}

}  // namespace jenner::agent
