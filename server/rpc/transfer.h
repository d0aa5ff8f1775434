// Streams of bytes: a client-streamed upload (a header, then chunks) into a BlobWriter, and a
// server-streamed download out of a BlobReader. One step at a time is under way - a read, a write
// or a task on the file thread - so the reactors need no lock. Each owns itself.
#ifndef JENNER_SERVER_RPC_TRANSFER_H_
#define JENNER_SERVER_RPC_TRANSFER_H_

#include <grpcpp/server_context.h>
#include <grpcpp/support/server_callback.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_format.h"
#include "server/rpc/backend.h"
#include "server/store/blob_store.h"
#include "wire/channel.h"
#include "wire/status.h"

namespace jenner::rpc {

// Request: a message with oneof { Header header; bytes chunk; }.
template <typename Request>
class UploadReactor final : public grpc::ServerReadReactor<Request> {
 public:
  using Opened = std::function<void(absl::StatusOr<std::unique_ptr<store::BlobWriter>>)>;
  struct Hooks {
    // What the header is about.
    std::function<Resource(const Request& first)> about;
    // Called with the header; answers once, from any thread. Must not block.
    std::function<void(const Request& first, const auth::Principal& principal, Opened opened)> open;
    // All bytes are written; on the file thread. OK: durable, and the response is filled.
    std::function<absl::Status(std::unique_ptr<store::BlobWriter> writer)> commit;
    // A success with this header is recorded elsewhere, not in the audit log. Null: none is.
    std::function<bool(const Request& first)> is_recorded;
  };

  UploadReactor(Backend& backend, const char* method, grpc::CallbackServerContext* context,
                Hooks hooks)
      : backend_(backend),
        method_(method),
        context_(context),
        hooks_(std::move(hooks)),
        caller_(Admit(backend, *context, method, CallKind::kStream, {})) {
    if (!caller_->status.ok()) {
      this->Finish(wire::ToGrpcStatus(caller_->status));
    } else {
      this->StartRead(&request_);
    }
  }

  void OnReadDone(bool ok) override {
    if (!ok) return EndOfStream();
    if (writer_ == nullptr) {
      if (!request_.has_header()) {
        return End(wire::FaultStatus("header", "expected in the first message"));
      }
      resource_ = hooks_.about(request_);
      is_recorded_ = hooks_.is_recorded != nullptr && hooks_.is_recorded(request_);
      hooks_.open(request_, caller_->principal,
                  [this](absl::StatusOr<std::unique_ptr<store::BlobWriter>> opened) {
                    if (!opened.ok()) return End(opened.status());
                    writer_ = *std::move(opened);
                    this->StartRead(&request_);
                  });
      return;
    }
    const auto size = static_cast<int64_t>(request_.chunk().size());
    if (!request_.has_chunk() || size > wire::kMaxChunkBytes) {
      return End(wire::FaultStatus("chunk", absl::StrFormat("expected at most %d bytes; found %d",
                                                            wire::kMaxChunkBytes, size)));
    }
    OnFileThread([this] {
      const absl::Status written = writer_->Write(request_.chunk());
      if (!written.ok()) return End(written);
      this->StartRead(&request_);
    });
  }

  void OnDone() override {
    // Closing and unlinking is the file thread's business; if it is gone, so is the server.
    std::shared_ptr<store::BlobWriter> left = std::move(writer_);
    if (left != nullptr && !backend_.file_tasks->Push([left] {})) left.reset();
    delete this;
  }

 private:
  void EndOfStream() {
    if (context_->IsCancelled()) return End(absl::CancelledError("the upload was cut off"));
    if (writer_ == nullptr) return End(wire::FaultStatus("header", "missing: an empty upload"));
    OnFileThread([this] { End(hooks_.commit(std::move(writer_))); });
  }
  void OnFileThread(feed::Task task) {
    if (!backend_.file_tasks->Push(std::move(task))) End(Busy());
  }
  // Nothing touches the reactor afterwards.
  void End(const absl::Status& status) {
    CountCall(backend_, method_, status);
    if (!status.ok() || !is_recorded_) Audit(backend_, *caller_, resource_, status);
    this->Finish(wire::ToGrpcStatus(status));
  }

  Backend& backend_;
  const char* const method_;
  grpc::CallbackServerContext* const context_;
  const Hooks hooks_;
  const std::shared_ptr<const Caller> caller_;
  Resource resource_;
  bool is_recorded_ = false;
  Request request_;
  std::unique_ptr<store::BlobWriter> writer_;
};

// Response: a message with a `bytes chunk`. `resource` names what is downloaded; `check` is asked
// on the file thread whether the blob `sha256` is one.
template <typename Response>
class DownloadReactor final : public grpc::ServerWriteReactor<Response> {
 public:
  DownloadReactor(
      Backend& backend, const char* method, grpc::CallbackServerContext& context,
      const std::string& sha256, const Resource& resource,
      std::function<absl::Status()> check = [] { return absl::OkStatus(); })
      : backend_(backend),
        method_(method),
        caller_(Admit(backend, context, method, CallKind::kStream, resource)) {
    if (!caller_->status.ok()) {
      this->Finish(wire::ToGrpcStatus(caller_->status));
      return;
    }
    OnFileThread([this, sha256, resource, check = std::move(check)] {
      absl::Status status = check();
      absl::StatusOr<std::unique_ptr<store::BlobReader>> opened = nullptr;
      if (status.ok()) {
        opened = backend_.blobs->Read(sha256);
        status = opened.status();
      }
      if (absl::IsNotFound(status)) {
        return End(wire::WithResource(status, resource.type, resource.name));
      }
      if (!status.ok()) return End(status);
      reader_ = *std::move(opened);
      Next();
    });
  }

  void OnWriteDone(bool ok) override {
    if (!ok) return End(absl::CancelledError("the reader went away"));
    OnFileThread([this] { Next(); });
  }
  void OnDone() override { delete this; }

 private:
  // On the file thread.
  void Next() {
    absl::StatusOr<std::string> chunk = reader_->Read(wire::kMaxChunkBytes);
    if (!chunk.ok()) return End(chunk.status());
    if (chunk->empty()) return End(absl::OkStatus());
    response_.set_chunk(*std::move(chunk));
    this->StartWrite(&response_);
  }
  void OnFileThread(feed::Task task) {
    if (!backend_.file_tasks->Push(std::move(task))) End(Busy());
  }
  void End(const absl::Status& status) {
    CountCall(backend_, method_, status);
    this->Finish(wire::ToGrpcStatus(status));
  }

  Backend& backend_;
  const char* const method_;
  const std::shared_ptr<const Caller> caller_;
  std::unique_ptr<store::BlobReader> reader_;
  Response response_;
};

}  // namespace jenner::rpc

#endif  // JENNER_SERVER_RPC_TRANSFER_H_
