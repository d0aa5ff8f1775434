"""Compares logits on the real example model: Jenner against transformers, and an adapter that
jenner-trainer has just written against the same adapter loaded by PEFT. Prints the largest absolute
differences as JSON; exit status 1 above 1e-4.

    pip install -r tools/golden/requirements-torch.txt
    python3 tools/golden/reference_check.py [BIN_DIR]        default: build/dev/bin
"""

import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import torch
from peft import PeftModel
from transformers import AutoModelForCausalLM, AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2]
CACHE = pathlib.Path(os.environ.get("JENNER_CACHE") or pathlib.Path.home() / ".cache/jenner")
NAME = "smollm2-135m-instruct"
MODEL = CACHE / "models" / NAME
TOLERANCE = 1e-4


def rows_of(tokenizer):
    lines = (ROOT / "examples/spanish-capitals/train.jsonl").read_text().splitlines()[:6]
    rows = [tokenizer.apply_chat_template(json.loads(line)["messages"], return_dict=False) for line in lines]
    return rows + [[1], list(range(1000, 1400))]


def logits_of_jenner(binary, rows, vocab, adapter=""):
    question = json.dumps({"model": str(MODEL), "adapter": str(adapter), "rows": rows})
    out = subprocess.run([binary], input=question.encode(), stdout=subprocess.PIPE, check=True).stdout
    flat = numpy.frombuffer(out, dtype=numpy.float32).reshape(-1, vocab)
    return numpy.split(flat, numpy.cumsum([len(row) for row in rows])[:-1])


def largest_difference(model, rows, ours):
    """Over all rows, positions and ids, and how often the arg-max agrees."""
    largest, agreeing, total = 0.0, 0, 0
    with torch.no_grad():
        for row, mine in zip(rows, ours):
            theirs = model(input_ids=torch.tensor([row])).logits[0].float().numpy()
            largest = max(largest, float(numpy.abs(theirs - mine).max()))
            agreeing += int((theirs.argmax(-1) == mine.argmax(-1)).sum())
            total += len(row)
    return {"largest_difference": largest, "argmax_agrees": f"{agreeing} of {total}"}


def train_adapter(trainer, folder):
    shutil.copy(ROOT / "examples/spanish-capitals/train.jsonl", folder)
    job = {
        "version": "jenner.job/v1", "base_model": NAME, "dtype": "float32", "seed": 1, "ranks": 1,
        "training": {"dataset": "train.jsonl", "context": {"system": "You always speak in Spanish."},
                     "settings": {"method": "lora", "lora": {"rank": 16, "alpha": 32}, "max_steps": 3,
                                  "batch_size": 4, "learning_rate": 1e-3}},
    }
    (folder / "job.json").write_text(json.dumps(job))
    subprocess.run([trainer, "--spec", folder / "job.json", "--models-dir", MODEL.parent, "--data-dir", folder,
                    "--out", folder / "out", "--threads", str(os.cpu_count())], check=True,
                   stdout=subprocess.DEVNULL)
    return folder / "out/adapter"


def main():
    binaries = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "build/dev/bin")
    model = AutoModelForCausalLM.from_pretrained(MODEL, torch_dtype=torch.float32).eval()
    rows = rows_of(AutoTokenizer.from_pretrained(MODEL))
    vocab = model.config.vocab_size
    report = {"base": largest_difference(model, rows, logits_of_jenner(binaries / "model_logits", rows, vocab))}
    with tempfile.TemporaryDirectory() as name:
        adapter = train_adapter(binaries / "jenner-trainer", pathlib.Path(name))
        ours = logits_of_jenner(binaries / "model_logits", rows, vocab, adapter)
        base_again = largest_difference(model, rows, ours)
        report["adapter"] = largest_difference(PeftModel.from_pretrained(model, adapter).eval(), rows, ours)
        # The adapter does something: else equality would prove nothing.
        report["adapter"]["moves_logits_by"] = base_again["largest_difference"]
    print(json.dumps(report, indent=1))
    is_good = all(one["largest_difference"] <= TOLERANCE for one in report.values())
    return 0 if is_good and report["adapter"]["moves_logits_by"] > 0.1 else 1


if __name__ == "__main__":
    sys.exit(main())
