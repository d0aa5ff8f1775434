"""Makes jenner/v1/*_pb2.py, *_pb2_grpc.py and their .pyi of the service's own proto files.

These lie in ../../proto of the repository, or in proto/ of a source distribution, into which they are
copied. The code that is made goes into a temporary folder and from there into the wheel: the source tree
stays as it was.
"""

import os
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ProtoBuildHook(BuildHookInterface):  # type: ignore[type-arg]
    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        root = Path(self.root)
        proto = root / "proto"
        if not proto.is_dir():
            proto = root.parent.parent / "proto"
        files = sorted(proto.glob("jenner/v1/*.proto"))
        if not files:
            raise RuntimeError(f"no jenner/v1/*.proto in {proto}")
        if self.target_name == "sdist":
            for file in files:
                build_data["force_include"][str(file)] = f"proto/{file.relative_to(proto)}"
            return
        self._out = tempfile.TemporaryDirectory()
        out = Path(self._out.name)
        generate(proto, files, out)
        (out / "jenner/v1/__init__.py").write_text(
            '"""The messages and services of the wire, made of proto/jenner/v1."""\n'
        )
        for file in sorted(out.glob("jenner/v1/*")):
            build_data["force_include"][str(file)] = str(file.relative_to(out))

    def finalize(self, version: str, build_data: dict[str, Any], artifact_path: str) -> None:
        if self.target_name != "sdist":
            self._out.cleanup()


def generate(proto: Path, files: list[Path], out: Path) -> None:
    """Runs protoc on `files` below `proto` into `out`."""
    # Build requirements, which are there only while a package is built.
    import grpc_tools
    from google.api import field_behavior_pb2
    from grpc_tools import protoc

    common = Path(field_behavior_pb2.__file__).parents[2]  # google/api, google/rpc
    well_known = Path(grpc_tools.__file__).parent / "_proto"  # google/protobuf
    command = [
        "protoc",
        f"-I{proto}",
        f"-I{common}",
        f"-I{well_known}",
        f"--python_out={out}",
        f"--grpc_python_out={out}",
    ]
    for plugin in ("mypy", "mypy_grpc"):
        command += [
            f"--plugin=protoc-gen-{plugin}={find_plugin(f'protoc-gen-{plugin}')}",
            f"--{plugin}_out=quiet:{out}",
        ]
    code = protoc.main(command + [str(file.relative_to(proto)) for file in files])
    if code != 0:
        raise RuntimeError(f"protoc ended with code {code}")


def find_plugin(name: str) -> str:
    """A program of this interpreter's environment, also where that is not activated."""
    folders = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")])
    found = shutil.which(name, path=folders)
    if found is None:
        raise RuntimeError(f"{name} not found: is mypy-protobuf installed?")
    return found
