// The only file that sees c10d. The Gloo backend is used directly, without a ProcessGroup around
// it.
#include <torch/csrc/distributed/c10d/PrefixStore.hpp>
#include <torch/csrc/distributed/c10d/ProcessGroupGloo.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "absl/strings/str_format.h"
#include "worker/trainer/collective.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/network.h"

namespace jenner::trainer {
namespace {

using core::ExitCode;

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

  using Collective::Broadcast;
  void Broadcast(const at::Tensor& tensor, int from) override {
    std::vector<at::Tensor> tensors = {tensor};
    c10d::BroadcastOptions options;
    options.rootRank = from;
    options.timeout = timeout_;
    Guarded("broadcast", [&] { return gloo_->broadcast(tensors, options)->wait(); });
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

// Sets *host to the address that this rank listens on.
c10::intrusive_ptr<c10d::TCPStore> OpenStore(const GlooOptions& options, std::string* host) {
  c10d::TCPStoreOptions store;
  store.timeout = options.rendezvous_timeout;
  store.numWorkers = static_cast<size_t>(options.size);
  store.waitWorkers = false;
  if (options.rank != 0) {
    const Address address = ParseAddress("--store", options.store_address);
    if (host->empty()) *host = LocalAddressTowards(address);
    store.port = address.port;
    return Guarded("rendezvous",
                   [&] { return c10::make_intrusive<c10d::TCPStore>(address.host, store); });
  }
  const std::string store_host = options.store_host.empty() ? *host : options.store_host;
  uint16_t port = 0;
  store.isServer = true;
  store.masterListenFd = Listen(store_host, &port);  // the store closes it
  store.port = port;
  auto opened =
      Guarded("rendezvous", [&] { return c10::make_intrusive<c10d::TCPStore>(store_host, store); });
  if (options.on_listening) options.on_listening(absl::StrFormat("%s:%d", store_host, port));
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
