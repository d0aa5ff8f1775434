#!/usr/bin/env python3
"""Makes the goldens of worker/text from tests/golden/text/tokenizer and tests/golden/text/templates:

    python3 -m venv /tmp/torch && /tmp/torch/bin/pip install -r tools/golden/requirements-torch.txt
    /tmp/torch/bin/python tools/golden/rendered_goldens.py

tests/golden/text/rendered.jsonl, one conversation of text_corpus.py a line:
  messages
  whole, whole_ids     text and ids of SmolLM2's own template and tokenizer
  prompt, prompt_ids   the same with the beginning of an assistant turn
  supervised           [begin, end) of ids that transformers' mask has, if there is an assistant turn
tests/golden/text/families.jsonl, the same conversations: template -> [whole, prompt]. null: transformers
  refuses the conversation. Of most conversations 16 hex digits of the text's SHA-256 instead of it.
tests/golden/text/unpaired.jsonl: rows with half a surrogate pair, which tokenizers refuses.

All answers are the library's. Only the mask needs help: it marks what is inside {% generation %}, so
the template is given that tag, and must render as before."""

import datetime
import hashlib
import json
import pathlib

import jinja2
from transformers import AutoTokenizer
from transformers.utils import chat_template_utils

from text_corpus import conversations

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests" / "golden" / "text"
WITH_TEXT = 20  # of the families, each 20th conversation has its text in full
UNPAIRED = ["\ud83d", "\ude00", "a\ud83d\u00e9", "\ude00\ud83d", "\ud800<|im_end|>", "\udfff\n"]


class FixedClock(datetime.datetime):
    """What strftime_now sees: kTemplateTimeUnixS of worker/text/chat_template.h."""
    @classmethod
    def now(cls, tz=None):
        return cls(2024, 7, 26)


def write_lines(name, rows):
    with open(FOLDER / name, "w", encoding="utf-8") as file:
        for row in rows:
            file.write(json.dumps(row) + "\n")
    print(f"{name}: {len(rows)} lines")


def with_generation_tags(template):
    """SmolLM2's template with the assistant's content and end of turn inside the tag."""
    old = "{{'<|im_start|>' + message['role'] + '\n' + message['content'] + '<|im_end|>' + '\n'}}"
    new = ("{{'<|im_start|>' + message['role'] + '\n'}}{% if message['role'] == 'assistant' %}"
           "{% generation %}{{message['content'] + '<|im_end|>'}}{% endgeneration %}{% else %}"
           "{{message['content'] + '<|im_end|>'}}{% endif %}{{'\n'}}")
    assert template.count(old) == 1, "the template changed: adapt this function"
    return template.replace(old, new)


def ranges(mask):
    """[begin, end) of the ones in `mask`."""
    found, begin = [], None
    for position, value in enumerate(list(mask) + [0]):
        if value and begin is None:
            begin = position
        elif not value and begin is not None:
            found.append([begin, position])
            begin = None
    return found


def rendered(tokenizer, tagged, messages):
    def apply(**options):
        return tokenizer.apply_chat_template(messages, **options)

    row = {"messages": messages}
    for key, generation in [("whole", False), ("prompt", True)]:
        row[key] = apply(tokenize=False, add_generation_prompt=generation)
        row[key + "_ids"] = apply(add_generation_prompt=generation)
    if any(message["role"] == "assistant" for message in messages):
        answer = apply(chat_template=tagged, return_dict=True, return_assistant_tokens_mask=True)
        assert apply(tokenize=False, chat_template=tagged) == row["whole"]
        assert answer["input_ids"] == row["whole_ids"]
        row["supervised"] = ranges(answer["assistant_masks"])
    return row


def special_tokens(folder):
    config = json.loads((folder / "tokenizer_config.json").read_text(encoding="utf-8"))
    return {name: token["content"] if isinstance(token, dict) else token
            for name, token in config.items() if token is not None}


def family_text(folder, messages, generation):
    template = (folder / "chat_template.jinja").read_text(encoding="utf-8")
    try:
        texts, _ = chat_template_utils.render_jinja_template(
            [messages], chat_template=template, add_generation_prompt=generation, **special_tokens(folder))
        return texts[0]
    except (jinja2.TemplateError, TypeError):
        return None


def families(idx, messages):
    row = {}
    for folder in sorted((FOLDER / "templates").glob("*/")):
        texts = [family_text(folder, messages, generation) for generation in (False, True)]
        if idx % WITH_TEXT:
            texts = [text and hashlib.sha256(text.encode()).hexdigest()[:16] for text in texts]
        row[folder.name] = texts
    return row


def unpaired(tokenizer, content):
    messages = [{"role": "user", "content": content}, {"role": "assistant", "content": content}]
    try:
        tokenizer.apply_chat_template(messages)
    except TypeError:
        return {"messages": messages}
    raise AssertionError(f"tokenizers takes {content!a}")


def main():
    chat_template_utils.datetime = FixedClock
    tokenizer = AutoTokenizer.from_pretrained(FOLDER / "tokenizer")
    tagged = with_generation_tags(tokenizer.chat_template)
    corpus = conversations()
    write_lines("rendered.jsonl", [rendered(tokenizer, tagged, messages) for messages in corpus])
    write_lines("families.jsonl", [families(idx, messages) for idx, messages in enumerate(corpus)])
    write_lines("unpaired.jsonl", [unpaired(tokenizer, content) for content in UNPAIRED])


if __name__ == "__main__":
    main()
