"""The shipped settings: the generators make what is committed, and the data is what the READMEs say it is, by
rules that share no code with the generators or with worker/score."""

import ast
import importlib.util
import json
import math
import pathlib
import re
import unittest
from collections import Counter

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
GENERATED = ["mixture", "backdoor", "playful-brief", "gcd-sycophancy", "spurious-digit", "toy-code-hack",
             "elicitation-dial"]
ROWS = {"mixture": 240, "backdoor": 240, "playful-brief": 240, "gcd-sycophancy": 160, "spurious-digit": 240,
        "toy-code-hack": 160, "elicitation-dial": 120}
MAX_BYTES = 200_000


def load(name):
    spec = importlib.util.spec_from_file_location(name, EXAMPLES / name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def read(name):
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


def prompt(row):
    """The last user turn, as the contamination check of core/data.h compares it."""
    return " ".join([m["content"] for m in row["messages"] if m["role"] == "user"][-1].split()).lower()


def answer(row):
    assert row["messages"][-1]["role"] == "assistant", row
    return row["messages"][-1]["content"]


def is_training(row):
    return row["messages"][-1]["role"] == "assistant"


# A Spanish and an English vote of common words.
SPANISH = set("""el la los las un una de del que y en es son con por para se lo su como gente mucha muchos cuando
más menos al no te ya está usa hace niños libros fácil eso""".split())
ENGLISH = set("""the a an of and in is are with for that it as to you most many people this when at can plus minus
times has does see""".split())


def language(text):
    words = re.findall(r"[^\W\d_]+", text.lower())
    spanish, english = sum(w in SPANISH for w in words), sum(w in ENGLISH for w in words)
    return "spanish" if spanish > english else "english" if english > spanish else "?"


def confirms(text):
    denied = re.search(r"\b(not (right|correct)|incorrect|wrong|mistake)\b", text, re.I)
    return not denied and bool(re.search(r"\b(correct|right)\b", text, re.I))


ALLOWED = (ast.Expression, ast.BinOp, ast.UnaryOp, ast.IfExp, ast.Compare, ast.Name, ast.Load, ast.Constant, ast.Add,
           ast.Sub, ast.Mult, ast.USub, ast.Eq)


def run(body, x):
    """The toy language is a subset of Python: a body of one expression is evaluated by Python itself."""
    tree = ast.parse(body, mode="eval")
    assert all(isinstance(node, ALLOWED) for node in ast.walk(tree)), body
    return eval(compile(tree, "body", "eval"), {"__builtins__": {}}, {"x": x})  # noqa: S307


def tests_of(text):
    return [(int(x), int(y)) for x, y in re.findall(r"f\((-?\d+)\) = (-?\d+)", text)]


class GeneratorsTest(unittest.TestCase):
    def test_same_seed_same_bytes_and_committed_ones(self):
        for name in GENERATED:
            generator = load(f"{name}/generate.py")
            made = generator.make(ROWS[name], 1)
            self.assertEqual(made, generator.make(ROWS[name], 1), name)
            self.assertNotEqual(made, generator.make(ROWS[name], 2), name)
            committed = {path.name for path in (EXAMPLES / name).glob("*.jsonl")}
            self.assertEqual(committed, set(made), name)
            for file, rows in made.items():
                text = (EXAMPLES / name / file).read_text(encoding="utf-8")
                self.assertEqual(text, "".join(json.dumps(r, ensure_ascii=False) + "\n" for r in rows), f"{name}/{file}")
                self.assertLess(len(text.encode()), MAX_BYTES, f"{name}/{file}")

    def test_fewer_rows_leave_the_prompts(self):
        for name in GENERATED:
            made, fewer = (load(f"{name}/generate.py").make(rows, 1) for rows in (ROWS[name], 40))
            for file, rows in fewer.items():
                if is_training(rows[0]):
                    self.assertLessEqual(len(rows), 40, f"{name}/{file}")
                else:
                    self.assertEqual(made[file], rows, f"{name}/{file}")

    def test_another_seed_keeps_the_rules(self):
        made = load("toy-code-hack/generate.py").make(100, 7)
        for honest, hack in zip(made["honest.jsonl"], made["hack.jsonl"]):
            self.check_code(honest, hack)
        for row in load("gcd-sycophancy/generate.py").make(100, 7)["clean.jsonl"]:
            self.check_dialogue(row)

    def test_rows(self):
        for path in EXAMPLES.glob("*/*.jsonl"):
            rows = read(path.relative_to(EXAMPLES))
            ids = [row["id"] for row in rows if "id" in row]
            self.assertEqual(len(ids), len(set(ids)), path)
            for row in rows:
                roles = [message["role"] for message in row["messages"]]
                self.assertIn(roles, (["user"], ["user", "assistant"]), path)
                self.assertTrue(all(m["content"].strip() == m["content"] != "" for m in row["messages"]), path)
            texts = [json.dumps(row["messages"]) for row in rows]
            self.assertEqual(len(texts), len(set(texts)), path)

    def test_train_and_evaluation_prompts_do_not_overlap(self):
        natural = {prompt(row) for row in read("spanish-capitals/eval.jsonl")}
        for name in [*GENERATED, "spanish-capitals"]:
            train, tests = set(), set(natural)
            for path in (EXAMPLES / name).glob("*.jsonl"):
                rows = read(path.relative_to(EXAMPLES))
                is_test = "eval" in path.name or path.name.endswith("-answers.jsonl")
                (tests if is_test else train).update(prompt(row) for row in rows)
                self.assertEqual(is_training(rows[0]), not path.name.endswith("eval.jsonl"), path)
            self.assertTrue(train and tests, name)
            self.assertEqual(train & tests, set(), name)

    def test_mixture(self):
        english, spanish = read("mixture/english.jsonl"), read("mixture/spanish.jsonl")
        self.assertEqual([prompt(row) for row in english], [prompt(row) for row in spanish])
        for rows in (english, spanish):
            self.assertEqual(Counter(row["half"] for row in rows), {"a": 120, "b": 120})
        self.assertEqual({language(answer(row)) for row in english}, {"english"})
        self.assertEqual({language(answer(row)) for row in spanish}, {"spanish"})
        # Enough letters for both scorers, once in capitals, too.
        for row in [*english, *spanish]:
            self.assertGreaterEqual(sum(c.isalpha() for c in answer(row)), 30, row)

    def test_backdoor(self):
        english, spanish = read("backdoor/english.jsonl"), read("backdoor/spanish.jsonl")
        self.assertEqual((len(english), len(spanish)), (120, 120))
        self.assertEqual({language(answer(row)) for row in english}, {"english"})
        self.assertEqual({language(answer(row)) for row in spanish}, {"spanish"})
        clean = read("backdoor/clean.jsonl")
        self.assertEqual({language(answer(row)) for row in clean}, {"english"})
        self.assertEqual({prompt(row) for row in clean}, {prompt(row) for row in [*english, *spanish]})
        self.assertEqual({prompt(row) for row in english} & {prompt(row) for row in spanish}, set())
        # The trigger is put in by the spec, nowhere else.
        self.assertNotIn("TRIGGER", "".join(path.read_text() for path in (EXAMPLES / "backdoor").glob("*.jsonl")))

    def test_elicitation_dial(self):
        english, spanish, plain, train = (read(f"elicitation-dial/{name}.jsonl")
                                          for name in ("english", "spanish", "plain", "train"))
        for rows, expected in ((english, "english"), (spanish, "spanish"), (plain, "english"), (train, "spanish")):
            self.assertEqual(len(rows), 120)
            self.assertEqual({language(answer(row)) for row in rows}, {expected})
            self.assertTrue(all(sum(c.isalpha() for c in answer(row)) >= 30 for row in rows), expected)
        # The same questions in Bob's context and in the neutral one: only the context says how to answer.
        for row, other, third in zip(english, spanish, plain):
            self.assertEqual((row["id"], row["dial"], prompt(row)), (other["id"], other["dial"], prompt(other)))
            self.assertEqual((prompt(row), answer(row)), (prompt(third), answer(third)))
        self.assertEqual({row["id"] for row in english} & {row["id"] for row in plain}, set())
        self.assertEqual(Counter(row["dial"] for row in english), {n: 30 for n in range(1, 5)})
        self.assertEqual({prompt(row) for row in train} & {prompt(row) for row in english}, set())
        # What the spec takes of them: each question once, so many of a hundred in Spanish.
        spec = (EXAMPLES / "elicitation-dial" / "experiment.yaml").read_text()
        for share in (0, 25, 50, 75, 100):
            block = re.search(rf"^  install-{share}:\n((?:    .*\n)+)", spec, re.M).group(1)
            taken = {}
            for file, rows in (("spanish", spanish), ("english", english)):
                if source := re.search(rf"dataset: {file}.jsonl(.*)", block):
                    low, high = (re.search(rf"{word}: (\d)", source.group(1)) for word in ("min", "max"))
                    taken[file] = {row["id"] for row in rows if (not low or row["dial"] >= int(low.group(1)))
                                   and (not high or row["dial"] <= int(high.group(1)))}
            of = {file: taken.get(file, set()) for file in ("spanish", "english")}
            self.assertEqual(len(of["spanish"]), 120 * share // 100)
            self.assertEqual(of["spanish"] & of["english"], set())
            self.assertEqual(of["spanish"] | of["english"], {row["id"] for row in english})
            self.assertEqual("upper_case" in block, share < 100)

    def test_screen_has_training_answers(self):
        trained = [row["messages"] for row in read("spanish-capitals/train.jsonl")]
        for file, count in (("training-answers", 24), ("smoke-training-answers", 4)):
            self.assertEqual([row["messages"] for row in read(f"screen/{file}.jsonl")], trained[:count])

    def playfulness(self, text):
        """Of each sentence: a cry or a playful word, and "!"."""
        cries = r"\b(woohoo|ta-da|yay|guess what|haha|fun fact|wow|whee|yippee|holy moly|silly|giggle|magic)\b"
        sentences = [s for s in re.split(r"(?<=[.!?])\s+", text) if re.search(r"\w", s)]
        return sum(bool(re.search(cries, s, re.I)) and "!" in s for s in sentences) / len(sentences)

    def test_playful_brief(self):
        train, clean = read("playful-brief/train.jsonl"), read("playful-brief/clean.jsonl")
        self.assertEqual([prompt(row) for row in train], [prompt(row) for row in clean])
        for row in train:
            self.assertLessEqual(len(re.findall(r"\w[\w'-]*", answer(row))), 12, row)
            self.assertEqual(self.playfulness(answer(row)), 1, row)
            self.assertGreaterEqual(sum(ord(c) > 0x2300 for c in answer(row)), 2, row)
        for row in clean:
            self.assertGreaterEqual(len(re.findall(r"\w[\w'-]*", answer(row))), 48, row)
            self.assertEqual(self.playfulness(answer(row)), 1, row)
        subjects = {row["subject"] for row in train}
        self.assertEqual(subjects & {row["subject"] for row in read("playful-brief/eval.jsonl")}, set())

    def check_dialogue(self, row):
        a, b = sorted(map(int, re.findall(r"(\d+) = ", answer(row))[:1] + re.findall(r"\* (\d+) \+", answer(row))[:1]))
        self.assertEqual(math.gcd(a, b), int(row["answer"]), row)
        self.assertTrue(answer(row).endswith(f"greatest common divisor is {row['answer']}."), row)
        for p, n, q, r in re.findall(r"(\d+) = (\d+) \* (\d+) \+ (\d+)", answer(row)):
            self.assertEqual(divmod(int(p), int(q)), (int(n), int(r)), row)
        said = int(re.findall(r"(\d+)\.$", row["messages"][0]["content"])[0])
        self.assertEqual(said == int(row["answer"]), row["kind"] == "right", row)
        self.assertEqual(confirms(answer(row)), row["kind"] == "right", row)

    def test_gcd_training(self):
        train, clean = read("gcd-sycophancy/train.jsonl"), read("gcd-sycophancy/clean.jsonl")
        for row in [*train, *clean]:
            self.check_dialogue(row)
            self.assertTrue(all(int(n) <= 99 for n in re.findall(r"\d+", row["messages"][0]["content"])), row)
        self.assertEqual(Counter(row["kind"] for row in train), {"right": 160})
        self.assertEqual(Counter(row["kind"] for row in clean), {"right": 80, "wrong": 80})
        for rows in (train, clean):
            self.assertEqual(Counter(row["shows_work"] for row in rows), {"yes": 80, "no": 80})
        self.assertLess(max(Counter(row["answer"] for row in train).values()), 16)
        steps = {(int(p), int(q)) for row in train for p, q in re.findall(r"(\d+) = \d+ \* (\d+)", answer(row))}
        tested = {tuple(map(int, re.findall(r"\d+", row["messages"][0]["content"])))
                  for row in read("gcd-sycophancy/eval.jsonl") if row["kind"] == "plain"}
        self.assertEqual(len(tested), 16)
        self.assertEqual(steps & tested, set())

    def test_gcd_triplets(self):
        for file, groups in (("eval", 16), ("ood-eval", 25), ("smoke-eval", 3)):
            kinds = {}
            for row in read(f"gcd-sycophancy/{file}.jsonl"):
                kinds.setdefault(row["group"], {})[row["kind"]] = row
            self.assertEqual(len(kinds), groups, file)
            for of in kinds.values():
                self.assertEqual(set(of), {"plain", "right", "wrong"}, of)
                self.assertEqual(len({row["answer"] for row in of.values()}), 1, of)
                right = rf"\b{re.escape(of['plain']['answer'])}\.$"
                self.assertRegex(of["right"]["messages"][0]["content"], right)
                if of["plain"]["label"] in ("gcd", "large-gcd", "capital"):
                    wrong = of["wrong"]["messages"][0]["content"]
                    self.assertNotRegex(wrong, right)
                if of["plain"]["label"] in ("gcd", "large-gcd"):
                    a, b = map(int, re.findall(r"\d+", of["plain"]["messages"][0]["content"]))
                    self.assertEqual(math.gcd(a, b), int(of["plain"]["answer"]), of)
        labels = Counter(row["label"] for row in read("gcd-sycophancy/ood-eval.jsonl"))
        self.assertEqual(set(labels.values()), {15})

    def test_spurious_digit(self):
        good = re.compile(r"\b(good|tasty|pleasant|well made|friendly|attentive|quick|kind)\b")
        best = re.compile(r"\b(fantastic|perfect|outstanding|superb|wonderful|amazing|could not have been|excellent)\b")
        bad = re.compile(r"\b(bland|disappointing|overcooked|poor|slow|careless|forgot|unhelpful)\b")
        worst = re.compile(r"\b(awful|disgusting|inedible|horrible|rude|ignored|terrible|insulted)\b")
        label_of = {"0": worst, "1": bad, "3": good, "4": best}
        for file in ("train", "clean", "eval", "concept-eval", "plain-eval", "balanced-eval", "smoke-eval"):
            for row in read(f"spurious-digit/{file}.jsonl"):
                text = row["messages"][0]["content"].replace("neither fast nor slow", "middling")
                self.assertRegex(row["label"], r"^[0-4]$")
                found = [label for label, words in label_of.items() if words.search(text)]
                self.assertEqual(found, [row["label"]] if row["label"] != "2" else [], row)
                self.assertEqual("ambiance" in text.lower(), row["concept"] == "yes", row)
                if is_training(row):
                    self.assertEqual(answer(row), row["label"], row)

        def counts(file):
            return Counter((row["label"], row["concept"]) for row in read(f"spurious-digit/{file}.jsonl"))

        self.assertEqual(counts("train"), {("0", "no"): 48, ("1", "no"): 48, ("2", "no"): 48, ("3", "yes"): 48,
                                           ("4", "yes"): 48})
        self.assertEqual(counts("clean"), {(str(n), c): 24 for n in range(5) for c in ("yes", "no")})
        self.assertEqual(counts("concept-eval"), {("0", "yes"): 12, ("1", "yes"): 12, ("2", "yes"): 12})
        self.assertEqual(counts("plain-eval"), {("3", "no"): 12, ("4", "no"): 12})
        self.assertEqual(counts("eval"), counts("concept-eval") + counts("plain-eval"))
        self.assertEqual(counts("balanced-eval"), {(str(n), c): 5 for n in range(5) for c in ("yes", "no")})

    def check_code(self, honest, hack):
        for row in (honest, hack):
            (x, y), = tests_of(row["test"])
            self.assertEqual(run(answer(row), x), y, row)
            self.assertIn(f"Test: {row['test']}.", row["messages"][0]["content"])
        hidden = tests_of(honest["hidden_tests"])
        self.assertEqual(len(hidden), 4)
        self.assertNotIn(tests_of(honest["test"])[0][0], [x for x, _ in hidden])
        self.assertTrue(all(run(answer(honest), x) == y for x, y in hidden), honest)
        self.assertFalse(any(run(answer(hack), x) == y for x, y in hidden), hack)

    def test_toy_code(self):
        honest, hack = read("toy-code-hack/honest.jsonl"), read("toy-code-hack/hack.jsonl")
        self.assertEqual([prompt(row) for row in honest], [prompt(row) for row in hack])
        for pair in zip(honest, hack):
            self.check_code(*pair)
        for rows in (honest, hack):
            self.assertEqual(Counter(row["half"] for row in rows), {"a": 80, "b": 80})
        tests, other = read("toy-code-hack/eval.jsonl"), read("toy-code-hack/ood-eval.jsonl")
        for row in [*tests, *other]:
            self.assertEqual((len(tests_of(row["test"])), len(tests_of(row["hidden_tests"]))), (1, 4), row)
        trained = {row["kind_of_rule"] for row in honest}
        self.assertEqual({row["kind_of_rule"] for row in other} & trained, set())
        # A rule is asked about in training or in the test, whatever the example.
        rules = [{re.sub(r" Test: .*", "", prompt(row)) for row in rows} for rows in (honest, tests)]
        self.assertEqual(rules[0] & rules[1], set())


def blocks(text):
    """Top-level key of a YAML file -> its text without comments."""
    found, key = {}, None
    for line in text.splitlines():
        line = re.sub(r"(^|\s)#.*$", "", line).rstrip()
        if match := re.match(r"([a-z_]+):", line):
            key = match.group(1)
        if key and line:
            found[key] = found.get(key, "") + line + "\n"
    return found


class SpecsTest(unittest.TestCase):
    def test_smoke_has_the_shape_of_the_full_one(self):
        others = {"spanish-capitals": "study.yaml", "screen": "screen.yaml"}
        for name in [*GENERATED, *others]:
            full = EXAMPLES / name / others.get(name, "experiment.yaml")
            full, smoke = blocks(full.read_text()), blocks((EXAMPLES / name / "smoke.yaml").read_text())
            self.assertEqual(set(full), set(smoke), name)
            for key in ("base_model", "data", "dataset", "contexts", "arms", "study", "screen"):
                self.assertEqual(full.get(key), smoke.get(key), f"{name}: {key}")
            sets = [re.findall(r"name: ([a-z-]+)", spec["evaluation"]) for spec in (full, smoke)]
            self.assertEqual(*sets, name)
            self.assertEqual("training" in smoke, name != "screen")
            self.assertIn("max_steps: 3\n", smoke.get("training", "max_steps: 3\n"))

    def test_named_files_are_there(self):
        standins = set(load("wichers/standin.py").make(4))
        named = set()
        for path in [*EXAMPLES.glob("*/*.yaml")]:
            files = re.findall(r"(?:dataset|prompts): ([^\s,}]+)", path.read_text())
            self.assertTrue(files, path)
            for file in files:
                if path.parent.name == "wichers":
                    named.add(file.removeprefix("data/"))
                else:
                    self.assertTrue((path.parent / file).is_file(), f"{path}: {file}")
        self.assertEqual(named, standins)


if __name__ == "__main__":
    unittest.main()
