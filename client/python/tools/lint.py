"""mypy --strict over what is in the wheel, its tests and its example, and ruff: lint.py OUT

OUT is the folder of build_wheel.py. Run in client/python.
"""

import subprocess
import sys
from pathlib import Path


def main(out: str) -> int:
    mypy = [sys.executable, "-m", "mypy", "--config-file", "pyproject.toml"]
    mypy += ["--cache-dir", str(Path(out, "mypy"))]
    ruff = [sys.executable, "-m", "ruff"]
    files = [
        str(path) for folder in ("tests", "tools", "examples") for path in sorted(Path(folder).glob("*.py"))
    ]
    commands = [
        [*mypy, str(Path(out, "site", "jenner")), "hatch_build.py", *files],
        [*ruff, "check", "--no-cache", "."],
        [*ruff, "format", "--no-cache", "--check", "."],
    ]
    return max(subprocess.run(command, check=False).returncode for command in commands)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
