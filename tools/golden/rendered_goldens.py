#!/usr/bin/env python3
"""Makes the goldens of worker/text with transformers and tokenizers:

    tools/golden/rendered_goldens.py MODEL_FOLDER    (pip install -r tools/golden/requirements.txt)

tests/golden/text/tokenizer/             the model's small files, copied
tests/golden/text/rendered.jsonl    messages -> text, ids, supervised ranges; prompt text, ids
tests/golden/text/templates.jsonl        template, variables -> text, or that Jinja2 refuses them
tests/golden/text/strings.jsonl          text -> ids, and what the ids decode to

The ids, masks and texts are the libraries' answers. Only the mask needs help: transformers marks what
is inside {% generation %}, so the model's template is given that tag, and must render as before."""

import argparse
import datetime
import json
import pathlib
import random
import shutil

import jinja2
import transformers.utils.chat_template_utils as chat_utils
from transformers import AutoTokenizer

from text_inputs import CONTENTS, SYSTEMS, TEMPLATES, conversations

OUT = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "text"
FILES = ["tokenizer.json", "tokenizer_config.json", "generation_config.json"]


def write_lines(name, rows):
    with open(OUT / name, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=True) + "\n")
    print(f"{name}: {len(rows)} cases")


def with_generation_tags(template):
    """The ChatML template of SmolLM2 with the assistant's content and end of turn inside the tag."""
    old = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    new = ("{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant' %}"
           "{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}{% else %}"
           "{{message['content'] + '<|im_end|>'}}{% endif %}{{'\n'}}")
    assert template.count(old) == 1, "the template changed: adapt this function"
    return template.replace(old, new)


def ranges(mask):
    found, begin = [], None
    for position, value in enumerate(list(mask) + [0]):
        if value and begin is None:
            begin = position
        elif not value and begin is not None:
            found.append([begin, position])
            begin = None
    return found


def conversation_golden(tokenizer, tagged, messages):
    def apply(**options):
        return tokenizer.apply_chat_template(messages, **options)

    row = {
        "messages": messages,
        "text": apply(tokenize=False),
        "ids": apply(tokenize=True),
        "prompt_text": apply(tokenize=False, add_generation_prompt=True),
        "prompt_ids": apply(tokenize=True, add_generation_prompt=True),
    }
    assert apply(tokenize=False, chat_template=tagged) == row["text"]
    if any(message["role"] == "assistant" for message in messages):
        answer = apply(tokenize=True, chat_template=tagged, return_dict=True,
                       return_assistant_tokens_mask=True)
        assert answer["input_ids"] == row["ids"]
        row["supervised"] = ranges(answer["assistant_masks"])
    return row


class FixedClock(datetime.datetime):
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26, 0, 0, 0)


def template_golden(case):
    row = dict(case)
    chat_utils.datetime = FixedClock  # what strftime_now asks for the time
    try:
        row["text"] = chat_utils._compile_jinja_template(case["template"]).render(**case["variables"])
    except (jinja2.TemplateError, TypeError) as error:
        row["error"] = f"{type(error).__name__}: {error}"
    return row


def string_golden(tokenizer, text):
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    backend = tokenizer.backend_tokenizer
    return {"text": text, "ids": ids, "decoded": backend.decode(ids, skip_special_tokens=False),
            "decoded_skip_special": backend.decode(ids, skip_special_tokens=True)}


def random_strings(count, seed):
    """Mixes of scripts, spaces, digits and marks that no hand would think of."""
    rng = random.Random(seed)
    pools = ["abc XYZ", "0123456789", " \t\n\r\u00a0\u3000", "\u00e1\u00e9\u00ed\u00f1\u00bf\u00a1",
             "\u4f60\u597d\u4e16\u754c", "\u0645\u0631\u062d\u0628\u0627", "\u041f\u0440\u0438",
             "\U0001f600\U0001f44d\U0001f3fd\u200d\ufe0f", "'s't're've'll.,;:!?-_/\\\"`~@#$%^&*()[]{}<>|",
             "e\u0301n\u0303\u1e9b\u0323", "\u0000\u0001\u007f\u0085\u2028\ufeff"]
    return ["".join(rng.choice(rng.choice(pools)) for _ in range(rng.randint(1, 40)))
            for _ in range(count)]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", type=pathlib.Path)
    model = parser.parse_args().model
    (OUT / "tokenizer").mkdir(parents=True, exist_ok=True)
    for name in FILES:
        shutil.copyfile(model / name, OUT / "tokenizer" / name)
    tokenizer = AutoTokenizer.from_pretrained(OUT / "tokenizer")
    tagged = with_generation_tags(tokenizer.chat_template)
    write_lines("rendered.jsonl",
                [conversation_golden(tokenizer, tagged, messages) for messages in conversations()])
    write_lines("templates.jsonl", [template_golden(case) for case in TEMPLATES])
    write_lines("strings.jsonl", [string_golden(tokenizer, text)
                                  for text in CONTENTS + SYSTEMS + random_strings(200, seed=1)])


if __name__ == "__main__":
    main()
