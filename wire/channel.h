// Addresses, channels and the limits that both ends of the wire agree on. Thread-safe.
#ifndef JENNER_WIRE_CHANNEL_H_
#define JENNER_WIRE_CHANNEL_H_

#include <grpcpp/channel.h>
#include <grpcpp/server_builder.h>

#include <memory>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/time/time.h"
#include "wire/tls.h"

namespace jenner::wire {

inline constexpr int kMaxMessageBytes = 8 << 20;    // any message, both ways
inline constexpr int kMaxTelemetryBytes = 4 << 20;  // one UploadTelemetryRequest
inline constexpr int kMaxChunkBytes = 1 << 20;      // of an upload or download
// Errors travel as metadata; a spec with many faults needs more than gRPC's default of 8 KiB. A
// client in another language sets grpc.max_metadata_size alike.
inline constexpr int kMaxMetadataBytes = 64 << 10;
inline constexpr int kMaxStreamsPerConnection = 1024;
// A connection that is older is asked to go and has kConnectionGraceMs to end its streams, so that
// none outlives a certificate or a removed token for long. As long as a blob may take.
inline constexpr int kMaxConnectionAgeMs = 3'600'000;
inline constexpr int kConnectionGraceMs = 1'800'000;
inline constexpr int kMaxConnectionIdleMs = 1'800'000;
inline constexpr int kHandshakeTimeoutMs = 10'000;

// True for "127.x.y.z:port", "[::1]:port", "localhost:port" and "unix:path", and for lists of the
// first two, "ipv4:127.0.0.1:7070,127.0.0.1:7071" and "ipv6:[::1]:7070,[::1]:7071".
bool IsLoopback(const std::string& address);

// FailedPrecondition, unless `address` is on this machine or plaintext is allowed: the wire has no
// encryption and no authentication of its own. `flag` is named in the message.
absl::Status CheckPlaintext(const std::string& address, bool allow_plaintext,
                            const std::string& flag = "--allow-plaintext");

// A channel to `address` - with `tls` encrypted, the server proved by tls->ca; else plaintext -
// with the limits above, HTTP/2 keepalive (ping after 20 s of silence, dead after 10 s more) and
// reconnects at most 5 s apart. Connects lazily. Not to be destroyed in a gRPC callback.
//
// `address` is host:port or another target of gRPC's. If it stands for several - a name with
// several addresses, or "ipv4:10.0.0.1:7070,10.0.0.2:7070" - they are tried in turn until one
// answers (pick_first), and again whenever the connection is lost: so a standby is found. With
// `tls` such a list has no name to be proved: then the first of its hosts is what each certificate
// must name.
std::shared_ptr<grpc::Channel> MakeClientChannel(const std::string& address,
                                                 const std::optional<Tls>& tls = std::nullopt);

// Waits until `channel` is connected, `limit` at most; true: it is. gRPC gets on with a connection
// only while somebody waits like this or in a call: who sleeps between calls that fail at once lets
// every attempt to connect run out.
bool AwaitConnection(grpc::Channel* channel, absl::Duration limit);

// A server that shows tls.certificate and asks for certificates that tls.ca signed: one that is
// shown must hold, and `is_required` tells whether one must be shown at all.
std::shared_ptr<grpc::ServerCredentials> MakeServerCredentials(const Tls& tls, bool is_required);

// The same limits on the server, which permits those pings, and takes no compressed messages: one
// of a few KiB may hold GiBs, which gRPC would unpack before it looks at their size.
void ConfigureServer(grpc::ServerBuilder* builder);

}  // namespace jenner::wire

#endif  // JENNER_WIRE_CHANNEL_H_
