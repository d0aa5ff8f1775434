"""tools/version finds what differs and sets it, in a copy of what it reads."""

import importlib.machinery
import importlib.util
import pathlib
import shutil
import tempfile
import unittest

TOOLS = pathlib.Path(__file__).resolve().parent
loader = importlib.machinery.SourceFileLoader("version_tool", str(TOOLS / "version"))
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader("version_tool", loader))
loader.exec_module(tool)


class VersionTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.root = pathlib.Path(folder.name)
        for name in {tool.SOURCE[0], "CHANGELOG.md", *(place[0] for place in tool.PLACES)}:
            (self.root / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(TOOLS.parent / name, self.root / name)

    def edit(self, name, old, new):
        text = (self.root / name).read_text()
        self.assertIn(old, text)
        (self.root / name).write_text(text.replace(old, new))

    def test_the_tree_agrees(self):
        self.assertEqual(list(tool.faults(TOOLS.parent)), [])

    def test_set(self):
        tool.set_version(self.root, "12.0.1")
        self.assertEqual(list(tool.faults(self.root)), [])
        self.assertIn('__version__ = "12.0.1"', (self.root / "client/python/src/jenner/__init__.py").read_text())
        self.assertEqual((self.root / "docker-compose.yml").read_text().count("-12.0.1}"), 4)

    def test_what_differs_is_named(self):
        self.edit("CMakeLists.txt", f"VERSION {tool.version(self.root)}", "VERSION 9.9.9")
        found = list(tool.faults(self.root))
        for name, _, _ in tool.PLACES:
            self.assertTrue(any(fault.startswith(f"{name}:") for fault in found), name)

    def test_what_states_none_is_named(self):
        self.edit("Dockerfile", "ARG VERSION=", "ARG WERSION=")
        self.assertIn("Dockerfile:1: expected the version 1 times", "".join(tool.faults(self.root)))

    def test_changelog(self):
        self.edit("CHANGELOG.md", "## Unreleased", "## 0.0.9 - 2026-01-01")
        self.assertIn("CHANGELOG.md:1: '0.0.9 - 2026-01-01'", "".join(tool.faults(self.root)))
        self.edit("CHANGELOG.md", "## 0.0.9 - ", f"## {tool.version(self.root)} - ")
        self.assertEqual(list(tool.faults(self.root)), [])


if __name__ == "__main__":
    unittest.main()
