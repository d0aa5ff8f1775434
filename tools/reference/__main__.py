"""Manual pages and completions for bash, zsh and fish, made of what programs say of themselves.

    python3 tools/reference OUT VERSION PROGRAM...      into OUT/man/man1, OUT/bash-completion/completions, ...
"""

import os
import pathlib
import sys
import time

import completion
import help as program_help
import man

CLI = pathlib.Path(__file__).parents[2] / "docs/cli.md"


def main(out, version, *programs):
    # Reproducible builds set it: https://reproducible-builds.org/specs/source-date-epoch/
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or time.time())
    date = time.strftime("%Y-%m-%d", time.gmtime(seconds))
    for program in programs:
        root = program_help.read(program, [pathlib.Path(program).name])
        codes = man.exit_codes(CLI.read_text()) if root.name == "jenner" else []
        files = {f"man/man1/{name}": text for name, text in man.pages(root, version, date, codes).items()}
        for name, text in {**files, **completion.scripts(root)}.items():
            path = pathlib.Path(out, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)


if __name__ == "__main__":
    main(*sys.argv[1:])
