"""The units of the Debian packages, as far as that goes without systemd running: systemd-analyze, and their flags."""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

PACKAGES = pathlib.Path(__file__).parents[2] / "deploy/packages"
BIN = pathlib.Path(os.environ["JENNER_BINARIES"])
MOST_EXPOSED = 2.5  # of 10, by systemd-analyze security


def run(*command):
    return subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=60)


class Units(unittest.TestCase):
    services = ("server", "worker")

    def test_verify(self):
        for name in self.services:
            with tempfile.TemporaryDirectory() as folder:
                unit = pathlib.Path(folder, f"jenner-{name}.service")
                text = (PACKAGES / unit.name).read_text()
                # Manual and program are not installed here.
                text = re.sub("^Documentation=.*\n", "", text.replace("/usr/bin/", f"{BIN}/"), flags=re.MULTILINE)
                unit.write_text(text)
                done = run("systemd-analyze", "verify", "--man=no", unit)
                self.assertEqual((done.returncode, done.stderr), (0, ""))
                unit.write_text(text.replace("DynamicUser=yes", "DynamicUser=perhaps"))
                self.assertNotEqual(run("systemd-analyze", "verify", "--man=no", unit).returncode, 0)

    def test_hardened(self):
        for name in self.services:
            done = run("systemd-analyze", "security", "--offline=true", PACKAGES / f"jenner-{name}.service")
            level = re.search(r"Overall exposure level for \S+: ([\d.]+)", done.stdout)
            self.assertLessEqual(float(level[1]), MOST_EXPOSED, done.stdout)

    def test_options_are_the_programs(self):
        for name in self.services:
            settings = (PACKAGES / f"{name}.conf").read_text()
            unit = (PACKAGES / f"jenner-{name}.service").read_text()
            given = set(re.findall(r"(--[a-z-]+)=", settings + unit))
            known = set(re.findall(r"--[a-z][a-z-]*", run(BIN / f"jenner-{name}", "--help").stdout))
            self.assertGreater(len(given), 3)
            self.assertLessEqual(given, known)
            self.assertIn(f"$JENNER_{name.upper()}_OPTIONS", unit)
            self.assertRegex(settings, f'(?m)^JENNER_{name.upper()}_OPTIONS="--')

    def test_scripts(self):
        for script in ("postinst.in", "prerm.in", "postrm.in"):
            text = (PACKAGES / script).read_text()
            done = subprocess.run(["sh", "-n"], input=text, capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("set -e", text)


if __name__ == "__main__":
    unittest.main()
