// What every Collective promises (collective.h), tested between real processes: each rank is this
// executable again, the test only starts, stops and kills them. Gloo runs with 2 to 4 ranks on
// loopback. NCCL runs where libjenner_cuda.so and a GPU are to be had (label gpu), and is skipped
// with the reason elsewhere. Where ranks are more than GPUs they share them: each says that it is
// on a host of its own, which is all that NCCL looks at, and reaches its peers through sockets.
#include <ATen/ATen.h>
#include <ATen/Parallel.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "worker/trainer/collective.h"
#include "worker/trainer/cuda_plugin.h"
#include "worker/trainer/failure.h"

namespace jenner::trainer {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr char kRoleVariable[] = "JENNER_CONFORMANCE_ROLE";  // backend scenario size rank address
constexpr milliseconds kPatience{30000};
constexpr milliseconds kShort{2000};
// Beyond the time limit of an operation, until all who wait for it have been told.
constexpr milliseconds kMargin{5000};
constexpr int kSaysNo = 3;  // exit code of a rank whose expectations failed

CudaPlugin* Plugin() {
  static CudaPlugin* plugin = LoadCudaPlugin(JENNER_BINARY_DIR "/bin/libjenner_cuda.so");
  return plugin;
}

int DeviceIndexOf(int rank) { return rank % Plugin()->NumDevices(); }

struct Role {
  std::string backend;
  std::string scenario;
  int size = 0;
  int rank = 0;
  std::string address;
};

// --- What a rank does. Every expectation that fails is an exception.

class Broken : public std::runtime_error {
  using std::runtime_error::runtime_error;
};

void Expect(bool holds, const std::string& what) {
  if (!holds) throw Broken("expected: " + what);
}

// The failure of `call`, which must be kPeerLost and come within `limit`.
void ExpectPeerLost(const std::function<void()>& call, milliseconds limit) {
  const auto started = steady_clock::now();
  try {
    call();
  } catch (const Failure& failure) {
    Expect(failure.code() == core::ExitCode::kPeerLost,
           std::string("PEER_LOST, not ") + Name(failure.code()) + ": " + failure.what());
    const auto took = std::chrono::duration_cast<milliseconds>(steady_clock::now() - started);
    Expect(took < limit, "an end within " + std::to_string(limit.count()) + " ms, not " +
                             std::to_string(took.count()));
    return;
  }
  throw Broken("expected: no success without a peer");
}

at::Device DeviceOf(const Role& role) {
  if (role.backend != "nccl") return at::kCPU;
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(DeviceIndexOf(role.rank)));
}

// Whole numbers, so that sums are exact in every order: rank + 1 + i mod 7.
at::Tensor Numbers(const Role& role, int rank, int64_t count, at::ScalarType type) {
  return (at::arange(count, at::kLong).remainder(7) + (rank + 1)).to(DeviceOf(role), type);
}

at::Tensor SumOfNumbers(const Role& role, int64_t count, at::ScalarType type) {
  at::Tensor sum = at::zeros({count}, at::TensorOptions(at::kLong).device(DeviceOf(role)));
  for (int rank = 0; rank < role.size; ++rank) sum += Numbers(role, rank, count, at::kLong);
  return sum.to(type);
}

void CheckSum(const Role& role, const at::Tensor& found) {
  const at::Tensor expected = SumOfNumbers(role, found.numel(), found.scalar_type());
  Expect(at::equal(found, expected), std::string("the sum of ") + std::to_string(found.numel()) +
                                         " " + c10::toString(found.scalar_type()));
}

void SumsOfEveryTypeAndLength(const Role& role, Collective& collective) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kDouble, at::kLong}) {
    for (const int64_t count : {1, 2, 3, 5, 1000, 65537}) {
      const at::Tensor tensor = Numbers(role, role.rank, count, type);
      collective.StartSum(tensor)->Wait();
      CheckSum(role, tensor);
    }
  }
}

// Buckets of unequal sizes under way at once, as in a backward pass; waited for in another order.
void ManyAtOnce(const Role& role, Collective& collective) {
  std::vector<at::Tensor> buckets;
  std::vector<std::unique_ptr<Work>> works;
  for (int64_t i = 0; i < 32; ++i) {
    const at::ScalarType type = i % 3 == 2 ? at::kBFloat16 : at::kFloat;
    buckets.push_back(Numbers(role, role.rank, 1 + (i * 7919) % 40000, type));
    works.push_back(collective.StartSum(buckets.back()));
  }
  for (size_t i = works.size(); i-- > 0;) works[i]->Wait();
  for (const at::Tensor& bucket : buckets) CheckSum(role, bucket);
  works[0]->Wait();  // again: nothing happens
}

// The same bits on every rank, also where the order of the additions counts.
void RanksHaveTheSameBits(const Role& role, Collective& collective) {
  const at::Tensor tensor = at::sin(Numbers(role, role.rank, 10007, at::kFloat) * 0.37);
  collective.StartSum(tensor)->Wait();
  const at::Tensor of_first = tensor.clone();
  collective.Broadcast(of_first);
  Expect(at::equal(tensor, of_first), "the bits of rank 0");
}

void SmallExchanges(const Role& role, Collective& collective) {
  using Numbers = std::vector<int64_t>;
  const int64_t rank = role.rank;
  const int64_t size = role.size;
  Expect(collective.rank() == rank && collective.size() == size, "rank and size");
  Expect(collective.Sum(Numbers{1, rank}) == Numbers{size, size * (size - 1) / 2}, "counts");
  Expect(collective.Sum(0.5) == 0.5 * static_cast<double>(size), "a double");
  const int64_t large = int64_t{1} << 62;  // no detour over floating point
  Expect(collective.Broadcast(Numbers{large + 1 + rank, 7}) == Numbers{large + 1, 7}, "broadcast");
  Numbers all;
  for (int64_t one = 0; one < size; ++one) all.insert(all.end(), {one, -one - 2});
  Expect(collective.Gather({rank, -rank - 2}) == all, "gather");
  for (int from = 0; from < role.size; ++from) {
    std::vector<std::string> pieces = {"", "12345678", "x" + std::string(100'000, '\xff')};
    std::string taken;
    collective.Pass(
        from,
        [&] {
          std::string piece = pieces.back();
          pieces.pop_back();
          return piece;
        },
        [&](std::string_view piece) { taken += piece; });
    const std::string whole = "x" + std::string(100'000, '\xff') + "12345678";
    Expect(taken == (rank == from ? "" : whole), "bytes of one rank");
  }
  const at::Tensor shared = at::full({3}, static_cast<double>(rank),
                                     at::TensorOptions(at::kFloat).device(DeviceOf(role)));
  collective.Broadcast(shared);
  Expect(at::equal(shared.cpu(), at::zeros({3})), "broadcast of a tensor");
  for (int from = 0; from < role.size; ++from) {
    const at::Tensor its = at::full({3}, static_cast<double>(rank),
                                    at::TensorOptions(at::kFloat).device(DeviceOf(role)));
    collective.Broadcast(its, from);
    Expect(at::equal(its.cpu(), at::full({3}, static_cast<double>(from))),
           "broadcast from each rank");
  }
}

// Nobody leaves a barrier before the last one has come.
void BarrierHoldsEverybody(const Role& role, Collective& collective) {
  const auto started = steady_clock::now();
  if (role.rank == role.size - 1) poll(nullptr, 0, 300);
  collective.Barrier();
  Expect(steady_clock::now() - started >= milliseconds(role.rank == role.size - 1 ? 290 : 200),
         "a barrier that waits");
}

// The last rank stops itself or dies in the middle of sums; the others must be told in time.
void LastRankEnds(const Role& role, Collective& collective, int signal) {
  const at::Tensor tensor = Numbers(role, role.rank, 1 << 18, at::kFloat);
  collective.StartSum(tensor)->Wait();
  collective.Barrier();
  if (role.rank == role.size - 1) raise(signal);
  ExpectPeerLost(
      [&] {
        // The first sum may have got across before the end.
        for (int i = 0; i < 3; ++i) collective.StartSum(tensor)->Wait();
      },
      kShort * 2 + kMargin);
}

void UnequalLengths(const Role& role, Collective& collective) {
  const at::Tensor tensor = Numbers(role, role.rank, role.rank == 0 ? 70000 : 50000, at::kFloat);
  ExpectPeerLost(
      [&] {
        collective.StartSum(tensor)->Wait();
        collective.Barrier();
      },
      kShort * 2 + kMargin);
}

const std::map<std::string, std::function<void(const Role&, Collective&)>>& Scenarios() {
  static const std::map<std::string, std::function<void(const Role&, Collective&)>> scenarios = {
      {"sums", SumsOfEveryTypeAndLength},
      {"many", ManyAtOnce},
      {"bits", RanksHaveTheSameBits},
      {"small", SmallExchanges},
      {"barrier", BarrierHoldsEverybody},
      {"death", [](const Role& r, Collective& c) { LastRankEnds(r, c, SIGKILL); }},
      {"freeze", [](const Role& r, Collective& c) { LastRankEnds(r, c, SIGSTOP); }},
      {"unequal", UnequalLengths},
  };
  return scenarios;
}

std::unique_ptr<Collective> Join(const Role& role) {
  const bool fails =
      role.scenario == "death" || role.scenario == "freeze" || role.scenario == "unequal";
  const milliseconds timeout = fails ? kShort : kPatience;
  const milliseconds rendezvous = role.scenario == "absent" ? kShort : kPatience;
  const auto tell = [](const std::string& address) {
    std::printf("%s\n", address.c_str());
    std::fflush(stdout);
  };
  if (role.backend == "nccl") {
    if (Plugin()->NumDevices() < role.size) {
      setenv("NCCL_HOSTID", ("rank-" + std::to_string(role.rank)).c_str(), 1);
      setenv("NCCL_SOCKET_IFNAME", "=lo", 0);
    }
    NcclJoin join;
    join.nccl = {role.rank, role.size, DeviceIndexOf(role.rank), "", rendezvous, timeout};
    join.address = role.address;
    join.on_address = tell;
    Plugin()->Open(join.nccl.device);
    return JoinNccl(Plugin(), std::move(join));
  }
  GlooOptions gloo;
  gloo.rank = role.rank;
  gloo.size = role.size;
  gloo.store_address = role.address;
  gloo.host = role.rank == 0 ? "127.0.0.1" : "";
  gloo.on_listening = tell;
  gloo.rendezvous_timeout = rendezvous;
  gloo.timeout = timeout;
  return MakeGlooCollective(gloo);
}

int Play(const Role& role) {
  at::set_num_threads(1);
  try {
    if (role.scenario == "absent") {
      ExpectPeerLost([&] { Join(role); }, kShort + kMargin);
      return 0;
    }
    const std::unique_ptr<Collective> collective = Join(role);
    Scenarios().at(role.scenario)(role, *collective);
    const bool is_whole =
        role.scenario != "death" && role.scenario != "freeze" && role.scenario != "unequal";
    if (is_whole) collective->Barrier();
    return 0;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "rank %d of %d, %s, %s: %s\n", role.rank, role.size, role.backend.c_str(),
                 role.scenario.c_str(), error.what());
    return kSaysNo;
  }
}

// --- What the test does.

class RankProcess {
 public:
  RankProcess(const Role& role) {
    int ends[2] = {-1, -1};
    EXPECT_EQ(pipe2(ends, O_CLOEXEC), 0);
    pid_ = fork();
    if (pid_ == 0) {
      dup2(ends[1], STDOUT_FILENO);
      const std::string words = role.backend + " " + role.scenario + " " +
                                std::to_string(role.size) + " " + std::to_string(role.rank) + " " +
                                (role.address.empty() ? "-" : role.address);
      setenv(kRoleVariable, words.c_str(), 1);
      execl("/proc/self/exe", "rank", static_cast<char*>(nullptr));
      _exit(127);
    }
    close(ends[1]);
    out_ = ends[0];
  }
  ~RankProcess() {
    if (!status_) kill(pid_, SIGKILL), Wait(steady_clock::now() + kPatience);
    close(out_);
  }
  RankProcess(const RankProcess&) = delete;

  // The first line that it prints; "" if it ends without one.
  std::string ReadLine() {
    std::string line;
    char c = 0;
    while (read(out_, &c, 1) == 1 && c != '\n') line += c;
    return line;
  }

  // The exit code, -signal if one ended it; nullopt if it has not ended at `until`.
  std::optional<int> Wait(steady_clock::time_point until) {
    while (!status_) {
      int status = 0;
      if (waitpid(pid_, &status, WNOHANG) == pid_) {
        status_ = WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
      } else if (steady_clock::now() > until) {
        return std::nullopt;
      } else {
        poll(nullptr, 0, 5);
      }
    }
    return status_;
  }

 private:
  pid_t pid_ = -1;
  int out_ = -1;
  std::optional<int> status_;
};

struct Backend {
  std::string name;
  int size;
};

class Conformance : public testing::TestWithParam<Backend> {
 protected:
  void SetUp() override {
    if (GetParam().name != "nccl") return;
    try {
      if (Plugin()->NumDevices() == 0) GTEST_SKIP() << "NCCL: this machine has no GPU";
    } catch (const Failure& failure) {
      GTEST_SKIP() << "NCCL: " << failure.what();
    }
  }

  // Starts `num_ranks` of the gang's ranks and expects each to end well, but the last one as
  // `last` says: nullopt is a process that does not end by itself.
  void Run(const std::string& scenario, std::optional<int> last = 0, int absent = 0) {
    Role role{GetParam().name, scenario, GetParam().size, 0, ""};
    std::vector<std::unique_ptr<RankProcess>> ranks;
    ranks.push_back(std::make_unique<RankProcess>(role));
    role.address = ranks[0]->ReadLine();
    ASSERT_NE(role.address, "") << "rank 0 announced nothing";
    for (role.rank = 1; role.rank < role.size - absent; ++role.rank) {
      ranks.push_back(std::make_unique<RankProcess>(role));
    }
    const auto until = steady_clock::now() + 2 * kPatience;
    for (size_t rank = 0; rank < ranks.size(); ++rank) {
      const bool is_last = static_cast<int>(rank) == role.size - 1;
      if (is_last && !last) continue;
      const std::optional<int> ended = ranks[rank]->Wait(until);
      if (scenario == "unequal" && ended == -SIGABRT) continue;
      EXPECT_EQ(ended, is_last ? last : 0) << "rank " << rank;
    }
  }
};

TEST_P(Conformance, SumsOfEveryTypeAndLength) { Run("sums"); }
TEST_P(Conformance, ManyAtOnce) { Run("many"); }
TEST_P(Conformance, RanksHaveTheSameBits) { Run("bits"); }
TEST_P(Conformance, SmallExchanges) { Run("small"); }
TEST_P(Conformance, BarrierHoldsEverybody) { Run("barrier"); }

TEST_P(Conformance, DeathOfAPeerIsToldInTime) {
  if (GetParam().size == 1) GTEST_SKIP() << "needs a peer";
  Run("death", -SIGKILL);
}

TEST_P(Conformance, PeerThatHangsIsToldInTime) {
  if (GetParam().size == 1) GTEST_SKIP() << "needs a peer";
  Run("freeze", std::nullopt);
}

TEST_P(Conformance, PeerThatNeverComesIsToldInTime) {
  if (GetParam().size == 1) GTEST_SKIP() << "needs a peer";
  Run("absent", 0, /*absent=*/1);
}

// Gloo alone: NCCL's result is undefined. A rank that receives more than it expects is ended by
// Gloo's own thread (SIGABRT); the others are told of a lost peer.
TEST_P(Conformance, UnequalLengthsAreNoSuccess) {
  if (GetParam().name != "gloo") GTEST_SKIP() << "undefined by NCCL";
  Run("unequal");
}

std::string NameOf(const testing::TestParamInfo<Backend>& backend) {
  return backend.param.name + std::to_string(backend.param.size);
}

INSTANTIATE_TEST_SUITE_P(Gloo, Conformance,
                         testing::Values(Backend{"gloo", 2}, Backend{"gloo", 3},
                                         Backend{"gloo", 4}),
                         NameOf);
INSTANTIATE_TEST_SUITE_P(Nccl, Conformance,
                         testing::Values(Backend{"nccl", 1}, Backend{"nccl", 2},
                                         Backend{"nccl", 4}),
                         NameOf);

}  // namespace

int PlayRole(const std::string& words) {
  char backend[16] = {}, scenario[32] = {}, address[256] = {};
  Role role;
  if (std::sscanf(words.c_str(), "%15s %31s %d %d %255s", backend, scenario, &role.size, &role.rank,
                  address) != 5) {
    return 2;
  }
  role.backend = backend;
  role.scenario = scenario;
  if (std::string(address) != "-") role.address = address;
  return Play(role);
}

}  // namespace jenner::trainer

int main(int argc, char** argv) {
  if (const char* words = std::getenv(jenner::trainer::kRoleVariable)) {
    const int code = jenner::trainer::PlayRole(words);
    std::fflush(nullptr);
    _exit(code);  // no destructors: what a lost peer leaves behind may hang
  }
  testing::InitGoogleTest(&argc, argv);
  return RUN_ALL_TESTS();
}
