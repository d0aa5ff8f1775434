// The only file that sees c10d. The Gloo backend is used directly, without a ProcessGroup around
// it.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include <cerrno>
#include <cstring>

#include "absl/strings/numbers.h"
#include "absl/strings/str_format.h"
#include "worker/trainer/collective.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;

// The parts of "ip:port" (IPv4).
struct Address {
  std::string host;
  uint16_t port = 0;
};

sockaddr_in SocketAddress(const std::string& host, uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  if (inet_pton(AF_INET, host.c_str(), &address.sin_addr) != 1) {
    throw Failure(ExitCode::kUsage, "expected an IPv4 address, found \"" + host + "\"");
  }
  return address;
}

Address ParseAddress(const std::string& text) {
  const size_t colon = text.rfind(':');
  uint32_t port = 0;
  if (colon == std::string::npos || !absl::SimpleAtoi(text.substr(colon + 1), &port) || port == 0 ||
      port > 65535) {
    throw Failure(ExitCode::kUsage, "--store: expected ip:port, found \"" + text + "\"");
  }
  Address address{text.substr(0, colon), static_cast<uint16_t>(port)};
  SocketAddress(address.host, address.port);
  return address;
}

// A socket that listens on a free port of `host`; sets *port.
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

// The address of the interface that packets to `peer` leave by. Sends nothing.
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
  char text[INET_ADDRSTRLEN] = {};
  inet_ntop(AF_INET, &address.sin_addr, text, sizeof(text));
  return text;
}

// What c10d throws is a lost peer or a time-out; only the first line says something to a person.
template <typename Call>
auto Guarded(const char* what, const Call& call) -> decltype(call()) {
  try {
    return call();
  } catch (const std::bad_alloc&) {
    throw;
  } catch (const Failure&) {
    throw;
  } catch (const std::exception& error) {
    const std::string message = error.what();
    throw Failure(ExitCode::kPeerLost,
                  std::string(what) + ": " + message.substr(0, message.find('\n')));
  }
}

class GlooCollective : public Collective {
 public:
  GlooCollective(c10::intrusive_ptr<c10d::Store> store,
                 c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo, std::chrono::milliseconds timeout)
      : store_(std::move(store)), gloo_(std::move(gloo)), timeout_(timeout) {}

  int rank() const override { return gloo_->getRank(); }
  int size() const override { return gloo_->getSize(); }

  std::unique_ptr<Work> StartSum(const at::Tensor& tensor) override {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::AllreduceOptions sum;
    sum.timeout = timeout_;
    return Guarded("all-reduce",
                   [&] { return std::make_unique<GlooWork>(gloo_->allreduce(tensors, sum)); });
  }

  void Broadcast(const at::Tensor& tensor) override {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::BroadcastOptions from_first;
    from_first.timeout = timeout_;
    Guarded("broadcast", [&] { return gloo_->broadcast(tensors, from_first)->wait(); });
  }

 private:
  class GlooWork : public Work {
   public:
    explicit GlooWork(c10::intrusive_ptr<c10d::Work> work) : work_(std::move(work)) {}
    void Wait() override {
      Guarded("all-reduce", [&] { return work_->wait(); });
    }

   private:
    c10::intrusive_ptr<c10d::Work> work_;
  };

  c10::intrusive_ptr<c10d::Store> store_;
  c10::intrusive_ptr<c10d::ProcessGroupGloo> gloo_;
  std::chrono::milliseconds timeout_;
};

c10::intrusive_ptr<c10d::TCPStore> OpenStore(const GlooOptions& options, std::string* host) {
  c10d::TCPStoreOptions store;
  store.timeout = options.rendezvous_timeout;
  store.numWorkers = static_cast<size_t>(options.size);
  store.waitWorkers = false;
  if (options.rank != 0) {
    const Address address = ParseAddress(options.store_address);
    if (host->empty()) *host = LocalAddressTowards(address);
    store.port = address.port;
    return Guarded("rendezvous",
                   [&] { return c10::make_intrusive<c10d::TCPStore>(address.host, store); });
  }
  uint16_t port = 0;
  store.isServer = true;
  store.masterListenFd = Listen(*host, &port);  // the store closes it
  store.port = port;
  auto opened =
      Guarded("rendezvous", [&] { return c10::make_intrusive<c10d::TCPStore>(*host, store); });
  if (options.on_listening) options.on_listening(absl::StrFormat("%s:%d", *host, port));
  return opened;
}

}  // namespace

std::unique_ptr<Collective> MakeGlooCollective(const GlooOptions& options) {
  std::string host = options.host;
  const auto store = OpenStore(options, &host);
  auto gloo_options = c10d::ProcessGroupGloo::Options::create(options.rendezvous_timeout);
  gloo_options->threads = 1;  // sums run in the order of their calls
  auto gloo = Guarded("rendezvous", [&] {
    gloo_options->devices.push_back(c10d::ProcessGroupGloo::createDeviceForHostname(host));
    auto prefixed = c10::make_intrusive<c10d::PrefixStore>("jenner", store);
    auto made = c10::make_intrusive<c10d::ProcessGroupGloo>(prefixed, options.rank, options.size,
                                                            gloo_options);
    return made;
  });
  auto collective = std::make_unique<GlooCollective>(store, std::move(gloo), options.timeout);
  collective->Barrier();
  return collective;
}

}  // namespace jenner::trainer
