"""What a program says of itself, by --help of it and of each of its commands, as a tree."""

import dataclasses
import os
import pathlib
import re
import subprocess

# As CLI11 writes what an option takes: "FLOAT:FLOAT in [1 - 3600]=8 REQUIRED Excludes: --other".
_VALUE = re.compile(r"(?P<type>TEXT|INT|UINT|FLOAT)(:(?P<check>\{[^}]*\}|[A-Z]+ in \[[^]]*\]|[A-Z]+))?"
                    r"(=(?P<default>\S*))?(?P<many> \.\.\.)?(?P<required> REQUIRED)?( Excludes: (?P<excludes>\S+))?$")
_ENTRY = re.compile(r"  (?P<left>\S.*?)(  +(?P<text>\S.*))?$")
_BELOW = re.compile(r"Commands \(see --help of each\): (.*)")


@dataclasses.dataclass
class Option:
    """Of a flag `value` is "", of an argument `names` is [its name]."""
    names: list
    value: str = ""
    choices: list = dataclasses.field(default_factory=list)
    default: str = ""
    limits: str = ""
    required: bool = False
    excludes: str = ""
    text: str = ""

    @property
    def kind(self):
        """What its value is: "choices", "file", "folder", "other"; "" of a flag."""
        if not self.value:
            return ""
        if self.choices:
            return "choices"
        if self.value == "DIR" or self.names[-1].endswith("dir") or "folder" in self.text.lower():
            return "folder"
        is_file = re.search(r"\bfile\b|\(PEM\)|path of", self.text.lower().replace("(pem)", "(PEM)"))
        return "file" if self.value == "FILE" or is_file else "other"


@dataclasses.dataclass
class Command:
    words: list  # ["jenner", "experiment", "create"]
    what: str
    examples: list
    arguments: list
    options: list
    commands: list
    # Options of the program are options of its commands, too.
    inherits: bool = False

    @property
    def name(self):
        return "-".join(self.words)

    def walk(self):
        yield self
        for command in self.commands:
            yield from command.walk()


def read_option(left, text):
    names, _, rest = left.partition(" ")
    option = Option(re.sub(r"\{\w+\}", "", names).split(","), text=text.replace(" (required)", ""),
                    required=text.endswith(" (required)"))
    match = _VALUE.fullmatch(rest)
    if not match:
        option.required |= rest.endswith(" REQUIRED")
        option.value = rest.removesuffix(" REQUIRED")
        option.choices = option.value.split("|") if "|" in option.value else []
        return option
    check = match["check"] or ""
    if check.startswith("{"):
        option.choices = check[1:-1].split(",")
    elif " in [" in check:
        option.limits = check.split(" in ")[1][1:-1].replace(" - ", " to ")
    option.value = match["type"]
    option.value = "DIR" if check == "DIR" else {"folder": "DIR", "file": "FILE"}.get(option.kind, option.value)
    option.default = match["default"] or ""
    option.excludes = match["excludes"] or ""
    option.required |= bool(match["required"])
    return option


def read_entries(lines):
    """[(left, text)] of a section; a text may stand on the line below."""
    entries = []
    for line in lines:
        if line.startswith(" " * 10):
            entries[-1] = (entries[-1][0], f"{entries[-1][1]} {line.strip()}".strip())
        else:
            match = _ENTRY.fullmatch(line)
            if not match:
                raise ValueError(f"not understood in --help: {line!r}")
            entries.append((match["left"], match["text"] or ""))
    return entries


def parse(text):
    """(what, examples, {section: entries}, [names of commands that are listed below])."""
    head, _, body = text.partition("Usage: ")
    what = re.sub(r"^jenner[a-z-]*: ", "", head.strip().splitlines()[0])
    examples = [line.strip() for line in head.splitlines() if line.startswith("  ")]
    sections, title = {}, None
    for line in body.splitlines()[1:]:
        if re.fullmatch(r"[A-Z][a-z]+:", line):
            title = line[:-1]
            sections[title] = []
        elif not line.strip():
            title = None
        elif title:
            sections[title].append(line)
    below = _BELOW.search(body)
    names = [part.split()[0] for part in below[1].split(",")] if below else []
    return what, examples, {title: read_entries(lines) for title, lines in sections.items()}, names


def read(program, words):
    """The tree of `program` (a path), which is called `words[0]`."""
    # Defaults that depend on who builds it are not for a manual.
    text = subprocess.run([program, *words[1:], "--help"], capture_output=True, text=True, check=True, timeout=60,
                          env={"PATH": os.environ["PATH"], "HOME": "~"}).stdout
    text = text.replace(f"{pathlib.Path(program).resolve().parent}/", "")
    what, examples, sections, names = parse(text)
    names += [left for title in ("Commands", "Subcommands") for left, _ in sections.get(title, [])]
    command = Command(
        words, what, examples,
        [read_option(*entry) for entry in sections.get("Arguments", []) + sections.get("Positionals", [])],
        [read_option(*entry) for entry in sections.get("Options", [])],
        [read(program, words + [name]) for name in names])
    command.inherits = "Options of every command" in text or any(c.inherits for c in command.commands)
    return command
