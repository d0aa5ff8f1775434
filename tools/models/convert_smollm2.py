#!/usr/bin/env python3
"""Converts SmolLM2-135M-Instruct from GGUF into a Hugging Face folder in float32.

    convert_smollm2.py MODEL.gguf FOLDER

FOLDER must exist. The same input gives the same bytes: fetch compares them with a committed list of
SHA-256. Run by tools/models/fetch; its imports are pinned in requirements.txt.
"""

import json
import pathlib
import sys

import numpy as np
from gguf import GGUFReader
from gguf.quants import dequantize
from safetensors.numpy import save_file

CONTROL_TOKEN = 3  # GGUF's token type of special tokens

# GGUF name to Hugging Face name, inside one layer.
LAYER_TENSORS = {
    "attn_norm": "input_layernorm",
    "attn_q": "self_attn.q_proj",
    "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj",
    "attn_output": "self_attn.o_proj",
    "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj",
    "ffn_up": "mlp.up_proj",
    "ffn_down": "mlp.down_proj",
}


def hugging_face_name(gguf_name: str) -> str:
    if gguf_name == "token_embd.weight":  # also the output matrix: the two are tied
        return "model.embed_tokens.weight"
    if gguf_name == "output_norm.weight":
        return "model.norm.weight"
    _, layer, tensor, _ = gguf_name.split(".")
    return f"model.layers.{layer}.{LAYER_TENSORS[tensor]}.weight"


def unpermute(weight: np.ndarray, heads: int) -> np.ndarray:
    """Rows from llama.cpp's rope order (pairs interleaved) to Hugging Face's (halves)."""
    rows, columns = weight.shape
    return (
        weight.reshape(heads, rows // heads // 2, 2, columns)
        .swapaxes(1, 2)
        .reshape(rows, columns)
    )


def read_tensors(reader: GGUFReader, heads: int, key_value_heads: int) -> dict[str, np.ndarray]:
    tensors = {}
    for tensor in reader.tensors:
        weight = dequantize(tensor.data, tensor.tensor_type).astype(np.float32, copy=False)
        if ".attn_q." in tensor.name:
            weight = unpermute(weight, heads)
        elif ".attn_k." in tensor.name:
            weight = unpermute(weight, key_value_heads)
        tensors[hugging_face_name(tensor.name)] = np.ascontiguousarray(weight)
    return tensors


def special_token(index: int, content: str) -> dict:
    return {
        "id": index,
        "content": content,
        "single_word": False,
        "lstrip": False,
        "rstrip": False,
        "normalized": False,
        "special": True,
    }


def tokenizer(tokens: list[str], merges: list[str], special: list[dict]) -> dict:
    return {
        "version": "1.0",
        "truncation": None,
        "padding": None,
        "added_tokens": special,
        "normalizer": None,
        "pre_tokenizer": {
            "type": "Sequence",
            "pretokenizers": [
                {"type": "Digits", "individual_digits": True},
                {
                    "type": "ByteLevel",
                    "add_prefix_space": False,
                    "trim_offsets": True,
                    "use_regex": True,
                },
            ],
        },
        "post_processor": None,
        "decoder": {
            "type": "ByteLevel",
            "add_prefix_space": True,
            "trim_offsets": True,
            "use_regex": True,
        },
        "model": {
            "type": "BPE",
            "dropout": None,
            "unk_token": None,
            "continuing_subword_prefix": None,
            "end_of_word_suffix": None,
            "fuse_unk": False,
            "byte_fallback": False,
            "ignore_merges": False,
            "vocab": {token: index for index, token in enumerate(tokens)},
            "merges": merges,
        },
    }


def main() -> None:
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    reader = GGUFReader(sys.argv[1])
    folder = pathlib.Path(sys.argv[2])

    def field(name: str):
        return reader.fields[name].contents()

    def write(name: str, content: dict) -> None:
        text = json.dumps(content, indent=2, ensure_ascii=False) + "\n"
        (folder / name).write_text(text, encoding="utf-8")

    assert field("general.architecture") == "llama", "not a llama"
    heads = field("llama.attention.head_count")
    key_value_heads = field("llama.attention.head_count_kv")
    tokens = field("tokenizer.ggml.tokens")
    types = field("tokenizer.ggml.token_type")
    special = [special_token(i, tokens[i]) for i, t in enumerate(types) if t == CONTROL_TOKEN]
    bos, eos, unknown, padding = (
        field(f"tokenizer.ggml.{name}_token_id") for name in ("bos", "eos", "unknown", "padding")
    )
    epsilon = field("llama.attention.layer_norm_rms_epsilon")

    save_file(
        read_tensors(reader, heads, key_value_heads),
        folder / "model.safetensors",
        metadata={"format": "pt"},
    )
    (folder / "model.safetensors").chmod(0o644)  # safetensors makes it private
    write(
        "config.json",
        {
            "architectures": ["LlamaForCausalLM"],
            "attention_bias": False,
            "attention_dropout": 0.0,
            "bos_token_id": bos,
            "eos_token_id": eos,
            "head_dim": field("llama.rope.dimension_count"),
            "hidden_act": "silu",
            "hidden_size": field("llama.embedding_length"),
            "initializer_range": 0.041666666666666664,
            "intermediate_size": field("llama.feed_forward_length"),
            "max_position_embeddings": field("llama.context_length"),
            "mlp_bias": False,
            "model_type": "llama",
            "num_attention_heads": heads,
            "num_hidden_layers": field("llama.block_count"),
            "num_key_value_heads": key_value_heads,
            "pad_token_id": padding,
            # GGUF keeps it as a float32: back to the decimal it was written from.
            "rms_norm_eps": float(f"{epsilon:.6g}"),
            "rope_scaling": None,
            "rope_theta": field("llama.rope.freq_base"),
            "tie_word_embeddings": True,
            "torch_dtype": "float32",
            "use_cache": True,
            "vocab_size": len(tokens),
        },
    )
    write(
        "generation_config.json",
        {"bos_token_id": bos, "eos_token_id": eos, "pad_token_id": padding},
    )
    write("tokenizer.json", tokenizer(tokens, field("tokenizer.ggml.merges"), special))
    names = {
        "bos_token": tokens[bos],
        "eos_token": tokens[eos],
        "pad_token": tokens[padding],
        "unk_token": tokens[unknown],
        "additional_special_tokens": [tokens[bos], tokens[eos]],
    }
    write("special_tokens_map.json", names)
    write(
        "tokenizer_config.json",
        {
            "add_prefix_space": False,
            "added_tokens_decoder": {
                str(token["id"]): {k: v for k, v in token.items() if k != "id"} for token in special
            },
            **names,
            "chat_template": field("tokenizer.chat_template"),
            "clean_up_tokenization_spaces": False,
            "model_max_length": field("llama.context_length"),
            "tokenizer_class": "GPT2Tokenizer",
        },
    )


if __name__ == "__main__":
    main()
