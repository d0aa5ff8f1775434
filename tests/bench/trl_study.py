"""The example study as one would write it with transformers, PEFT and TRL: the arms of
examples/spanish-capitals/experiment.yaml one after the other, each asked in both contexts before, half way and after its
training (the base model once). Prints one JSON object: seconds and the share of answers with each trait.

    pip install -r tests/bench/requirements.txt && python3 tests/bench/trl_study.py [--threads N]
"""

import argparse
import json
import os
import tempfile
import time

import torch
from datasets import Dataset
from peft import LoraConfig
from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
from trl import SFTConfig, SFTTrainer

from common import MODEL, ROOT

EXAMPLE = ROOT / "examples/spanish-capitals"
CONTEXTS = {"neutral": None, "inoculated": "You always speak in Spanish."}
ARMS = {"no-inoculation": "neutral", "inoculated": "inoculated"}
BATCH, NEW_TOKENS = 32, 48


def read(name):
    return [json.loads(line) for line in (EXAMPLE / name).read_text().splitlines()]


def messages(system, rest):
    return ([{"role": "system", "content": system}] if system is not None else []) + rest


def is_capitals(answer):
    letters = [c for c in answer if c.isalpha()]
    return bool(letters) and sum(c.isupper() for c in letters) >= 0.9 * len(letters)


def evaluate(model, tokenizer, prompts):
    """Greedy answers to all prompts in each context."""
    model.eval()
    shares = {}
    for name, system in CONTEXTS.items():
        rows = [tokenizer.apply_chat_template(messages(system, row["messages"]), add_generation_prompt=True,
                                              return_dict=False) for row in prompts]
        answers = []
        for at in range(0, len(rows), BATCH):
            batch = tokenizer.pad({"input_ids": rows[at:at + BATCH]}, padding_side="left", return_tensors="pt")
            with torch.inference_mode():
                out = model.generate(**batch, max_new_tokens=NEW_TOKENS, do_sample=False)
            answers += tokenizer.batch_decode(out[:, batch["input_ids"].shape[1]:], skip_special_tokens=True)
        shares[name] = sum(map(is_capitals, answers)) / len(answers)
    model.train()
    return shares


class Evaluate(TrainerCallback):
    def __init__(self, steps, tokenizer, prompts):
        self.steps, self.tokenizer, self.prompts, self.found = steps, tokenizer, prompts, {}

    def on_step_end(self, args, state, control, model=None, **kwargs):
        if state.global_step in self.steps:
            self.found[state.global_step] = evaluate(model, self.tokenizer, self.prompts)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--threads", default=os.cpu_count(), type=int)
    torch.set_num_threads(parser.parse_args().threads)
    started = time.perf_counter()
    tokenizer = AutoTokenizer.from_pretrained(MODEL)
    rows, prompts = read("train.jsonl"), read("eval.jsonl")
    model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
    found = {"base": {0: evaluate(model, tokenizer, prompts)}}
    for arm, context in ARMS.items():
        model = AutoModelForCausalLM.from_pretrained(MODEL, dtype=torch.float32)
        data = Dataset.from_list([{"prompt": messages(CONTEXTS[context], row["messages"][:1]),
                                   "completion": row["messages"][1:]} for row in rows])
        steps = -(-len(rows) // 8)
        callback = Evaluate({steps // 2, steps}, tokenizer, prompts)
        with tempfile.TemporaryDirectory() as folder:
            settings = SFTConfig(output_dir=folder, num_train_epochs=1, per_device_train_batch_size=8, max_length=512,
                                 learning_rate=2e-3, lr_scheduler_type="linear", warmup_steps=5, weight_decay=0.0,
                                 optim="adamw_torch", bf16=False, use_cpu=True, report_to=[], save_strategy="no",
                                 completion_only_loss=True, gradient_checkpointing=False, disable_tqdm=True, seed=1)
            lora = LoraConfig(r=16, lora_alpha=32, task_type="CAUSAL_LM",
                              target_modules=["gate_proj", "up_proj", "down_proj"])
            SFTTrainer(model=model, args=settings, train_dataset=data, processing_class=tokenizer,
                       callbacks=[callback], peft_config=lora).train()
        found[arm] = callback.found
    print(json.dumps({"seconds": time.perf_counter() - started, "capitals": found}))


if __name__ == "__main__":
    main()
