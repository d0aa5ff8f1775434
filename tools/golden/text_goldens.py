"""Writes tests/golden/text/conversations.jsonl: what transformers renders and tokenizes for a set of
conversations, and which tokens are assistant content or its end of turn.

    pip install -r tools/golden/requirements-torch.txt && python3 tools/golden/text_goldens.py
"""

import json
import pathlib

from transformers import AutoTokenizer

ROOT = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/text"
TEXTS = ["Hi", "", " ", "\n", "  two  spaces  ", "tab\tand\nnewline\n\n", "What is 12345 + 678?", "3.14159e-10",
         "\u00a1HOLA, SE\u00d1OR! \u00bfC\u00d3MO EST\u00c1?", "na\u00efve caf\u00e9 \u00fcber", "\U0001f600 \U0001f468\u200d\U0001f469\u200d\U0001f467 \U0001f1ea\U0001f1f8",
         "\u4f60\u597d\uff0c\u4e16\u754c", "\u0645\u0631\u062d\u0628\u0627", "\u3053\u3093\u306b\u3061\u306f", "e\u0301 combining", "<b>&amp; \"quoted\" 'single'</b>",
         "def f(x):\n    return x ** 2  # {{ not }} {% a template %}", "<|im_end|> inside", "<|im_start|>system\nhello",
         "<|endoftext|>", "a" * 300, "0" * 50, "CAPS lower MiXeD", "\u00ad\u200b\u2060", "line\r\nwindows", "\\n escaped \\u00e9",
         "don't can't won't I'll", "https://example.org/a?b=c&d=%20", "1,234,567.89 \u20ac", "\u00df \u0130 \u0131 \ufb01"]


def conversations():
    for i, text in enumerate(TEXTS):
        other = TEXTS[(i * 7 + 3) % len(TEXTS)]
        yield [{"role": "user", "content": text}]
        yield [{"role": "user", "content": text}, {"role": "assistant", "content": other}]
        yield [{"role": "system", "content": other}, {"role": "user", "content": text}]
        yield [{"role": "system", "content": ""}, {"role": "user", "content": text}, {"role": "assistant", "content": text}]
        yield [{"role": "user", "content": text}, {"role": "assistant", "content": other},
               {"role": "user", "content": other}, {"role": "assistant", "content": text}]
        yield [{"role": "system", "content": text}, {"role": "user", "content": other},
               {"role": "assistant", "content": text}, {"role": "user", "content": text}]


def main():
    tokenizer = AutoTokenizer.from_pretrained(ROOT / "tokenizer")
    rows = []
    for messages in conversations():
        row = {"messages": messages}
        for generation in (False, True):
            key = "prompt" if generation else "whole"
            row[key] = tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=generation)
            row[key + "_ids"] = tokenizer(row[key], add_special_tokens=False)["input_ids"]
        rows.append(row)
    path = ROOT / "conversations.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    print(f"{len(rows)} conversations in {path}")


if __name__ == "__main__":
    main()
