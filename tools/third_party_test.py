"""tools/third_party: nothing without a licence and its text gets through, and nothing is left out."""

import importlib.machinery
import importlib.util
import json
import os
import pathlib
import subprocess
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
loader = importlib.machinery.SourceFileLoader("third_party", str(TOOLS / "third_party"))
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("third_party", loader))
loader.exec_module(tool)
SITE = pathlib.Path(os.environ["JENNER_PYTHON_SITE"])


class Faults(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = pathlib.Path(folder.name)

    def write(self, name, text):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)

    def crates(self, **package):
        one = {"id": "one", "name": "one", "version": "1.0.0", "license": "MIT", "license_file": None, "authors": [],
               "manifest_path": str(self.folder / "one/Cargo.toml"), **package}
        edge = {"pkg": "one", "dep_kinds": [{"kind": package.get("kind")}]}
        nodes = [{"id": "root", "deps": [edge]}, {"id": "one", "deps": []}]
        return list(tool.crates({"packages": [one], "resolve": {"root": "root", "nodes": nodes}}))

    def test_crate(self):
        self.assertEqual(list(tool.faults(self.crates())), ["crate one 1.0.0: no text of its licence"])
        self.assertEqual(list(tool.faults(self.crates(authors=["A. Author"]))), [])
        self.write("one/LICENSE-MIT", "As is.")
        self.assertEqual(list(tool.faults(self.crates())), [])
        self.assertEqual(list(tool.faults(self.crates(license=None))), ["crate one 1.0.0: no licence"])
        self.assertEqual(self.crates(kind="build"), [])

    def test_npm(self):
        packages = {"": {}, "node_modules/a": {"version": "1.0.0"}, "node_modules/b": {"version": "1.0.0", "dev": True}}
        self.write("package-lock.json", json.dumps({"packages": packages}))
        self.assertEqual(list(tool.faults(tool.npm(self.folder))),
                         ["npm a 1.0.0: no licence", "npm a 1.0.0: no text of its licence"])

    def test_wheel(self):
        self.write("a-1.dist-info/METADATA", "Name: a\nVersion: 1\n")
        self.write("a-1.dist-info/RECORD", "a-1.dist-info/METADATA,,\n")
        self.assertEqual(len(list(tool.faults([tool.distribution("wheel", self.folder / "a-1.dist-info")]))), 2)
        self.write("a-1.dist-info/METADATA", "Name: a\nVersion: 1\nLicense-Expression: MIT\n")
        self.write("a-1.dist-info/licenses/deep/LICENSE.txt", "As is.")
        self.assertEqual(list(tool.faults([tool.distribution("wheel", self.folder / "a-1.dist-info")])), [])

    def test_wheel_with_the_text_beside_its_library(self):
        self.write("a-1.dist-info/METADATA", "Name: a\nVersion: 1\nLicense: Proprietary\n")
        self.write("a-1.dist-info/RECORD", "vendor/a/LICENSE.txt,sha256=x,5\nvendor/a/a.so,sha256=x,1\na-1.dist-info/RECORD,,\n")
        self.write("vendor/a/LICENSE.txt", "As is.")
        self.assertEqual(tool.distribution("wheel", self.folder / "a-1.dist-info").texts, (("vendor/a/LICENSE.txt", "As is."),))

    def test_debian(self):
        self.assertEqual(len(list(tool.faults([tool.debian_package("jenner-no-such-package", "1")]))), 2)


class Real(unittest.TestCase):
    """What this tree needs, as it is installed here."""

    def test_debian_of_a_program(self):
        parts = tool.debian([os.environ["JENNER_SERVER"]])
        self.assertEqual(list(tool.faults(parts)), [])
        # Loaded, and compiled in.
        self.assertLessEqual({"libc6", "libstdc++6", "libgrpc++1.51", "nlohmann-json3-dev", "libcli11-dev"}, {part.name for part in parts})

    def test_crates(self):
        parts = [tool.rust_library(), *tool.crates(tool.cargo_metadata())]
        self.assertEqual(list(tool.faults(parts)), [])
        named = {part.name for part in parts}
        self.assertLessEqual({"tokenizers", "minijinja", "onig_sys", "lingua"}, named)
        self.assertNotIn("jenner_text", named)

    def test_npm(self):
        parts = list(tool.npm(pathlib.Path(subprocess.run([TOOLS / "report-packages"], capture_output=True, text=True,
                                                          check=True).stdout.strip())))
        self.assertEqual(list(tool.faults(parts)), [])
        self.assertLessEqual({"@observablehq/plot", "d3-scale"}, {part.name for part in parts})
        self.assertNotIn("typescript", {part.name for part in parts})

    @unittest.skipUnless("JENNER_TORCH" in os.environ, "a build without libtorch ships none")
    def test_wheels(self):
        folder = pathlib.Path(os.environ["JENNER_TORCH"])
        parts = [tool.distribution("wheel", tool.dist_info_of(folder, name)) for name in tool.TORCH_WHEELS]
        self.assertEqual(list(tool.faults(parts)), [])
        # Of what is inside libtorch, too.
        self.assertLessEqual({"licenses/third_party/gloo/LICENSE", "licenses/third_party/sleef/LICENSE.txt"},
                             {name for name, _ in parts[0].texts})

    def test_python(self):
        parts = tool.python(SITE)
        self.assertEqual(list(tool.faults(parts)), [])
        self.assertLessEqual({"grpcio", "pandas", "numpy"}, {part.name for part in parts})

    def test_equal_texts_stand_once(self):
        text = tool.render([tool.Part("npm", name, "1", "MIT", (("LICENSE", f"As  is{end}"),)) for name, end in [("a", ""), ("b", "\n")]])
        self.assertEqual(text.count("As  is"), 1)
        self.assertEqual(text.count("[1]"), 3)


if __name__ == "__main__":
    unittest.main()
