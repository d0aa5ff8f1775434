"""Writes tests/golden/model/: a tiny random model of each family, an adapter saved by PEFT, and what
transformers and PEFT compute with them: logits, gradients of the adapter and of the base model, greedy
continuations with the adapter and without.

    pip install -r tools/golden/requirements-torch.txt && python3 tools/golden/model_goldens.py [NAME ...]
"""

import json
import pathlib
import shutil
import sys

import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import save_file
from transformers import (
    Gemma2Config,
    Gemma2ForCausalLM,
    Gemma3ForCausalLM,
    Gemma3TextConfig,
    GemmaConfig,
    GemmaForCausalLM,
    LlamaConfig,
    LlamaForCausalLM,
    MistralConfig,
    MistralForCausalLM,
    Qwen2Config,
    Qwen2ForCausalLM,
    Qwen3Config,
    Qwen3ForCausalLM,
)

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


def continuations(model):
    """24 greedy tokens after each row, whatever they are, by whole forward passes."""
    out = []
    with torch.no_grad():
        for row in ROWS:
            ids = list(row)
            for _ in range(24):
                ids.append(int(model(input_ids=torch.tensor([ids]), use_cache=False).logits[0, -1].argmax()))
            out.append(ids[len(row):])
    return out


# No pad token: transformers takes the gradient of that row of the embedding away, which Jenner, having no
# padding, does not.
def make(name, config_class=LlamaConfig, model_class=LlamaForCausalLM, stored=torch.float32, varied=True,
         lora=None, **changes):
    """`varied`: norms and biases are drawn, too; else they are what a new model has (1 or 0). `lora`: what the
    adapter has besides its rank of 4."""
    torch.manual_seed(7)
    settings = {"vocab_size": 128, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2,
                "num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 256,
                "rms_norm_eps": 1e-5, "rope_theta": 100000.0, "bos_token_id": 1, "eos_token_id": 2,
                "pad_token_id": None, "initializer_range": 0.2} | changes
    # Eager: the one implementation that all families share, caps of scores included.
    model = model_class(config_class(attn_implementation="eager", **settings)).eval()
    if varied:
        for parameter in model.parameters():
            if parameter.dim() == 1:
                torch.nn.init.normal_(parameter, mean=parameter.mean().item(), std=0.3)
    folder = OUT / name
    shutil.rmtree(folder, ignore_errors=True)
    model.to(stored).save_pretrained(folder, max_shard_size="5GB" if stored == torch.float32 else "24KB")
    # Read again: the rotations' frequencies, which are not stored, were rounded along with the weights.
    model = model_class.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    expected = {}
    logits_of(model, "logits", expected)
    loss = loss_of(model)
    loss.backward()
    for key, parameter in model.named_parameters():
        if key.endswith(("0.self_attn.k_proj.weight", "1.mlp.down_proj.weight", "embed_tokens.weight", "norm.weight",
                         "lm_head.weight", ".bias")):
            expected["gradient." + key] = parameter.grad.contiguous()
    figures = {"rows": ROWS, "masks": MASKS, "loss": loss.item(), "greedy": continuations(model)}

    model.zero_grad()
    lora = get_peft_model(model, LoraConfig(**(lora or {}), r=4, lora_alpha=10, lora_dropout=0.0, bias="none", task_type="CAUSAL_LM",
                                            target_modules=["q_proj", "k_proj", "v_proj", "o_proj", "gate_proj",
                                                            "up_proj", "down_proj"]))
    for key, parameter in lora.named_parameters():
        if "lora_B" in key:
            torch.nn.init.normal_(parameter, std=0.1)
        if "magnitude" in key:
            parameter.data *= 1 + 0.3 * torch.randn(parameter.shape)
    lora.eval()
    lora.save_pretrained(folder / "adapter")
    (folder / "adapter/README.md").unlink(missing_ok=True)
    logits_of(lora, "lora_logits", expected)
    loss = loss_of(lora)
    loss.backward()
    figures["lora_loss"] = loss.item()
    figures["lora_greedy"] = continuations(lora)
    for key, parameter in lora.named_parameters():
        if parameter.requires_grad:
            expected["lora_gradient." + key.replace("base_model.model.", "").replace(".default", "")
                     .replace("magnitude_vector.weight", "magnitude_vector")] = parameter.grad.contiguous()
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
    makers = {
        "tiny-tied": {"varied": False, "tie_word_embeddings": True},
        "tiny-llama3": {"varied": False, "tie_word_embeddings": False,
                        "rope_scaling": {"rope_type": "llama3", "factor": 8.0, "low_freq_factor": 1.0,
                                         "high_freq_factor": 4.0, "original_max_position_embeddings": 64}},
        "tiny-mistral": {"config_class": MistralConfig, "model_class": MistralForCausalLM,
                         "tie_word_embeddings": False, "sliding_window": 6},
        "tiny-qwen2": {"config_class": Qwen2Config, "model_class": Qwen2ForCausalLM, "tie_word_embeddings": True,
                       "use_sliding_window": True, "sliding_window": 5, "max_window_layers": 1},
        "tiny-qwen3": {"config_class": Qwen3Config, "model_class": Qwen3ForCausalLM, "tie_word_embeddings": True,
                       "head_dim": 16, "stored": torch.bfloat16},
        "tiny-gemma": {"config_class": GemmaConfig, "model_class": GemmaForCausalLM, "head_dim": 16,
                       "num_key_value_heads": 1},
        "tiny-gemma2": {"config_class": Gemma2Config, "model_class": Gemma2ForCausalLM, "head_dim": 16,
                        "query_pre_attn_scalar": 12, "sliding_window": 5, "attn_logit_softcapping": 2.0,
                        "final_logit_softcapping": 3.0},
        "tiny-gemma3": {"config_class": Gemma3TextConfig, "model_class": Gemma3ForCausalLM, "head_dim": 16,
                        "num_hidden_layers": 3, "query_pre_attn_scalar": 20, "sliding_window": 5,
                        "layer_types": ["sliding_attention", "full_attention", "sliding_attention"],
                        "rope_local_base_freq": 100.0, "rope_scaling": {"rope_type": "linear", "factor": 8.0},
                        "stored": torch.float16},
        # An adapter with everything that PEFT can say of one and Jenner computes; biases, too.
        "tiny-adapter": {"config_class": Qwen2Config, "model_class": Qwen2ForCausalLM, "tie_word_embeddings": False,
                         "num_hidden_layers": 3,
                         "lora": {"use_dora": True, "use_rslora": True, "layers_to_transform": [0, 2],
                                  "rank_pattern": {"k_proj": 2, "layers.2.mlp.down_proj": 6},
                                  "alpha_pattern": {"layers\\.0\\..*_proj": 3.0}}},
    }
    for name in sys.argv[1:] or makers:
        make(name, **makers[name])
