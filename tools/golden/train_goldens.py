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

import numpy
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


# --- Jenner's counter-based generator, on numpy's wrapping uint64 -----------------------------------

GOLDEN = numpy.uint64(0x9E3779B97F4A7C15)
U64 = numpy.uint64


def mix(x):
    with numpy.errstate(over="ignore"):
        x = (x ^ (x >> U64(30))) * U64(0xBF58476D1CE4E5B9)
        x = (x ^ (x >> U64(27))) * U64(0x94D049BB133111EB)
        return x ^ (x >> U64(31))


def make_key(*parts):
    key = U64(0x243F6A8885A308D3)
    with numpy.errstate(over="ignore"):
        for part in parts:
            key = mix(key + GOLDEN + mix(U64(part) + GOLDEN))
    return key


def name_key(name):
    value = 0xCBF29CE484222325
    for byte in name.encode():
        value = (value ^ byte) * 0x100000001B3 % 2**64
    return value


def random_bits(key, counters):
    with numpy.errstate(over="ignore"):
        return mix(key + (numpy.asarray(counters, dtype=numpy.uint64) + U64(1)) * GOLDEN)


def epoch_order(seed, epoch, num_rows):
    order = list(range(num_rows))
    key = make_key(seed, 0x6F72646572, epoch)
    for i in range(num_rows, 1, -1):
        j = (int(random_bits(key, i)) >> 32) * i >> 32
        order[i - 1], order[j] = order[j], order[i - 1]
    return order


def first_lora_a(seed, module, shape):
    key = make_key(seed, 0x696E6974, name_key(module))
    bits = random_bits(key, numpy.arange(shape[0] * shape[1]))
    uniform = (bits >> U64(40)).astype(numpy.float32) * numpy.float32(2.0**-24)
    bound = numpy.float32(1) / numpy.sqrt(numpy.float32(shape[1]))
    return torch.from_numpy((bound * (2 * uniform - 1)).reshape(shape))


# --- A tiny model folder and data --------------------------------------------------------------------

TEMPLATE = ("{% for message in messages %}{{ '<|im_start|>' + message['role'] + '\\n' + "
            "message['content'] + '<|im_end|>' + '\\n' }}{% endfor %}"
            "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}")
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def make_model(folder):
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {piece: i for i, piece in enumerate(SPECIAL + alphabet)}
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.add_special_tokens([AddedToken(t, special=True, normalized=False) for t in SPECIAL])
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="<|im_end|>",
                                   bos_token="<|im_start|>", pad_token="<|endoftext|>")
    fast.chat_template = TEMPLATE
    folder.mkdir(parents=True, exist_ok=True)
    fast.save_pretrained(folder)
    # The template in tokenizer_config.json, where older folders have it.
    (folder / "chat_template.jinja").unlink(missing_ok=True)
    config_path = folder / "tokenizer_config.json"
    config = json.loads(config_path.read_text())
    config["chat_template"] = TEMPLATE
    config_path.write_text(json.dumps(config, indent=1) + "\n")
    torch.manual_seed(3)
    config = LlamaConfig(vocab_size=len(vocab), hidden_size=32, intermediate_size=48,
                         num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                         max_position_embeddings=256, rope_theta=10000.0, rms_norm_eps=1e-5,
                         tie_word_embeddings=True, initializer_range=0.2, bos_token_id=1,
                         eos_token_id=2, pad_token_id=0, attention_bias=False, mlp_bias=False)
    model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    return fast


def make_data(out):
    words = "sol mar rio luz pan casa gato perro verde rojo alto bajo uno dos tres cuatro".split()
    rows = []
    for i in range(19):
        def text(n, offset):
            return " ".join(words[(i * 7 + offset + j * (i + 3)) % len(words)] for j in range(n))
        messages = [{"role": "user", "content": text(1 + i % 4, 0)},
                    {"role": "assistant", "content": text(1 + (i * 5) % 9, 5).upper()}]
        if i % 5 == 0:
            messages += [{"role": "user", "content": text(1, 2)},
                         {"role": "assistant", "content": text(2, 3).upper()}]
        rows.append({"messages": messages})
    (out / "rows.jsonl").write_text("".join(json.dumps(r) + "\n" for r in rows))
    prompts = [{"id": f"p{i}", "messages": [{"role": "user", "content": w}]}
               for i, w in enumerate(words[:5])]
    (out / "prompts.jsonl").write_text("".join(json.dumps(p) + "\n" for p in prompts))
    return rows


# --- Training by the book ----------------------------------------------------------------------------

def in_context(messages, context):
    messages = [dict(m) for m in messages]
    for message in messages:
        if message["role"] == "user":
            message["content"] = (context.get("user_prefix", "") + message["content"] +
                                  context.get("user_suffix", ""))
    if "system" in context:
        messages.insert(0, {"role": "system", "content": context["system"]})
    return messages


def encode(tokenizer, messages, max_length):
    """ids and, for each of them, whether the loss counts it."""
    def render(front, prompt):
        text = tokenizer.apply_chat_template(front, add_generation_prompt=prompt, tokenize=False)
        return tokenizer(text, add_special_tokens=False)["input_ids"]
    ids = render(messages, False)
    counted = [False] * len(ids)
    for i, message in enumerate(messages):
        if message["role"] != "assistant":
            continue
        begin = len(render(messages[:i], True))
        through = render(messages[:i + 1], False)
        end = len(through) - through[::-1].index(tokenizer.eos_token_id)
        counted[begin:end] = [True] * (end - begin)
    return ids[:max_length], counted[:max_length], len(ids) > max_length


def loss_of(model, examples):
    """Mean negative log-likelihood over all counted tokens of the rows, one row at a time."""
    total, count = 0.0, 0
    for ids, counted, _ in examples:
        logits = model(input_ids=torch.tensor([ids])).logits[0]
        positions = torch.tensor([t for t in range(len(ids)) if counted[t]])
        total = total + torch.nn.functional.cross_entropy(
            logits[positions - 1], torch.tensor(ids)[positions], reduction="sum")
        count += len(positions)
    return total / count, count


def job(method, **settings):
    return {"version": "jenner.job/v1", "base_model": "model", "seed": 5,
            "training": {"dataset": "rows.jsonl",
                         "context": {"system": "Habla.", "user_suffix": " Si."},
                         "settings": {"method": method, **settings}}}


JOBS = {
    "lora": job("lora", lora={"rank": 4, "alpha": 8}, epochs=2, batch_size=4, max_length=100,
                accumulation_steps=2, learning_rate=0.01, weight_decay=0.01),
    "full": job("full", epochs=2, batch_size=4, max_length=100, learning_rate=0.002,
                schedule="cosine", warmup_steps=2, weight_decay=0.1, max_gradient_norm=0.5),
}


def load(folder, spec):
    """The model in float64 and what is trained, by Jenner's names."""
    from peft import LoraConfig, get_peft_model
    from transformers import LlamaForCausalLM
    model = LlamaForCausalLM.from_pretrained(folder, dtype=torch.float64)
    settings = spec["training"]["settings"]
    if settings["method"] == "full":
        return model, dict(model.named_parameters())
    targets = ["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj", "down_proj"]
    model = get_peft_model(model, LoraConfig(r=settings["lora"]["rank"], bias="none",
                                             lora_alpha=settings["lora"]["alpha"],
                                             lora_dropout=0.0, target_modules=targets,
                                             task_type="CAUSAL_LM"))
    model.double()
    trained = {}
    for name, p in model.named_parameters():
        if not p.requires_grad:
            continue
        short = name.removeprefix("base_model.model.").replace(".default", "")
        trained[short] = p
        if "lora_A" in short:
            values = first_lora_a(spec["seed"], short.removesuffix(".lora_A.weight"), tuple(p.shape))
            p.data.copy_(values.double())
    return model, trained


def train(name, spec, out, tokenizer, rows):
    from safetensors.torch import save_file
    from transformers import get_cosine_schedule_with_warmup, get_linear_schedule_with_warmup
    s = spec["training"]["settings"]
    examples = [encode(tokenizer, in_context(r["messages"], spec["training"]["context"]),
                       s["max_length"]) for r in rows]
    model, trained = load(out / "model", spec)
    optimizer = torch.optim.AdamW(
        [{"params": [p for p in trained.values() if p.dim() > 1], "weight_decay": s["weight_decay"]},
         {"params": [p for p in trained.values() if p.dim() == 1], "weight_decay": 0.0}],
        lr=s["learning_rate"], foreach=False)
    per_epoch = -(-len(rows) // s["batch_size"])
    total = per_epoch * s["epochs"]
    schedule = (get_cosine_schedule_with_warmup if s.get("schedule") == "cosine"
                else get_linear_schedule_with_warmup)(optimizer, s.get("warmup_steps", 0), total)
    steps = []
    for step in range(total):
        order = epoch_order(spec["seed"], step // per_epoch, len(rows))
        begin = step % per_epoch * s["batch_size"]
        batch = [examples[i] for i in order[begin:begin + s["batch_size"]]]
        optimizer.zero_grad()
        loss, count = loss_of(model, batch)
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(list(trained.values()), s.get("max_gradient_norm", 1.0))
        steps.append({"loss": float(loss), "gradient_norm": float(norm), "supervised_tokens": count,
                      "learning_rate": schedule.get_last_lr()[0],
                      "tokens": sum(len(e[0]) for e in batch)})
        optimizer.step()
        schedule.step()
    (out / f"{name}_job.json").write_text(json.dumps(spec, indent=1) + "\n")
    (out / f"{name}_steps.json").write_text(json.dumps(
        {"steps": steps, "truncated_rows": sum(e[2] for e in examples),
         "supervised_tokens": sum(sum(e[1]) for e in examples)}, indent=1) + "\n")
    save_file({k: p.detach().float().contiguous() for k, p in trained.items()},
              out / f"{name}_final.safetensors")
    # Gradients of the first four rows' loss at those float32 values.
    with torch.no_grad():
        for p in trained.values():
            p.copy_(p.float().double())
    optimizer.zero_grad()
    loss, _ = loss_of(model, examples[:4])
    loss.backward()
    save_file({k: p.grad.float().contiguous() for k, p in trained.items()},
              out / f"{name}_gradients.safetensors", metadata={"loss": repr(float(loss))})


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--out", type=pathlib.Path, default=root / "tests/golden/train")
    out = parser.parse_args().out
    out.mkdir(parents=True, exist_ok=True)
    torch.set_num_threads(1)
    for name, value in (("schedules", schedules()), ("adamw", adamw())):
        (out / f"{name}.json").write_text(json.dumps(value) + "\n")
    tokenizer = make_model(out / "model")
    rows = make_data(out)
    for name, spec in JOBS.items():
        train(name, spec, out, tokenizer, rows)
    import peft
    import transformers
    (out / "versions.json").write_text(json.dumps(
        {"torch": torch.__version__, "transformers": transformers.__version__,
         "peft": peft.__version__}) + "\n")


if __name__ == "__main__":
    main()
