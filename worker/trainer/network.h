// Network: which of this machine's IPv4 addresses a rank uses. Thread-safe: no state.
#ifndef JENNER_WORKER_TRAINER_NETWORK_H_
#define JENNER_WORKER_TRAINER_NETWORK_H_

#include <netinet/in.h>

#include <cstdint>
#include <string>

namespace jenner::trainer {

// The parts of "ip:port" (IPv4).
struct Address {
  std::string host;
  uint16_t port = 0;
};

// Failure(kUsage), which names `flag`: it is none, or port 0.
Address ParseAddress(const std::string& flag, const std::string& text);

// Failure(kUsage): `host` is no IPv4 address.
sockaddr_in SocketAddress(const std::string& host, uint16_t port);

// A socket that listens on a free port of `host`; sets *port. Bound by whoever will use it, so that
// nobody can take the port in between. Failure(kUsage): `host` is not this machine's.
int Listen(const std::string& host, uint16_t* port);

// The address of the interface that packets to `peer` leave by. Sends nothing. Failure(kPeerLost):
// there is no route.
std::string LocalAddressTowards(const Address& peer);

struct Interface {
  std::string name;  // "eth0"; "lo" for all of 127.0.0.0/8
  std::string host;  // its IPv4 address
};

// The interface with that name, or with that IPv4 address. Failure(kUsage) names those that there
// are.
Interface FindInterface(const std::string& name_or_host);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_NETWORK_H_
