"""Manual pages and completions as they are made for this build: JENNER_BINARIES/../share.

Needs mandoc, man, bash, fish and zsh (tools/setup.d/apt-test.txt).
"""

import os
import pathlib
import re
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).parents[2]
BIN = pathlib.Path(os.environ["JENNER_BINARIES"])
SHARE = BIN.parent / "share"
PROGRAMS = os.environ["JENNER_PROGRAMS"].split(",")

# Answers what bash would offer after $2..., the last of which is being typed. Like readline, cuts at "=" and ":".
DRIVE = r"""
script=$1; shift
compopt() { :; }
source "$script"
COMP_WORDS=("$@") COMP_CWORD=$(($# - 1))
function=$(complete -p "$1" | sed 's/.*-F \([^ ]*\) .*/\1/')
"$function" "$1" "${@: -1}" "${@: -2:1}"
printf '%s\n' "${COMPREPLY[@]}"
"""


def run(*command, **more):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60, **more)


def bash(line):
    """What bash offers at the end of `line`."""
    words = [word for part in line.split(" ") for word in (re.split("(=)", part) if "=" in part else [part])]
    done = run("bash", "--norc", "-c", DRIVE, "drive", SHARE / "bash-completion/completions" / words[0], *words)
    assert done.returncode == 0 and not done.stderr, done.stderr
    return set(done.stdout.split())


class Manual(unittest.TestCase):
    def test_every_program_and_verb_has_a_page(self):
        for program in PROGRAMS:
            page = (SHARE / f"man/man1/{program}.1").read_text()
            self.assertTrue((SHARE / f"man/man1/{program}.1").exists())
            listed = re.findall(r"([a-z\\-]+)\(1\)$", page.split(".SH COMMANDS")[-1].split(".SH SEE")[0], re.MULTILINE)
            for name in listed:
                self.assertTrue((SHARE / "man/man1" / f"{name.replace(chr(92), '')}.1").exists(), name)
        help_text = run(BIN / "jenner", "experiment", "--help").stdout.split("Commands:\n")[1].split("\n\n")[0]
        for verb in re.findall(r"^  (\S+)", help_text, re.MULTILINE):
            self.assertTrue((SHARE / f"man/man1/jenner-experiment-{verb}.1").exists(), verb)

    def test_every_flag_is_in_its_page(self):
        for program in PROGRAMS:
            page = (SHARE / f"man/man1/{program}.1").read_text().replace("\\-", "-")
            flags = re.findall(r"^  (?:-\w,)?(--[a-z-]+)", run(BIN / program, "--help").stdout, re.MULTILINE)
            self.assertGreater(len(flags), 3)
            for flag in flags:
                self.assertIn(f"\\fB{flag}\\fR", page, program)

    def test_lint(self):
        pages = sorted((SHARE / "man/man1").glob("*.1"))
        self.assertGreater(len(pages), len(PROGRAMS))
        self.assertEqual(run("mandoc", "-T", "lint", "-W", "warning", *pages).stdout, "")
        for page in pages:
            done = run("man", "--warnings", "-E", "UTF-8", "-l", "-Tutf8", "-Z", page, env={**os.environ, "MANROFFSEQ": ""})
            self.assertEqual((done.returncode, done.stderr), (0, ""), page)
        with tempfile.NamedTemporaryFile("w", suffix=".1") as wrong:
            wrong.write(".TH X 1\n.SH NAME\n.SX\n")
            wrong.flush()
            self.assertNotEqual(run("mandoc", "-T", "lint", "-W", "warning", wrong.name).stdout, "")

    def test_nothing_of_this_machine_is_in_it(self):
        for path in SHARE.rglob("*"):
            if path.is_file():
                text = path.read_text()
                for own in (str(ROOT), str(BIN), str(pathlib.Path.home()) + "/"):
                    self.assertNotIn(own, text, path)

    def test_document_names_every_verb(self):
        document = (ROOT / "docs/cli.md").read_text()
        for page in (SHARE / "man/man1").glob("jenner-*.1"):
            words = page.stem.removeprefix("jenner-").removeprefix("server-").replace("-", " ")
            if page.stem not in PROGRAMS:
                self.assertRegex(document, f"`{words}[` ]")


class Bash(unittest.TestCase):
    def test_verbs(self):
        self.assertEqual(bash("jenner exp"), {"experiment"})
        self.assertLessEqual({"create", "watch", "logs"}, bash("jenner experiment "))
        self.assertEqual(bash("jenner experiment cl"), {"clone"})
        self.assertEqual(bash("jenner --server h:1 --no-progress worker dr"), {"drain"})
        self.assertEqual(bash("jenner experiment create experiment "), set())

    def test_options(self):
        self.assertEqual(bash("jenner experiment create --dry"), {"--dry-run"})
        # Of every command.
        self.assertEqual(bash("jenner experiment create --ser"), {"--server"})
        self.assertEqual(bash("jenner worker list --dry"), set())
        self.assertNotIn("--file", bash("jenner -"))

    def test_values(self):
        self.assertEqual(bash("jenner -o "), {"table", "json", "jsonl"})
        self.assertEqual(bash("jenner experiment list --output=json"), {"json", "jsonl"})
        self.assertEqual(bash("jenner experiment list --output="), {"table", "json", "jsonl"})
        self.assertEqual(bash("jenner completion "), {"bash", "fish", "zsh"})
        self.assertEqual(bash("jenner --server "), set())
        self.assertEqual(bash(f"jenner experiment create -f {ROOT}/CMakeP"), {f"{ROOT}/CMakePresets.json"})
        # report's own -o is a file.
        self.assertEqual(bash(f"jenner report x -o {ROOT}/CMakeP"), {f"{ROOT}/CMakePresets.json"})
        self.assertEqual(bash(f"jenner data preview --models-dir {ROOT}/exam"), {f"{ROOT}/examples"})

    def test_other_programs(self):
        self.assertEqual(bash("jenner-server tokens add --role "), {"viewer", "submitter", "admin"})
        self.assertEqual(bash("jenner-server certs "), {"init", "server", "worker", "client"})
        # The server's own options are none of its commands.
        self.assertEqual(bash("jenner-server tokens add --lis"), set())
        self.assertEqual(bash("jenner-server --lis"), {"--listen"})
        self.assertEqual(bash("jenner-worker --thr"), {"--threads-per-rank"})
        if "jenner-export" in PROGRAMS:
            self.assertEqual(bash("jenner-export --dtype "), {"float32", "bfloat16"})

    def test_verb_prints_what_is_installed(self):
        for shell, path in (("bash", "bash-completion/completions/jenner"), ("zsh", "zsh/vendor-completions/_jenner"),
                            ("fish", "fish/vendor_completions.d/jenner.fish")):
            self.assertEqual(run(BIN / "jenner", "completion", shell).stdout, (SHARE / path).read_text())
        done = run(BIN / "jenner", "completion", "tcsh")
        self.assertEqual((done.returncode, done.stderr), (2, "jenner: expected bash, fish or zsh; found tcsh\n"))


class OtherShells(unittest.TestCase):
    def fish(self, line):
        script = SHARE / f"fish/vendor_completions.d/{line.split()[0]}.fish"
        with tempfile.TemporaryDirectory() as home:
            done = run("fish", "--no-config", "-c", f"source {script}; complete -C '{line}'",
                       env={"HOME": home, "PATH": os.environ["PATH"]})
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        return {line.split("\t")[0] for line in done.stdout.splitlines()}

    def test_fish(self):
        self.assertEqual(self.fish("jenner experiment cl"), {"clone"})
        self.assertEqual(self.fish("jenner experiment create --dry"), {"--dry-run"})
        self.assertLessEqual({"table", "json", "jsonl"}, self.fish("jenner -o "))
        self.assertEqual(self.fish("jenner-server tokens add --role "), {"viewer", "submitter", "admin"})

    def zsh(self, line, found_by_itself=True):
        """What zsh offers, of a shell on a terminal in which Tab was pressed."""
        name = line.split()[0]
        program = r"""
zmodload zsh/zpty
zpty z zsh -f -i
zpty -w z "PROMPT= ; setopt no_beep; fpath=($1 \$fpath); autoload -U compinit; compinit -u -D; $3"
zpty -w z "zstyle ':completion:*' verbose no; LISTMAX=10000; zle_highlight=none; print BE'GIN'"
zpty -r z begin '*BEGIN*'
zpty -w -n z "$2"$'\t\t'
zpty -w z $'\C-a: \C-e; print E\'ND\''
zpty -r z text '*END*'
print -r -- "$text"
"""
        folder = SHARE / "zsh/vendor-completions"
        first, then = (folder, "") if found_by_itself else ("", f"source {folder}/_{name}")
        done = run("zsh", "-f", "-c", program, "zsh", first, line, then,
                   env={"PATH": os.environ["PATH"], "TERM": "dumb", "HOME": "/nonexistent"})
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn(name, done.stdout)
        return done.stdout

    def test_zsh(self):
        self.assertIn("jenner experiment clone", self.zsh("jenner experiment cl"))
        self.assertIn("jenner experiment clone", self.zsh("jenner experiment cl", found_by_itself=False))
        self.assertNotIn("jenner experiment clone", self.zsh("jenner experiment xl"))
        self.assertIn("--dry-run", self.zsh("jenner experiment create --dr"))
        listed = self.zsh("jenner-server tokens add --role ")
        for role in ("viewer", "submitter", "admin"):
            self.assertIn(role, listed)


if __name__ == "__main__":
    unittest.main()
