"""llama.cpp's side of tests/bench/generation: batched greedy decoding by its C API, with slots that are filled again as
soon as an answer ends. Weights are those of the Hugging Face folder, float32 or bfloat16, without quantisation."""

import ctypes
import json
import pathlib
import time

import gguf
import llama_cpp
import numpy as np
from safetensors.numpy import load_file

LAYER_TENSORS = {
    "input_layernorm": "attn_norm", "self_attn.q_proj": "attn_q", "self_attn.k_proj": "attn_k",
    "self_attn.v_proj": "attn_v", "self_attn.o_proj": "attn_output", "post_attention_layernorm": "ffn_norm",
    "mlp.gate_proj": "ffn_gate", "mlp.up_proj": "ffn_up", "mlp.down_proj": "ffn_down",
}
OTHER_TENSORS = {"model.embed_tokens": "token_embd", "model.norm": "output_norm"}


def gguf_name(name):
    path = name.removesuffix(".weight")
    if path in OTHER_TENSORS:
        return OTHER_TENSORS[path] + ".weight"
    _, _, layer, rest = path.split(".", 3)
    return f"blk.{layer}.{LAYER_TENSORS[rest]}.weight"


def permute(weight, heads):
    """Rows from Hugging Face's rope order (halves) to llama.cpp's (pairs interleaved)."""
    return weight.reshape(heads, 2, weight.shape[0] // heads // 2, weight.shape[1]).swapaxes(1, 2).reshape(weight.shape)


def write_gguf(model_dir, path, dtype):
    config = json.loads((model_dir / "config.json").read_text())
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(config["num_attention_heads"])
    writer.add_head_count_kv(config["num_key_value_heads"])
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(config["rope_theta"])
    writer.add_rope_dimension_count(config["hidden_size"] // config["num_attention_heads"])
    writer.add_vocab_size(config["vocab_size"])
    writer.add_tokenizer_model("no_vocab")
    for name, weight in load_file(model_dir / "model.safetensors").items():
        weight = weight.astype(np.float32)
        if ".q_proj." in name:
            weight = permute(weight, config["num_attention_heads"])
        elif ".k_proj." in name:
            weight = permute(weight, config["num_key_value_heads"])
        if dtype == "bfloat16" and weight.ndim == 2:
            data = gguf.quants.quantize(weight, gguf.GGMLQuantizationType.BF16)
            writer.add_tensor(gguf_name(name), data, raw_dtype=gguf.GGMLQuantizationType.BF16)
        else:
            writer.add_tensor(gguf_name(name), np.ascontiguousarray(weight))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


class LlamaCpp:
    def __init__(self, model_dir, folder, prompts, end_id, flags):
        path = pathlib.Path(folder) / "model.gguf"
        write_gguf(model_dir, path, flags.dtype)
        llama_cpp.llama_log_set(ctypes.cast(None, llama_cpp.llama_log_callback), None)
        llama_cpp.llama_backend_init()
        self.model = llama_cpp.llama_model_load_from_file(str(path).encode(), llama_cpp.llama_model_default_params())
        self.vocab = json.loads((model_dir / "config.json").read_text())["vocab_size"]
        self.prompts, self.end_id, self.flags = prompts, end_id, flags
        longest = max(len(prompt) for prompt in prompts) + flags.tokens
        params = llama_cpp.llama_context_default_params()
        params.n_ctx = flags.batch * (longest + 31) // 32 * 32 + 256
        params.n_batch = params.n_ubatch = 512
        params.n_seq_max = flags.batch
        params.kv_unified = True
        params.n_threads = params.n_threads_batch = flags.threads
        if flags.dtype == "float32":
            params.type_k = params.type_v = 0  # GGML_TYPE_F32; float16 is its default
        self.context = llama_cpp.llama_init_from_model(self.model, params)
        self.memory = llama_cpp.llama_get_memory(self.context)
        self.batch = llama_cpp.llama_batch_init(512, 0, 1)

    def decode(self, tokens):
        """tokens: (id, position, sequence, wanted). The best next id of each wanted one, in order."""
        for i, (token, position, sequence, wanted) in enumerate(tokens):
            self.batch.token[i], self.batch.pos[i], self.batch.logits[i] = token, position, wanted
            self.batch.n_seq_id[i], self.batch.seq_id[i][0] = 1, sequence
        self.batch.n_tokens = len(tokens)
        if llama_cpp.llama_decode(self.context, self.batch) != 0:
            raise SystemExit("llama_decode failed")
        count = sum(wanted for *_, wanted in tokens)
        if count == 0:
            return []
        logits = np.ctypeslib.as_array(llama_cpp.llama_get_logits(self.context), shape=(count, self.vocab))
        return logits.argmax(axis=1).tolist()

    def run(self):
        llama_cpp.llama_memory_clear(self.memory, True)
        answers, waiting, free, running = {}, list(enumerate(self.prompts)), list(range(self.flags.batch)), {}
        started = time.perf_counter()
        while waiting or running:
            # Prompts that go into free slots, as many as fit a batch beside those that run.
            tokens, owners = [], []
            for slot, (request, position) in running.items():
                tokens.append((answers[request][-1], position, slot, True))
                owners.append(slot)
                running[slot] = (request, position + 1)
            while waiting and free and len(tokens) + len(waiting[0][1]) <= 512:
                request, prompt = waiting.pop(0)
                slot = free.pop(0)
                llama_cpp.llama_memory_seq_rm(self.memory, slot, -1, -1)
                tokens += [(token, i, slot, i + 1 == len(prompt)) for i, token in enumerate(prompt)]
                owners.append(slot)
                running[slot] = (request, len(prompt))
                answers[request] = []
            for slot, best in zip(owners, self.decode(tokens)):
                request, _ = running[slot]
                answers[request].append(best)
                if best == self.end_id or len(answers[request]) == self.flags.tokens:
                    del running[slot]
                    free.append(slot)
        seconds = time.perf_counter() - started
        new_tokens = sum(len(answer) for answer in answers.values())
        ends = [answer[:-1] if answer[-1] == self.end_id else answer for _, answer in sorted(answers.items())]
        return seconds, new_tokens, ends
