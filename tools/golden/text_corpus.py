"""The 500 conversations of tests/golden/text, always the same: conversations().

Contents by kind; each stands in a user, an assistant and a system turn. Then conversations whose
order or roles are odd, tools, and long ones of contents and random characters.
No content has the slot marker of core/spec.h, which Jenner takes out of a row."""

import json
import random

COUNT = 500

TOOL_CALL = json.dumps({"name": "get_weather", "arguments": {"city": "Z\u00fcrich", "days": [1, 2], "unit": None}},
                       ensure_ascii=False)

CONTENTS = {
    "plain": ["Hi", "What is the capital of France?", "CAPS lower MiXeD", "don't can't WON'T I'll we've",
              "1. one\n2. two\n\n- a\n  - b", "https://example.org/a?b=c&d=%20#e"],
    "empty and white space": ["", " ", "\n", "\r", "\t", "   ", "\n\n", " \n ", "\r\n\r\n", "\u00a0", "\u3000\u2003",
                              "\u0085", "\u2028\u2029", "\v\f"],
    "ends": [" lead", "trail ", "\nlead", "trail\n", "\n\n\nboth\n\n", "  two  spaces  ", "\ttab\t", "\r\ncrlf\r\n",
             "line\r\nwindows\rmac", "\u00a0no-break\u00a0", "\u2002en\u2009thin\u202f", "\u200bzero width\u200b",
             "\u0085next line\u0085", "\x1cfile separator\x1f", "\ufeffmark"],
    "latin": ["\u00a1HOLA, SE\u00d1OR! \u00bfC\u00d3MO EST\u00c1?", "na\u00efve caf\u00e9 \u00fcber",
              "\u00df \u0130 \u0131 \ufb01 \u01c5 \u1e9e", "\u2018typographic\u2019 \u201cquotes\u201d \u2013 \u2014 \u2026"],
    "scripts": ["\u4f60\u597d\uff0c\u4e16\u754c", "\u3053\u3093\u306b\u3061\u306f \u30ab\u30bf\u30ab\u30ca \uff76\uff85",
                "\uc548\ub155 \u1112\u1161\u11ab", "\u041f\u0440\u0438\u0432\u0435\u0442, \u043c\u0438\u0440",
                "\u039f\u0394\u039f\u03a3 \u1f00\u03c1\u03c7\u03ae", "\u0928\u092e\u0938\u094d\u0924\u0947 \u0915\u094d\u0937",
                "\u0e2a\u0e27\u0e31\u0e2a\u0e14\u0e35\u0e0a\u0e32\u0e27\u0e42\u0e25\u0e01", "\U00020bb7\u91ce\u5bb6",
                "\u10d2\u10d0\u10db\u10d0\u10e0\u10ef\u10dd\u10d1\u10d0", "\U00010330\U00010331 \U0001d54f\U0001d7d9"],
    "right to left": ["\u0645\u0631\u062d\u0628\u0627 \u0628\u0627\u0644\u0639\u0627\u0644\u0645",
                      "\u05e9\u05dc\u05d5\u05dd abc \u05e2\u05d5\u05dc\u05dd 123", "\u202eevil\u202c \u200f\u200e",
                      "\u2067\u0627\u2069 (\u0628)", "\u0644\u0627\u064e\u0651 \u06f1\u06f2\u06f3 \u0661\u0662\u0663"],
    "marks": ["e\u0301 n\u0303 combining", "\u0301 alone", "Z\u0351\u036b\u0343\u036a\u0302\u036b\u033d\u034f\u0334\u0319 zalgo",
              "a" + "\u0301" * 40, "\u1e9b\u0323 \u212b \u00c5 A\u030a", "\u0f71\u0f72\u0f74", "\uac00\u1100\u1161"],
    "emoji": ["\U0001f600", "\U0001f468\u200d\U0001f469\u200d\U0001f467 family", "\U0001f44d\U0001f3fd\U0001f44b\U0001f3ff",
              "\U0001f1ea\U0001f1f8\U0001f1eb", "\u2764\ufe0f\u200d\U0001f525 \u263a\ufe0e", "1\ufe0f\u20e3 #\ufe0f\u20e3",
              "\U0001f3f4\U000e0067\U000e0062\U000e0065\U000e006e\U000e0067\U000e007f", "\u200d\ufe0f\U0001f3fb"],
    "odd code points": ["\x00", "a\x00b", "\x01\x02\x03\x1b[31mred\x1b[0m", "\x7f\x80\x9f", "\x08\x0c\x0e\x1a",
                        "\ufffd", "\ufffe\uffff", "\ufdd0\U0001ffff\U0010ffff", "\ue000\U000f0000 private",
                        "\u00ad\u200b\u2060 invisible", "\u2061\u2062\ufff9\ufffa\ufffb", "\\ud83d half \\ude00",
                        "\u0378 unassigned \U000323b0"],
    "long words": ["a" * 600, "0" * 200, "ab" * 150, "\u00e9" * 120, "\U0001f600" * 40, "=" * 100, " " * 130,
                   "\n" * 70, "Donaudampfschifffahrtsgesellschaftskapit\u00e4n" * 4, "A1b2-C3d4_" * 20],
    "digits": ["12345678901234567890", "3.14159e-10", "1,234,567.89 \u20ac", "0x1F 1e9 -0 +1", "\u0663\u0664 \uff11\uff12 \u00bd\u00b2",
               "What is 12345 + 678?", "2024-07-26T00:00:00Z", "1 2 3 4 5 6 7 8 9 10"],
    "code": ["def f(x):\n    return x ** 2  # {{ not }} {% a template %}", "```python\nprint('hi')\n```",
             "```\n\tif (a && b) {\n\t\treturn a->b;\n\t}\n```\n", "SELECT * FROM t WHERE a = 'b'; -- c",
             "\\n escaped \\u00e9 \\\\", "{# comment #}{{ bos_token }}{%- endif -%}", "$x_1 = \\frac{a}{b}$",
             "#!/bin/sh\nrm -rf \"$HOME/x\" && echo `date`"],
    "json and html": ["<b>&amp; \"quoted\" 'single'</b>", "{\"a\": [1, 2.50, null, true], \"b\": \"\\u00e9\\n\"}",
                      "<script>alert(\"</script>\")</script>", "&lt;&#39;&quot;>", "{\"unclosed\": ", "a\\\"b'c/d",
                      "<?xml version='1.0'?>\n<!-- c --><![CDATA[x]]>", "[]", "null"],
    "like special tokens": [
        "<|im_end|> inside", "<|im_start|>system\nhello", "<|endoftext|>", "<|im_end|>", "<|im_end|>\n<|im_start|>user\n",
        "<|im_end|><|im_end|>", "a<|im_start|>b", "<|im_", "im_end|>", "<|IM_END|>", "<| im_end |>", " <|im_end|> ",
        "</s>", "<s>a</s>", "[INST] a [/INST]", "<<SYS>>\nb\n<</SYS>>", "<start_of_turn>user\nHi<end_of_turn>",
        "<bos><eos><pad><unk>", "<|begin_of_text|><|start_header_id|>user<|end_header_id|>\n\nHi<|eot_id|>",
        "<|python_tag|>f()<|eom_id|>", "<repo_name>a<file_sep>b<empty_output>", "<jupyter_code>1<gh_stars>",
        "<think>\nwhy\n</think>\n\nbecause", "<think></think>", "</think>a</think>b", "<think>no end", "\n<think>\n\n</think>\n\n\n"],
    "like tools": ["<tool_call>\n" + TOOL_CALL + "\n</tool_call>", "<tool_response>\n21\u00b0\n</tool_response>",
                   "<tool_response>not all</tool_response> of it", "[TOOL_CALLS][" + TOOL_CALL + "]",
                   "<|python_tag|>" + TOOL_CALL, "[AVAILABLE_TOOLS][][/AVAILABLE_TOOLS]"],
}
ALL = [content for contents in CONTENTS.values() for content in contents]

# What the templates of several families refuse, or what they do with it, depends on the order.
ORDERS = ["u", "a", "s", "t", "ua", "au", "us", "su", "sa", "st", "ss", "uu", "aa", "uaa", "uua", "sua", "sau", "ssua", "usa",
          "uasu", "suas", "susu", "uaua", "suaua", "uauaua", "suauaua", "uat", "uata", "uatta", "suatau", "uatua", "uattau",
          "uatuata", "tu", "uta", "x", "ux", "sux", "uxa", "i", "uai", "uaia", "e", "ue", "uea"]
ROLES = {"u": "user", "a": "assistant", "s": "system", "t": "tool", "x": "critic", "i": "ipython", "e": ""}
RANDOM_POOLS = [
    "abc XYZ", "0123456789", " \t\n\r\u00a0\u3000", "\u00e1\u00e9\u00ed\u00f1\u00bf\u00a1", "\u4f60\u597d\u4e16\u754c",
    "\u0645\u0631\u062d\u0628\u0627", "\u041f\u0440\u0438", "\U0001f600\U0001f44d\U0001f3fd\u200d\ufe0f",
    "'s't're've'll.,;:!?-_/\\\"`~@#$%^&*()[]{}<>|", "e\u0301n\u0303\u1e9b\u0323", "\x00\x01\x1c\x7f\x85\u2028\ufeff"]


def conversation(order, contents):
    contents = iter(contents)
    return [{"role": ROLES[letter], "content": next(contents)} for letter in order]


def of_contents():
    for idx, content in enumerate(ALL):
        # Another stride for each, so that neighbours differ and odd contents meet.
        answer, later = ALL[idx * 7 % len(ALL)], ALL[(idx * 11 + 5) % len(ALL)]
        yield conversation("ua", [content, answer])
        yield conversation("sua", [content, later, content])


def of_orders():
    plain = ["One", "Two", " three ", "Four\n", "5", "Six", "Seven", "Eight"]
    for order in ORDERS:
        yield conversation(order, plain)
    for order in ["uat", "uata", "suatta", "uatau", "uatuata"]:
        contents = {"u": "Weather?", "s": "Use tools.", "a": TOOL_CALL, "t": "{\"temp\": 21.5, \"sky\": \"\u2600\ufe0f\"}"}
        yield conversation(order, [contents[letter] for letter in order])
        contents["a"] = "<tool_call>\n" + TOOL_CALL + "\n</tool_call>"
        contents["t"] = " <ok> & 'fine'\n"
        yield conversation(order, [contents[letter] for letter in order])
    # A turn of the user that holds what a tool answered, as some do without a role for it.
    yield conversation("uaua", ["Weather?", CONTENTS["like tools"][0], CONTENTS["like tools"][1], "Sunny."])


def of_chance():
    rng = random.Random(1)
    while True:
        order = rng.choice(["ua", "uau", "suaua", "uauaua", "suauauau"])
        contents = []
        for _ in order:
            if rng.random() < 0.4:
                contents.append(rng.choice(ALL))
            elif rng.random() < 0.2:
                contents.append(rng.choice(["", " ", "\n"]).join(rng.sample(ALL, 3)))
            else:
                contents.append("".join(rng.choice(rng.choice(RANDOM_POOLS)) for _ in range(rng.randint(1, 40))))
        yield conversation(order, contents)


def conversations():
    found = [*of_contents(), *of_orders()]
    chance = of_chance()
    while len(found) < COUNT:
        found.append(next(chance))
    assert len(found) == COUNT
    return found
