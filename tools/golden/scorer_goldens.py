#!/usr/bin/env python3
"""Makes the cross-check of worker/score: texts, and what independent implementations say of them.

    python3 -m venv /tmp/scorers && /tmp/scorers/bin/pip install --no-deps \\
        -r tools/golden/requirements-scorers.txt
    /tmp/scorers/bin/python tools/golden/scorer_goldens.py

worker/score/testdata/crosscheck.jsonl, one object a line:
  text
  source    "answers": the hand-labelled answers.jsonl; "corpus": below; "capitals": edges of that rule
  language  of the corpus' text, as its translators say
  cut       how many characters of the sentence are left, as in an answer cut short; null: all of it
  spanish   the label: 1, 0, or null where nobody can tell
  second    what the second detector says: "es", "en", "fr" or "de"
  capitals  1, 0 or null by Python's str.isupper and str.islower

The second detector is py3langid (naive Bayes on byte n-grams; lingua, which the scorer uses, has
letter n-grams and rules), held to the same four languages. It is given lower case: texts in capitals
are none that it was trained on. The corpus is what these packages ship: Django's messages and their
translations (BSD-3-Clause), pyjokes' neutral jokes (BSD-3-Clause), spaCy's example sentences (MIT)."""

import ast
import gettext
import importlib.util
import json
import pathlib
import random
import re

import py3langid

ROOT = pathlib.Path(__file__).resolve().parents[2]
DATA = ROOT / "worker" / "score" / "testdata"
# Sentences of each language. Galician and Catalan, as Portuguese, are near Spanish and outside the four.
COUNTS = {"es": 34, "en": 24, "fr": 15, "de": 15, "pt": 9, "it": 8, "ca": 7, "gl": 7}
JOKES = {"es", "en", "fr"}  # the other languages' lack accents, or manners
CUTS = [12, 24, 48, None]
DJANGO_PARTS = ["conf", "contrib/admin", "contrib/admindocs", "contrib/auth", "contrib/flatpages",
                "contrib/postgres", "contrib/redirects"]


def package(name):
    """The folder of an installed package, which is not imported."""
    return pathlib.Path(importlib.util.find_spec(name).origin).parent


def constant(path, name):
    """The list that the Python file assigns to `name`; none if there is no such file."""
    if not path.exists():
        return []
    for node in ast.parse(path.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    return []


def django_messages(language):
    """English is what the translations are of."""
    found = []
    for part in DJANGO_PARTS:
        folder = package("django") / part / "locale" / ("es" if language == "en" else language)
        path = folder / "LC_MESSAGES" / "django.mo"
        if path.exists():
            with open(path, "rb") as file:
                catalog = gettext.GNUTranslations(file)._catalog
            pairs = [(key, value) for key, value in catalog.items() if isinstance(key, str)]
            found += [key if language == "en" else value for key, value in pairs]
    return found


def is_sentence(text):
    return (30 <= len(text) <= 160 and len(text.split()) >= 5
            and not re.search(r"[%<>{}&|\n\x04_`]", text)
            and sum(letter.isalpha() for letter in text) >= 25)


def sentences(language, count, rng):
    """At most half of them prose, the others Django's."""
    prose = constant(package("spacy") / "lang" / language / "examples.py", "sentences")
    if language in JOKES:
        prose += constant(package("pyjokes") / f"jokes_{language}.py", "neutral")
    prose = sorted({text for text in prose if is_sentence(text)})
    messages = sorted({text for text in django_messages(language) if is_sentence(text)})
    chosen = rng.sample(prose, min(len(prose), count // 2))
    return chosen + rng.sample(messages, count - len(chosen))


def corpus(rng):
    rows, seen = [], set()
    for language, count in COUNTS.items():
        for index, sentence in enumerate(sentences(language, count, rng)):
            for cut in CUTS:
                if cut is not None and cut >= len(sentence):
                    continue
                text = sentence[:cut].strip()
                text = text.upper() if index % 3 == 2 else text
                if text not in seen:
                    rows.append({"text": text, "source": "corpus", "language": language, "cut": cut,
                                 "spanish": int(language == "es")})
                seen.add(text)
    return rows


def capitals_edges(rng):
    """Shares of capitals around 90 %, and characters whose case is not plain."""
    texts = []
    for lower in range(8):
        letters = list("THEQUICKBROWNFOXJUMPSOVERTHELAZYDOGS"[:rng.choice([20, 30, 36])])
        for position in rng.sample(range(len(letters)), lower):
            letters[position] = letters[position].lower()
        texts.append("".join(letters))
    texts += ["ABCDEFGHIj", "ABCDEFGHij", "ABCDEFGHIJKLMNOPQRst", "ABCDEFGHIJKLMNOPQrst", "ABCDEFGh",
              "ABCDEFg", "1a 2\u00aa 3\u00ba A B C D E F G H",  # ordinal signs
              "\u2160\u2161\u2162\u2163\u2164\u2165\u2166\u2167",  # Roman numerals
              "\u2170\u2171\u2172\u2173\u2174\u2175\u2176\u2177",
              "\u24b6\u24b7\u24b8\u24b9\u24ba\u24bb\u24bc\u24bd",  # circled letters
              "\u01c5\u01c8\u01cb\u01f2\u1f88\u1f89\u1f8a\u1f8b",  # title case
              "\u1e9e" * 8, "\u00df" * 8, "\u0345" * 8,
              "\u10a0\u10a1\u10a2\u10a3\u10d0\u10d1\u10d2\u10d3",  # Georgian
              "\u1c90\u1c91\u1c92\u1c93\u1c94\u1c95\u1c96\u1c97",
              "\u13a0\u13a1\u13a2\u13a3\u13a4\u13a5\u13a6\uab70",  # Cherokee
              "\U0001d400\U0001d401\U0001d402\U0001d403\U0001d404\U0001d405\U0001d406\U0001d41a",
              "E\u0301" * 4 + "e\u0301" * 4, "\u02b0\u02b1\u02b2\u02b3\u02b4\u02b5\u02b6\u02b7",
              "\u5f20\u4e09 ABCDEFGH", "\ufffd ABCDEFGHI j"]
    return [{"text": text, "source": "capitals"} for text in texts]


def capitals(text):
    """At least 90 % of the cased characters are upper case; null with fewer than 8."""
    upper = sum(letter.isupper() for letter in text)
    cased = upper + sum(letter.islower() for letter in text)
    return None if cased < 8 else int(10 * upper >= 9 * cased)


def report(rows):
    """The second detector alone, to judge what its agreement is worth."""
    for cut in CUTS:
        part = [row for row in rows if row["source"] == "corpus" and row["cut"] == cut
                and row["language"] in ("es", "en", "fr", "de")]
        spanish = [row["second"] == "es" for row in part if row["spanish"]]
        other = [row["second"] != "es" for row in part if not row["spanish"]]
        print(f"py3langid, cut {cut}: Spanish found {sum(spanish)} of {len(spanish)}, "
              f"others told apart {sum(other)} of {len(other)}")


def main():
    rng = random.Random(20251125)
    py3langid.set_languages(["es", "en", "fr", "de"])
    with open(DATA / "answers.jsonl", encoding="utf-8") as file:
        answers = [json.loads(line) for line in file]
    rows = [{"text": answer["text"], "source": "answers", "spanish": answer["spanish"]}
            for answer in answers]
    rows += corpus(rng) + capitals_edges(rng)
    with open(DATA / "crosscheck.jsonl", "w", encoding="utf-8") as file:
        for row in rows:
            if row["source"] != "capitals":
                row["second"] = str(py3langid.classify(row["text"].lower())[0])
            row["capitals"] = capitals(row["text"])
            file.write(json.dumps(row, ensure_ascii=row["source"] == "capitals") + "\n")
    print(f"{len(rows)} lines")
    report(rows)


if __name__ == "__main__":
    main()
