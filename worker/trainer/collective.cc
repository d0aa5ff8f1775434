#include "worker/trainer/collective.h"

#include <ATen/ATen.h>

#include <algorithm>

namespace jenner::trainer {
namespace {

class Done : public Work {
 public:
  void Wait() override {}
};

class SingleCollective : public Collective {
 public:
  int rank() const override { return 0; }
  int size() const override { return 1; }
  std::unique_ptr<Work> StartSum(const at::Tensor&) override { return std::make_unique<Done>(); }
  void Broadcast(const at::Tensor&, int) override {}
  using Collective::Broadcast;
};

at::Tensor ToTensor(const std::vector<int64_t>& values) { return at::tensor(values, at::kLong); }

std::vector<int64_t> ToVector(const at::Tensor& tensor) {
  const int64_t* data = tensor.const_data_ptr<int64_t>();
  return std::vector<int64_t>(data, data + tensor.numel());
}

}  // namespace

std::vector<int64_t> Collective::Sum(const std::vector<int64_t>& values) {
  const at::Tensor tensor = ToTensor(values);
  StartSum(tensor)->Wait();
  return ToVector(tensor);
}

double Collective::Sum(double value) {
  const at::Tensor tensor = at::full({1}, value, at::kDouble);
  StartSum(tensor)->Wait();
  return tensor.item<double>();
}

std::vector<int64_t> Collective::Broadcast(const std::vector<int64_t>& values) {
  const at::Tensor tensor = ToTensor(values);
  Broadcast(tensor);
  return ToVector(tensor);
}

std::vector<int64_t> Collective::Gather(const std::vector<int64_t>& own) {
  std::vector<int64_t> all(own.size() * static_cast<size_t>(size()));
  std::copy(own.begin(), own.end(), all.begin() + rank() * static_cast<int64_t>(own.size()));
  return Sum(all);
}

void Collective::Pass(int from, const std::function<std::string()>& read,
                      const std::function<void(std::string_view piece)>& take) {
  for (;;) {
    const std::string own = rank() == from ? read() : std::string();
    const int64_t size = Sum(std::vector<int64_t>{static_cast<int64_t>(own.size())})[0];
    if (size == 0) return;
    // All others give zeros. Words, for that is what every implementation can sum.
    std::vector<int64_t> words((static_cast<size_t>(size) + sizeof(int64_t) - 1) / sizeof(int64_t));
    std::copy(own.begin(), own.end(), reinterpret_cast<char*>(words.data()));
    words = Sum(words);
    if (rank() == from) continue;
    take({reinterpret_cast<const char*>(words.data()), static_cast<size_t>(size)});
  }
}

void Collective::Barrier() { Sum(std::vector<int64_t>{1}); }

std::unique_ptr<Collective> MakeSingleCollective() { return std::make_unique<SingleCollective>(); }

}  // namespace jenner::trainer
