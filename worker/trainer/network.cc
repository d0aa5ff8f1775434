#include "worker/trainer/network.h"

#include <arpa/inet.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;

std::string HostOf(const sockaddr_in& address) {
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  return text;
}

}  // namespace

sockaddr_in SocketAddress(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    throw Failure(ExitCode::kUsage, "expected an IPv4 address, found \"" + host + "\"");
  }
  return address;
}

Address ParseAddress(const std::string& flag, const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > 65535) {
    throw Failure(ExitCode::kUsage, flag + ": expected ip:port, found \"" + text + "\"");
  }
  Address address{text.substr(0, colon), static_cast<uint16_t>(port)};
  SocketAddress(address.host, address.port);
  return address;
}

int Listen(const std::string& host, uint16_t* port) {
  sockaddr_in address = SocketAddress(host, 0);
  const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (fd < 0) ThrowErrno(errno, "socket for", host);
  socklen_t size = sizeof(address);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), size) != 0 || listen(fd, 128) != 0 ||
      getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) != 0) {
    const int error = errno;
    close(fd);
    throw Failure(ExitCode::kUsage,
                  "--store-host: cannot listen on " + host + ": " + std::strerror(error));
  }
  *port = ntohs(address.sin_port);
  return fd;
}

std::string LocalAddressTowards(const Address& peer) {
  sockaddr_in address = SocketAddress(peer.host, peer.port);
  const int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (fd < 0) ThrowErrno(errno, "socket for", peer.host);
  socklen_t size = sizeof(address);
  const bool ok = connect(fd, reinterpret_cast<sockaddr*>(&address), size) == 0 &&
                  getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size) == 0;
  const int error = errno;
  close(fd);
  if (!ok) {
    throw Failure(ExitCode::kPeerLost, "no route to " + peer.host + ": " + std::strerror(error));
  }
  return HostOf(address);
}

Interface FindInterface(const std::string& name_or_host) {
  in_addr wanted{};
  const bool is_host = inet_pton(AF_INET, name_or_host.c_str(), &wanted) == 1;
  ifaddrs* list = nullptr;
  if (getifaddrs(&list) != 0) ThrowErrno(errno, "interfaces for", name_or_host);
  Interface found;
  std::string known;
  for (const ifaddrs* one = list; one != nullptr && found.name.empty(); one = one->ifa_next) {
    if (one->ifa_addr == nullptr || one->ifa_addr->sa_family != AF_INET) continue;
    sockaddr_in own{};
    std::memcpy(&own, one->ifa_addr, sizeof(own));
    known += std::string(known.empty() ? "" : ", ") + one->ifa_name + " (" + HostOf(own) + ")";
    // All of the loopback network is the machine's own.
    const bool is_own = own.sin_addr.s_addr == wanted.s_addr ||
                        ((one->ifa_flags & IFF_LOOPBACK) != 0 && ntohl(wanted.s_addr) >> 24 == 127);
    if (is_host && is_own) found = {one->ifa_name, name_or_host};
    if (!is_host && name_or_host == one->ifa_name) found = {one->ifa_name, HostOf(own)};
  }
  freeifaddrs(list);
  if (found.name.empty()) {
    throw Failure(ExitCode::kUsage, "--interface: \"" + name_or_host +
                                        "\" is no IPv4 interface of this machine; there are " +
                                        known);
  }
  return found;
}

}  // namespace jenner::trainer
