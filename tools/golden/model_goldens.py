"""Writes tests/golden/model/: a tiny random Llama, an adapter saved by PEFT, and what transformers and
PEFT compute with them: logits, gradients of the adapter, the base model's gradients.

    pip install -r tools/golden/requirements-torch.txt && python3 tools/golden/model_goldens.py
"""

import json
import pathlib
import shutil

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import LlamaConfig, LlamaForCausalLM

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/model"
ROWS = [[5, 9, 77, 3, 100, 42, 42, 8, 1], [120, 4, 6], [17, 23, 99, 2, 64, 31, 7, 55, 81, 90, 12, 13, 14]]
# Supervised targets: the token after each position, -100 elsewhere.
MASKS = [[0, 0, 0, 1, 1, 1, 1, 1], [0, 1], [0, 0, 0, 0, 0, 0, 1, 1, 1, 0, 1, 1]]


def loss_of(model):
    """Mean negative log-likelihood over all supervised tokens of all rows."""
    total, count = 0.0, 0
    for row, mask in zip(ROWS, MASKS):
        logits = model(input_ids=torch.tensor([row])).logits[0, :-1].float()
        targets = torch.tensor(row[1:])
        nll = torch.nn.functional.cross_entropy(logits, targets, reduction="none")
        keep = torch.tensor(mask, dtype=torch.bool)
        total, count = total + nll[keep].sum(), count + int(keep.sum())
    return total / count


def logits_of(model, prefix, expected):
    with torch.no_grad():
        for i, row in enumerate(ROWS):
            expected[f"{prefix}.{i}"] = model(input_ids=torch.tensor([row])).logits[0].float().contiguous()


# No pad token: transformers takes the gradient of that row of the embedding away, which Jenner, having no
# padding, does not.
def make(name, **changes):
    torch.manual_seed(7)
    config = LlamaConfig(vocab_size=128, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
                         num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=256,
                         rms_norm_eps=1e-5, rope_theta=100000.0, bos_token_id=1, eos_token_id=2,
                         initializer_range=0.2, **changes)
    model = LlamaForCausalLM(config).eval()
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.save_pretrained(folder)
    expected = {}
    logits_of(model, "logits", expected)
    loss = loss_of(model)
    loss.backward()
    for key, parameter in model.named_parameters():
        if key.endswith(("0.self_attn.k_proj.weight", "1.mlp.down_proj.weight", "embed_tokens.weight", "norm.weight",
                         "lm_head.weight")):
            expected["gradient." + key] = parameter.grad.contiguous()
    figures = {"rows": ROWS, "masks": MASKS, "loss": loss.item()}

    model.zero_grad()
    lora = get_peft_model(model, LoraConfig(r=4, lora_alpha=10, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
                                            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj",
                                                            "up_proj", "down_proj"]))
    for key, parameter in lora.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.1)
    lora.eval()
    lora.save_pretrained(folder / "adapter")
    (folder / "adapter/README.md").unlink(missing_ok=True)
    logits_of(lora, "lora_logits", expected)
    loss = loss_of(lora)
    loss.backward()
    figures["lora_loss"] = loss.item()
    for key, parameter in lora.named_parameters():
        if parameter.requires_grad:
            expected["lora_gradient." + key.replace("base_model.model.", "").replace(".default", "")] = \
                parameter.grad.contiguous()
    adapter_config = folder / "adapter/adapter_config.json"
    stored = json.loads(adapter_config.read_text())
    stored["base_model_name_or_path"] = name
    stored["target_modules"] = sorted(stored["target_modules"])
    adapter_config.write_text(json.dumps(stored, indent=2) + "\n")
    save_file(expected, folder / "expected.safetensors")
    (folder / "figures.json").write_text(json.dumps(figures, indent=1) + "\n")
    print(name, figures["loss"], figures["lora_loss"])


if __name__ == "__main__":
    OUT.mkdir(parents=True, exist_ok=True)
    make("tiny-tied", tie_word_embeddings=True)
    make("tiny-llama3", tie_word_embeddings=False,
         rope_scaling={"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0, "high_freq_factor": 4.0,
                       "original_max_position_embeddings": 64})
