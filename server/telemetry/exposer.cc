#include "server/telemetry/exposer.h"

#include <CivetServer.h>

#include <mutex>
#include <utility>

#include "absl/strings/str_format.h"

namespace jenner::telemetry {
namespace {

constexpr char kText[] = "text/plain; charset=utf-8";
constexpr char kExposition[] = "text/plain; version=0.0.4; charset=utf-8";

struct Page {
  int status = 200;
  const char* type = kText;
  std::string body;
};

class Handler final : public CivetHandler {
 public:
  explicit Handler(std::function<Page()> make) : make_(std::move(make)) {}

  bool handleGet(CivetServer*, mg_connection* connection) override {
    const Page page = make_();
    mg_printf(connection, "HTTP/1.1 %d %s\r\nContent-Type: %s\r\nContent-Length: %zu\r\n\r\n",
              page.status, mg_get_response_code_text(connection, page.status), page.type,
              page.body.size());
    mg_write(connection, page.body.data(), page.body.size());
    return true;
  }

 private:
  const std::function<Page()> make_;
};

}  // namespace

struct Exposer::Impl {
  Impl(const std::string& address, const Metrics& metrics)
      : show_metrics([&metrics] {
          return Page{200, kExposition, metrics.Text()};
        }),
        show_health([] {
          return Page{200, kText, "ok\n"};
        }),
        show_ready([this] { return AskReady(); }),
        server({"listening_ports", address, "num_threads", "4"}) {
    server.addHandler("/metrics$", show_metrics);
    server.addHandler("/healthz$", show_health);
    server.addHandler("/readyz$", show_ready);
  }
  // No handler runs once the server is closed.
  ~Impl() { server.close(); }

  Page AskReady() {
    const std::lock_guard<std::mutex> lock(mutex);
    const absl::Status status = ready ? ready() : absl::UnavailableError("starting");
    if (status.ok()) return {200, kText, "ready\n"};
    return {503, kText, absl::StrFormat("not ready: %s\n", status.message())};
  }

  std::mutex mutex;  // held while `ready` runs, so that SetReady waits for its end
  Ready ready;
  Handler show_metrics;
  Handler show_health;
  Handler show_ready;
  CivetServer server;
};

Exposer::Exposer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

Exposer::~Exposer() = default;

int Exposer::port() const {
  const std::vector<int> ports = impl_->server.getListeningPorts();
  return ports.empty() ? 0 : ports.front();
}

void Exposer::SetReady(Ready ready) {
  const std::lock_guard<std::mutex> lock(impl_->mutex);
  impl_->ready = std::move(ready);
}

absl::StatusOr<std::unique_ptr<Exposer>> Exposer::Start(const std::string& address,
                                                        const Metrics& metrics) {
  try {
    return std::unique_ptr<Exposer>(new Exposer(std::make_unique<Impl>(address, metrics)));
  } catch (const CivetException&) {
    return absl::FailedPreconditionError(absl::StrFormat(
        "metrics cannot be served at %s: the port is taken or the address is not of this machine",
        address));
  }
}

}  // namespace jenner::telemetry
