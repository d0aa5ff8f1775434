#include "worker/model/layer_checkpoint.h"

#include <ATen/ATen.h>
#include <ATen/core/grad_mode.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

namespace jenner::model {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct Layer : torch::CustomClassHolder {
  std::function<at::Tensor(const at::Tensor&)> apply;
};
using LayerPtr = c10::intrusive_ptr<Layer>;

class Checkpoint : public torch::autograd::Function<Checkpoint> {
 public:
  // `grounds` requires gradients: without it autograd would see nothing to do in the first layer,
  // whose input is frozen and whose parameters it does not see.
  static at::Tensor forward(AutogradContext* context, const at::Tensor& hidden,
                            const at::Tensor& /*grounds*/, const LayerPtr& layer) {
    context->save_for_backward({hidden});
    context->saved_data["layer"] = c10::IValue::make_capsule(layer);
    return layer->apply(hidden);
  }

  static variable_list backward(AutogradContext* context, variable_list upstream) {
    const auto layer =
        c10::static_intrusive_pointer_cast<Layer>(context->saved_data["layer"].toCapsule());
    const at::AutoGradMode enabled(true);
    at::Tensor hidden = context->get_saved_variables()[0].detach();
    hidden.set_requires_grad(context->needs_input_grad(0));
    torch::autograd::backward({layer->apply(hidden)}, {upstream[0]});
    return {hidden.grad(), at::Tensor(), at::Tensor()};
  }
};

}  // namespace

at::Tensor ApplyCheckpointed(std::function<at::Tensor(const at::Tensor&)> layer,
                             const at::Tensor& hidden) {
  auto kept = c10::make_intrusive<Layer>();
  kept->apply = std::move(layer);
  const at::Tensor grounds = at::zeros({}).set_requires_grad(true);
  return Checkpoint::apply(hidden, grounds, kept);
}

}  // namespace jenner::model
