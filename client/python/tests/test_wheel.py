"""The wheel, in an environment that has nothing of the repository."""

from __future__ import annotations

import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

import jenner
from programs import ROOT

WHEELS = os.environ.get("JENNER_WHEELS")  # where the wheels of requirements-test.txt are
DIST = os.environ.get("JENNER_DIST")  # where the wheel is
needs_wheels = pytest.mark.skipif(not (WHEELS and DIST), reason="JENNER_WHEELS and JENNER_DIST are not set")

PROGRAM = """
import jenner, pathlib, sys
from jenner.v1 import experiment_pb2_grpc, worker_pb2
assert pathlib.Path(jenner.__file__).is_relative_to(sys.prefix), jenner.__file__
assert (pathlib.Path(jenner.__file__).parent / "py.typed").exists()
try:
    jenner.Client("127.0.0.1:1", timeout=0.2).list()
except jenner.UnavailableError as error:
    print(type(error).__name__, jenner.__version__)
"""


@needs_wheels
def test_installs_into_a_clean_environment(tmp_path: Path) -> None:
    (wheel,) = Path(str(DIST)).glob("jenner-*.whl")
    assert wheel.name.split("-")[1] == jenner.__version__
    with zipfile.ZipFile(wheel) as opened:
        names = set(opened.namelist())
        (licence,) = [name for name in names if name.endswith(".dist-info/licenses/LICENSE")]
        assert opened.read(licence) == (ROOT / "LICENSE").read_bytes()
    for proto in (ROOT / "proto").glob("jenner/v1/*.proto"):
        module = proto.stem
        assert {f"jenner/v1/{module}_pb2{end}" for end in (".py", ".pyi", "_grpc.py", "_grpc.pyi")} <= names
    assert not any("test" in name or name.endswith(".proto") for name in names)
    venv.create(tmp_path / "venv", with_pip=False, symlinks=True)
    python = str(tmp_path / "venv" / "bin" / "python")
    environment = {
        key: value for key, value in os.environ.items() if not key.startswith(("PYTHON", "JENNER"))
    }
    install = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-index"]
    install += ["--no-compile", "--find-links", str(WHEELS), str(wheel)]
    subprocess.run(install, check=True, env=environment, cwd=tmp_path)
    ran = subprocess.run(
        [python, "-c", PROGRAM], check=True, env=environment, cwd=tmp_path, capture_output=True, text=True
    )
    assert ran.stdout.split() == ["UnavailableError", jenner.__version__]
