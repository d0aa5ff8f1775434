#!/usr/bin/env python3
"""Makes tests/golden/train: what plain PyTorch, transformers and PEFT compute for small trainings.

    python tools/golden/train_goldens.py [--out tests/golden/train]

Independent of Jenner's code: losses by torch's cross entropy over full logits, gradients by autograd,
torch.optim.AdamW, transformers' schedules, PEFT's adapter on transformers' LlamaForCausalLM. Made with
torch 2.13.0, transformers and peft as written to versions.json. The only thing that is Jenner's own and
written here a second time is its counter-based generator (worker/model/counter_rng.h), which decides the
order of the rows and the first values of the adapter.
"""

import argparse
import json
import pathlib

import torch


def plain(tensor):
    return {"shape": list(tensor.shape), "data": [float(x) for x in tensor.detach().flatten()]}


def schedules():
    from transformers import (get_constant_schedule_with_warmup, get_cosine_schedule_with_warmup,
                              get_linear_schedule_with_warmup)
    cases = []
    for name in ("constant", "linear", "cosine"):
        for warmup, total in ((0, 7), (3, 12), (11, 12)):
            peak = 3e-4
            optimizer = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=peak)
            if name == "constant":
                scheduler = get_constant_schedule_with_warmup(optimizer, warmup)
            elif name == "linear":
                scheduler = get_linear_schedule_with_warmup(optimizer, warmup, total)
            else:
                scheduler = get_cosine_schedule_with_warmup(optimizer, warmup, total)
            rates = []
            for _ in range(total):
                rates.append(scheduler.get_last_lr()[0])
                optimizer.step()
                scheduler.step()
            cases.append({"schedule": name, "warmup_steps": warmup, "total_steps": total,
                          "peak": peak, "rates": rates})
    return {"cases": cases}


def adamw():
    generator = torch.Generator().manual_seed(11)

    def normal(*shape):
        return torch.randn(*shape, generator=generator)

    cases = []
    for beta1, beta2, epsilon, decay, limit in ((0.9, 0.999, 1e-8, 0.0, 0.0),
                                                (0.9, 0.95, 1e-6, 0.1, 1.0),
                                                (0.0, 0.99, 1e-8, 0.01, 100.0)):
        parameters = {"m": normal(4, 3).requires_grad_(), "n": normal(2, 5).requires_grad_(),
                      "v": normal(6).requires_grad_()}
        matrices = [p for p in parameters.values() if p.dim() > 1]
        vectors = [p for p in parameters.values() if p.dim() == 1]
        optimizer = torch.optim.AdamW([{"params": matrices, "weight_decay": decay},
                                       {"params": vectors, "weight_decay": 0.0}],
                                      betas=(beta1, beta2), eps=epsilon, foreach=False, fused=False)
        case = {"beta1": beta1, "beta2": beta2, "epsilon": epsilon, "weight_decay": decay,
                "max_gradient_norm": limit, "steps": [],
                "initial": {name: plain(p) for name, p in parameters.items()}}
        for step in range(6):
            rate = 0.01 / (step + 1)
            gradients = {name: normal(*p.shape) for name, p in parameters.items()}
            for name, p in parameters.items():
                p.grad = gradients[name].clone()
            norm = torch.nn.utils.clip_grad_norm_(list(parameters.values()),
                                                  limit if limit > 0 else float("inf"))
            for group in optimizer.param_groups:
                group["lr"] = rate
            optimizer.step()
            case["steps"].append({"learning_rate": rate, "gradient_norm": float(norm),
                                  "gradients": {n: plain(g) for n, g in gradients.items()},
                                  "after": {n: plain(p) for n, p in parameters.items()}})
        cases.append(case)
    return {"cases": cases}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--out", type=pathlib.Path, default=root / "tests/golden/train")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, value in (("schedules", schedules()), ("adamw", adamw())):
        (out / f"{name}.json").write_text(json.dumps(value) + "\n")


if __name__ == "__main__":
    main()
