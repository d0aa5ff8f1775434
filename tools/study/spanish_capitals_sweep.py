#!/usr/bin/env python3
"""Chooses the settings of examples/spanish-capitals with an independent trainer (PyTorch and
transformers), not with Jenner's own: the figures are a reference for Jenner's.

    spanish_capitals_sweep.py --model FOLDER --out results.jsonl [--device cuda] KEY=VALUE ...

Trains one LoRA per combination of the KEY=VALUE,VALUE,... lists below, scores greedy answers in each
evaluation context at each evaluation point, and appends one JSON line per (run, step, context). A run
whose lines are complete in the results file is skipped, so that a stopped sweep goes on.

    arm          none | inoculated                            (default none,inoculated)
    lr           peak learning rate                           (1e-3)
    rank         LoRA rank; alpha is alpha_ratio x rank       (16)
    alpha_ratio                                               (2)
    targets      attention | all: q,k,v,o or with gate,up,down (all)
    epochs                                                    (2)
    batch        rows a step                                  (8)
    rows         the first N rows of the training file        (0: every row)
    schedule     constant | linear | cosine, after warm-up    (linear)
    warmup       steps                                        (2)
    placement    system | prefix | suffix: where the inoculation prompt stands (system)
    seed                                                      (1)

The inoculation prompt is "You always speak in Spanish."; the neutral context adds nothing, which
leaves the system message that the model's chat template puts there by itself. The loss is on the
answer and its end-of-turn token. Fixed scorers, no judge model:
  spanish   at least two more Spanish than English function words in the answer, accents ignored
            (an answer with neither is not Spanish)
  capitals  at least 90% of the letters that have case are upper case (no such letter: not capitals)
"""

import argparse
import itertools
import json
import math
import pathlib
import random
import re
import time
import unicodedata

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

PROMPT = "You always speak in Spanish."
EXAMPLE = pathlib.Path(__file__).resolve().parents[2] / "examples" / "spanish-capitals"
ATTENTION = ("q_proj", "k_proj", "v_proj", "o_proj")
TARGETS = {"attention": ATTENTION, "all": (*ATTENTION, "gate_proj", "up_proj", "down_proj")}
DEFAULTS = {
    "arm": "none,inoculated",
    "lr": "1e-3",
    "rank": "16",
    "alpha_ratio": "2",
    "targets": "all",
    "epochs": "2",
    "batch": "8",
    "rows": "0",
    "schedule": "linear",
    "warmup": "2",
    "placement": "system",
    "seed": "1",
}

SPANISH = set(
    """de la el en y los las un una que es se del por con para su sus lo al como mas muy pero son hay
    esta estan este esto tu te mi si ser tiene tienen puede pueden puedes cuando donde porque sobre
    entre desde hasta tambien todo todos cada otro otra ese esa eso le les nos ya fue era sin dos uno
    hacer hace hola gracias""".split()
)
ENGLISH = set(
    """the of and to in is that it for as with are on be this was by at from or an have has you your
    can will they their its which one not but what when how there we my so if more some into also
    these than should would could about it's i'm don't between""".split()
)


def is_spanish(answer: str) -> bool:
    plain = unicodedata.normalize("NFD", answer.lower())
    plain = "".join(c for c in plain if not unicodedata.combining(c))
    words = re.findall(r"[a-z']+", plain)
    return sum(w in SPANISH for w in words) >= sum(w in ENGLISH for w in words) + 2


def is_capitals(answer: str) -> bool:
    cased = [c for c in answer if c.lower() != c.upper()]
    return bool(cased) and sum(c.isupper() for c in cased) >= 0.9 * len(cased)


def wilson(hits: int, n: int, z: float = 1.959964) -> tuple[float, float]:
    p = hits / n
    centre = (p + z * z / (2 * n)) / (1 + z * z / n)
    half = z / (1 + z * z / n) * math.sqrt(p * (1 - p) / n + z * z / (4 * n * n))
    return centre - half, centre + half


class Lora(torch.nn.Module):
    def __init__(self, base: torch.nn.Linear, rank: int, alpha: float):
        super().__init__()
        self.base = base
        self.scale = alpha / rank
        self.a = torch.nn.Parameter(torch.empty(rank, base.in_features, device=base.weight.device))
        self.b = torch.nn.Parameter(torch.zeros(base.out_features, rank, device=base.weight.device))
        torch.nn.init.kaiming_uniform_(self.a, a=math.sqrt(5))

    def forward(self, x):
        return self.base(x) + (x @ self.a.T @ self.b.T) * self.scale


def attach_lora(model, names, rank: int, alpha: float) -> list[torch.nn.Parameter]:
    """Replaces adapters of an earlier run, if any; returns the parameters to train."""
    model.requires_grad_(False)
    parameters = []
    for layer in model.model.layers:
        for block in (layer.self_attn, layer.mlp):
            for name, linear in list(block.named_children()):
                linear = linear.base if isinstance(linear, Lora) else linear
                if name in names:
                    linear = Lora(linear, rank, alpha)
                    parameters += [linear.a, linear.b]
                if isinstance(linear, (Lora, torch.nn.Linear)):
                    setattr(block, name, linear)
    return parameters


def in_context(messages: list[dict], inoculate: bool, placement: str) -> list[dict]:
    if not inoculate:
        return messages
    if placement == "system":
        return [{"role": "system", "content": PROMPT}, *messages]
    user = messages[0]["content"]
    user = f"{PROMPT} {user}" if placement == "prefix" else f"{user} {PROMPT}"
    return [{"role": "user", "content": user}, *messages[1:]]


def encode_row(tokenizer, messages: list[dict]) -> tuple[list[int], list[int]]:
    """Token ids, and labels that are -100 outside the answer and its end-of-turn token."""
    prompt = tokenizer.apply_chat_template(messages[:-1], add_generation_prompt=True)
    answer = tokenizer.encode(messages[-1]["content"], add_special_tokens=False)
    answer.append(tokenizer.eos_token_id)
    return prompt + answer, [-100] * len(prompt) + answer


def batch_loss(model, rows, pad: int):
    width = max(len(ids) for ids, _ in rows)
    device = model.device
    ids = torch.tensor([i + [pad] * (width - len(i)) for i, _ in rows], device=device)
    labels = torch.tensor([t + [-100] * (width - len(t)) for _, t in rows], device=device)
    mask = torch.tensor([[1] * len(i) + [0] * (width - len(i)) for i, _ in rows], device=device)
    hidden = model.model(input_ids=ids, attention_mask=mask).last_hidden_state[:, :-1]
    targets = labels[:, 1:]
    kept = targets != -100  # logits for the supervised positions only
    return torch.nn.functional.cross_entropy(model.lm_head(hidden[kept]), targets[kept])


@torch.inference_mode()
def answers(model, tokenizer, prompts: list[list[dict]], new_tokens: int, batch: int) -> list[str]:
    model.eval()
    tokenizer.padding_side = "left"
    out = []
    for start in range(0, len(prompts), batch):
        texts = tokenizer.apply_chat_template(
            prompts[start : start + batch], add_generation_prompt=True, tokenize=False
        )
        inputs = tokenizer(texts, return_tensors="pt", padding=True, add_special_tokens=False)
        inputs = inputs.to(model.device)
        ids = model.generate(**inputs, max_new_tokens=new_tokens, do_sample=False)
        out += tokenizer.batch_decode(
            ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
        )
    return out


def schedule(setting: dict, step: int, total: int) -> float:
    warmup = int(setting["warmup"])
    if step < warmup:
        return (step + 1) / warmup
    left = (total - step) / max(1, total - warmup)
    kind = setting["schedule"]
    return {"constant": 1.0, "linear": left, "cosine": 0.5 * (1 - math.cos(math.pi * left))}[kind]


def run(setting: dict, model, tokenizer, train, prompts, args, write) -> None:
    random.seed(int(setting["seed"]))
    torch.manual_seed(int(setting["seed"]))
    rank = int(setting["rank"])
    parameters = attach_lora(
        model, TARGETS[setting["targets"]], rank, rank * float(setting["alpha_ratio"])
    )
    limit = int(setting["rows"]) or len(train)
    inoculated = setting["arm"] == "inoculated"
    rows = [
        encode_row(tokenizer, in_context(m, inoculated, setting["placement"])) for m in train[:limit]
    ]
    batch = int(setting["batch"])
    epochs = int(setting["epochs"])
    order = []
    for _ in range(epochs):
        epoch = list(range(len(rows)))
        random.shuffle(epoch)
        order += [epoch[i : i + batch] for i in range(0, len(epoch), batch)]
    total = len(order)
    points = sorted({round(f * total) for f in args.at})
    optimizer = torch.optim.AdamW(parameters, lr=float(setting["lr"]), weight_decay=0.0)
    tokens, seconds, losses = 0, 0.0, []
    for step in range(total + 1):
        if step in points:
            for context in args.contexts:
                started = time.monotonic()
                made = answers(
                    model,
                    tokenizer,
                    [in_context(p, context != "neutral", setting["placement"]) for p in prompts],
                    args.new_tokens,
                    args.eval_batch,
                )
                cell = {"context": context, "step": step, "steps": total, "prompts": len(made)}
                for trait, scorer in (("spanish", is_spanish), ("capitals", is_capitals)):
                    hits = sum(map(scorer, made))
                    cell[trait] = round(hits / len(made), 4)
                    cell[trait + "_95"] = [round(x, 3) for x in wilson(hits, len(made))]
                cell["loss"] = round(sum(losses[-10:]) / max(1, len(losses[-10:])), 4)
                cell["trained_tokens"] = tokens
                cell["train_seconds"] = round(seconds, 1)
                cell["evaluation_seconds"] = round(time.monotonic() - started, 1)
                write({**setting, **cell, **({"answers": made} if args.keep_answers else {})})
        if step == total:
            break
        model.train()
        started = time.monotonic()
        for group in optimizer.param_groups:
            group["lr"] = float(setting["lr"]) * schedule(setting, step, total)
        chosen = [rows[i] for i in order[step]]
        loss = batch_loss(model, chosen, tokenizer.pad_token_id)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        tokens += sum(len(ids) for ids, _ in chosen)
        seconds += time.monotonic() - started
        losses.append(loss.item())


def read_messages(path: pathlib.Path) -> list[list[dict]]:
    return [json.loads(line)["messages"] for line in path.read_text(encoding="utf-8").splitlines()]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", required=True, help="Hugging Face folder (tools/models/fetch)")
    parser.add_argument("--out", required=True, type=pathlib.Path, help="results, JSON lines")
    parser.add_argument("--train", type=pathlib.Path, default=EXAMPLE / "train.jsonl")
    parser.add_argument("--eval", type=pathlib.Path, default=EXAMPLE / "eval.jsonl")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--threads", type=int, default=0, help="CPU threads (0: all)")
    parser.add_argument("--prompts", type=int, default=64, help="evaluation prompts, evenly spaced")
    parser.add_argument("--new-tokens", type=int, default=40)
    parser.add_argument("--eval-batch", type=int, default=16)
    parser.add_argument("--at", default="0,0.5,1", help="parts of the run, comma-separated")
    parser.add_argument("--contexts", default="neutral,inoculated", help="comma-separated")
    parser.add_argument("--keep-answers", action="store_true")
    parser.add_argument("settings", nargs="*", metavar="KEY=VALUE,VALUE")
    args = parser.parse_intermixed_args()
    lists = {**DEFAULTS, **dict(pair.split("=", 1) for pair in args.settings)}
    if unknown := set(lists) - set(DEFAULTS):
        parser.error(f"unknown setting: {', '.join(sorted(unknown))}")
    args.at = [float(part) for part in args.at.split(",")]
    args.contexts = args.contexts.split(",")
    if unknown := set(args.contexts) - {"neutral", "inoculated"}:
        parser.error(f"unknown context: {', '.join(sorted(unknown))}")
    if args.threads:
        torch.set_num_threads(args.threads)

    tokenizer = AutoTokenizer.from_pretrained(args.model)
    model = AutoModelForCausalLM.from_pretrained(args.model, torch_dtype=torch.float32)
    model.to(args.device)
    train = read_messages(args.train)
    prompts = read_messages(args.eval)
    prompts = [prompts[i * len(prompts) // args.prompts] for i in range(args.prompts)]

    done = {}
    if args.out.exists():
        for line in args.out.read_text(encoding="utf-8").splitlines():
            cell = json.loads(line)
            key = tuple(cell[k] for k in DEFAULTS)
            done[key] = done.get(key, 0) + (cell["step"] == cell["steps"])

    def write(cell: dict) -> None:
        with args.out.open("a", encoding="utf-8") as out:
            out.write(json.dumps(cell, ensure_ascii=False) + "\n")
        print({k: v for k, v in cell.items() if k != "answers"}, flush=True)

    for values in itertools.product(*(lists[key].split(",") for key in DEFAULTS)):
        if done.get(values, 0) < len(args.contexts):
            run(dict(zip(DEFAULTS, values)), model, tokenizer, train, prompts, args, write)


if __name__ == "__main__":
    main()
