"""Builds the wheel without a network and unpacks it: build_wheel.py SOURCE OUT

OUT/dist has the wheel, OUT/site what is in it. Two at a time would be in each other's way.
"""

import shutil
import subprocess
import sys
import zipfile
from pathlib import Path


def main(source: str, out: str) -> None:
    dist, site = Path(out, "dist"), Path(out, "site")
    for folder in (dist, site):
        shutil.rmtree(folder, ignore_errors=True)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-build-isolation", "--no-deps"]
    subprocess.run([*command, "--no-index", "--wheel-dir", str(dist), source], check=True)
    (wheel,) = dist.glob("jenner-*.whl")
    with zipfile.ZipFile(wheel) as opened:
        opened.extractall(site)
    print(f"{wheel}: {wheel.stat().st_size} bytes")


if __name__ == "__main__":
    main(*sys.argv[1:])
