// What is Gloo's own: addresses and interfaces. What every Collective promises is tested in
// collective_conformance_test.cc.
#include "worker/trainer/collective.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <fstream>
#include <future>
#include <iterator>
#include <set>
#include <sstream>
#include <thread>

#include "absl/strings/str_format.h"
#include "worker/trainer/failure.h"
#include "worker/trainer/network.h"

namespace jenner::trainer {
namespace {

GlooOptions Options(int rank) {
  GlooOptions options;
  options.rank = rank;
  options.size = 2;
  options.host = rank == 0 ? "127.0.0.1" : "";
  options.rendezvous_timeout = std::chrono::seconds(30);
  options.timeout = std::chrono::seconds(30);
  return options;
}

// Whether this process has a TCP socket bound to `host` (proc(5), /proc/net/tcp: the address as a
// hexadecimal number in the machine's byte order).
bool IsBoundTo(const std::string& host) {
  const std::string wanted = absl::StrFormat("%08X:", SocketAddress(host, 0).sin_addr.s_addr);
  std::set<std::string> own;  // inodes
  for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
    std::error_code gone;
    const std::string target = std::filesystem::read_symlink(entry.path(), gone).string();
    if (target.rfind("socket:[", 0) == 0) own.insert(target.substr(8, target.size() - 9));
  }
  std::ifstream table("/proc/self/net/tcp");
  for (std::string line; std::getline(table, line);) {
    std::istringstream words(line);
    std::vector<std::string> fields{std::istream_iterator<std::string>(words), {}};
    if (fields.size() > 9 && fields[1].rfind(wanted, 0) == 0 && own.contains(fields[9]))
      return true;
  }
  return false;
}

TEST(Collective, OneRankDoesNothing) {
  auto single = MakeSingleCollective();
  EXPECT_EQ(single->size(), 1);
  EXPECT_EQ(single->Sum(std::vector<int64_t>{4}), std::vector<int64_t>{4});
  EXPECT_EQ(single->Gather({4, 5}), (std::vector<int64_t>{4, 5}));
  int num_read = 0;
  single->Pass(
      0, [&] { return std::string(num_read++ == 0 ? "bytes" : ""); },
      [](std::string_view) { FAIL() << "to whom?"; });
  EXPECT_EQ(num_read, 2);
  at::Tensor tensor = at::ones({2});
  single->StartSum(tensor)->Wait();
  EXPECT_TRUE(at::equal(tensor, at::ones({2})));
}

// Rank 0's store listens on one address, the ranks' own connections on others, each that of its
// machine's network: here three addresses of the loopback interface.
TEST(Collective, RanksMeetOnTheInterfacesThatAreChosen) {
  for (const char* host : {"127.0.0.2", "127.0.0.3", "127.0.0.4"}) ASSERT_FALSE(IsBoundTo(host));
  GlooOptions first = Options(0);
  first.store_host = "127.0.0.2";
  first.host = FindInterface("127.0.0.3").host;
  GlooOptions second = Options(1);
  second.host = "127.0.0.4";
  std::promise<std::string> announced;
  first.on_listening = [&](const std::string& store) { announced.set_value(store); };
  std::thread peer([&] {
    second.store_address = announced.get_future().get();
    EXPECT_EQ(second.store_address.rfind("127.0.0.2:", 0), 0u) << second.store_address;
    const auto collective = MakeGlooCollective(second);
    EXPECT_EQ(collective->Gather({7}), (std::vector<int64_t>{6, 7}));
    collective->Barrier();
  });
  const auto collective = MakeGlooCollective(first);
  EXPECT_EQ(collective->Gather({6}), (std::vector<int64_t>{6, 7}));
  for (const char* host : {"127.0.0.2", "127.0.0.3", "127.0.0.4"}) {
    EXPECT_TRUE(IsBoundTo(host)) << host;
  }
  collective->Barrier();
  peer.join();
}

// Nobody can take the store's port between its choice and its use: it is bound once, by the rank
// that listens on it, before it is announced.
TEST(Collective, TheStoreListensWhenItIsAnnounced) {
  GlooOptions options = Options(0);
  options.rendezvous_timeout = std::chrono::milliseconds(300);
  bool is_listening = false;
  options.on_listening = [&](const std::string& store) {
    const Address address = ParseAddress("store", store);
    const sockaddr_in to = SocketAddress(address.host, address.port);
    const int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    is_listening = connect(fd, reinterpret_cast<const sockaddr*>(&to), sizeof(to)) == 0;
    close(fd);
  };
  EXPECT_THROW(MakeGlooCollective(options), Failure);  // nobody else comes
  EXPECT_TRUE(is_listening);
}

TEST(Collective, BadAddressesAreUsageFaults) {
  GlooOptions options = Options(1);
  for (const char* address : {"", "127.0.0.1", "127.0.0.1:0", "127.0.0.1:70000", "nowhere:80"}) {
    options.store_address = address;
    try {
      MakeGlooCollective(options);
      FAIL() << address;
    } catch (const Failure& failure) {
      EXPECT_EQ(failure.code(), core::ExitCode::kUsage) << failure.what();
    }
  }
}

TEST(Collective, NobodyAtTheStoreIsALostPeer) {
  GlooOptions options = Options(1);
  options.store_address = "127.0.0.1:1";
  options.rendezvous_timeout = std::chrono::milliseconds(200);
  try {
    MakeGlooCollective(options);
    FAIL();
  } catch (const Failure& failure) {
    EXPECT_EQ(failure.code(), core::ExitCode::kPeerLost) << failure.what();
  }
}

}  // namespace

}  // namespace jenner::trainer
