#include "wire/channel.h"

#include <grpcpp/create_channel.h>
#include <grpcpp/security/credentials.h>
#include <grpcpp/security/server_credentials.h>
#include <grpcpp/support/channel_arguments.h>

#include <algorithm>
#include <vector>

#include "absl/strings/match.h"
#include "absl/strings/str_split.h"

namespace jenner::wire {

namespace {

// "127.0.0.1:7070" without its port.
std::string HostOf(const std::string& address) {
  const size_t colon = address.rfind(':');
  return colon == std::string::npos ? address : address.substr(0, colon);
}

// The members of "ipv4:a,b" or "ipv6:a,b"; empty: no such list.
std::vector<std::string> ListOf(const std::string& address) {
  if (!absl::StartsWith(address, "ipv4:") && !absl::StartsWith(address, "ipv6:")) return {};
  return absl::StrSplit(address.substr(5), ',');
}

}  // namespace

bool IsLoopback(const std::string& address) {
  if (address.rfind("unix:", 0) == 0) return true;
  const std::vector<std::string> list = ListOf(address);
  if (!list.empty()) return std::all_of(list.begin(), list.end(), IsLoopback);
  const std::string host = HostOf(address);
  return host == "localhost" || host == "[::1]" ||
         (host.rfind("127.", 0) == 0 && host.find_first_not_of("0123456789.") == std::string::npos);
}

absl::Status CheckPlaintext(const std::string& address, bool allow_plaintext,
                            const std::string& flag) {
  if (allow_plaintext || IsLoopback(address)) return absl::OkStatus();
  return absl::FailedPreconditionError(
      address +
      " is not on this machine and the connection is neither encrypted nor authenticated; " + flag +
      " permits it (trusted networks only)");
}

std::shared_ptr<grpc::Channel> MakeClientChannel(const std::string& address,
                                                 const std::optional<Tls>& tls) {
  grpc::ChannelArguments arguments;
  arguments.SetMaxReceiveMessageSize(kMaxMessageBytes);
  arguments.SetMaxSendMessageSize(kMaxMessageBytes);
  arguments.SetInt(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, 20'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  arguments.SetInt(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  arguments.SetInt(GRPC_ARG_INITIAL_RECONNECT_BACKOFF_MS, 200);
  // Which is also how long one try may take: a TLS handshake with a busy machine takes longer.
  const bool is_near = IsLoopback(address) && !tls.has_value();
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, is_near ? 200 : 5'000);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, 5'000);
  std::shared_ptr<grpc::ChannelCredentials> credentials = grpc::InsecureChannelCredentials();
  if (tls.has_value()) {
    credentials = grpc::SslCredentials({tls->ca, tls->key, tls->certificate});
    // By itself gRPC would look for the whole list in the certificate.
    const std::vector<std::string> list = ListOf(address);
    if (!list.empty()) arguments.SetSslTargetNameOverride(HostOf(list.front()));
  }
  return grpc::CreateCustomChannel(address, credentials, arguments);
}

bool AwaitConnection(grpc::Channel* channel, absl::Duration limit) {
  return channel->WaitForConnected(absl::ToChronoTime(absl::Now() + limit));
}

std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Tls& tls, bool is_required) {
  grpc::SslServerCredentialsOptions options(
      is_required ? GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY
                  : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY);
  options.pem_root_certs = tls.ca;
  options.pem_key_cert_pairs.push_back({tls.key, tls.certificate});
  return grpc::SslServerCredentials(options);
}

void ConfigureServer(grpc::ServerBuilder* builder) {
  builder->SetMaxReceiveMessageSize(kMaxMessageBytes);
  builder->SetMaxSendMessageSize(kMaxMessageBytes);
  builder->AddChannelArgument(GRPC_ARG_MAX_METADATA_SIZE, kMaxMetadataBytes);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIME_MS, 30'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_KEEPALIVE_PERMIT_WITHOUT_CALLS, 1);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  builder->AddChannelArgument(GRPC_ARG_HTTP2_MIN_RECV_PING_INTERVAL_WITHOUT_DATA_MS, 10'000);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONCURRENT_STREAMS, kMaxStreamsPerConnection);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_MS, kMaxConnectionAgeMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_AGE_GRACE_MS, kConnectionGraceMs);
  builder->AddChannelArgument(GRPC_ARG_MAX_CONNECTION_IDLE_MS, kMaxConnectionIdleMs);
  builder->AddChannelArgument(GRPC_ARG_SERVER_HANDSHAKE_TIMEOUT_MS, kHandshakeTimeoutMs);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_DEFLATE, false);
  builder->SetCompressionAlgorithmSupportStatus(GRPC_COMPRESS_GZIP, false);
  builder->AddChannelArgument(GRPC_ARG_ENABLE_PER_MESSAGE_DECOMPRESSION, 0);
  // Two servers on one port would share its connections: refuse instead.
  builder->AddChannelArgument(GRPC_ARG_ALLOW_REUSEPORT, 0);
}

}  // namespace jenner::wire
