// Collective: what the ranks of a gang do together. Three implementations: a world of one, Gloo
// over TCP (gloo_collective.cc), and NCCL between GPUs (worker/cuda, a plugin). What they promise
// in common is tested in collective_conformance_test.cc. Every rank makes the same calls in the
// same order from one thread. A peer that goes away, or does not answer in time, makes the waiting
// call throw Failure(kPeerLost).
#ifndef JENNER_WORKER_TRAINER_COLLECTIVE_H_
#define JENNER_WORKER_TRAINER_COLLECTIVE_H_

#include <ATen/core/Tensor.h>

#include <chrono>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace jenner::trainer {

// A started operation. Wait() returns once the tensor holds the result.
class Work {
 public:
  virtual ~Work() = default;
  virtual void Wait() = 0;
};

class Collective {
 public:
  virtual ~Collective() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Starts the sum of `tensor` (contiguous, of one shape and dtype everywhere, else anything can
  // happen) over all ranks, in place. It must not be touched before Wait() and must outlive it.
  virtual std::unique_ptr<Work> StartSum(const at::Tensor& tensor) = 0;
  // Everybody's `tensor`, contiguous, becomes that of rank `from`.
  virtual void Broadcast(const at::Tensor& tensor, int from) = 0;
  void Broadcast(const at::Tensor& tensor) { Broadcast(tensor, 0); }

  std::vector<int64_t> Sum(const std::vector<int64_t>& values);
  double Sum(double value);
  std::vector<int64_t> Broadcast(const std::vector<int64_t>& values);
  // What every rank gives, rank after rank; as many numbers of each.
  std::vector<int64_t> Gather(const std::vector<int64_t>& own);
  // Gives all ranks what rank `from` has, in pieces: there `read` is called until it returns ""
  // (and may return at most 1 MiB), on every other rank `take` is called with each piece.
  void Pass(int from, const std::function<std::string()>& read,
            const std::function<void(std::string_view piece)>& take);
  // Returns when every rank has come here.
  void Barrier();
};

std::unique_ptr<Collective> MakeSingleCollective();

struct GlooOptions {
  int rank = 0;
  int size = 1;
  std::string store_address;  // "ip:port" of rank 0; ranks above 0
  // The IPv4 address at which the other ranks reach this one; "" (ranks above 0): that of the
  // interface towards rank 0.
  std::string host = "127.0.0.1";
  std::string store_host;  // rank 0: where its store listens; "": on `host`
  std::function<void(const std::string&)>
      on_listening;  // rank 0: "ip:port", before the others come
  std::chrono::milliseconds rendezvous_timeout = std::chrono::seconds(300);
  std::chrono::milliseconds timeout = std::chrono::seconds(600);  // of one operation
};

// Blocks until all ranks are there. Throws Failure: kPeerLost, kUsage for a bad address.
std::unique_ptr<Collective> MakeGlooCollective(const GlooOptions& options);

}  // namespace jenner::trainer

#endif  // JENNER_WORKER_TRAINER_COLLECTIVE_H_
