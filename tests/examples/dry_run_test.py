"""Every shipped spec passes a dry run against a real server; the full-size ones on stand-in data.

    dry_run_test.py JENNER JENNER_SERVER
"""

import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "examples"
JENNER, SERVER = sys.argv[1:3]
# A training for each arm and seed (ptst shares that of no-inoculation), and the base model's job, of which there is
# one a seed where answers are drawn.
JOBS = {"spanish-capitals/experiment": 3, "spanish-capitals/experiment-smoke": 3, "spanish-capitals/study": 16,
        "spanish-capitals/smoke": 6, "screen/screen": 1, "screen/smoke": 1,
        # Drawn answers: the base model's job is one a seed.
        "elicitation-dial/experiment": 48, "elicitation-dial/smoke": 16, "spurious-digit/experiment": 8, "spurious-digit/smoke": 8,
        "wichers/reward-hacking": 6, "wichers/spurious-correlation": 6, "wichers/sycophancy": 21, "wichers/toxicity": 6,
        **{f"{name}/{form}": 9 for name in ("mixture", "backdoor", "playful-brief", "gcd-sycophancy", "toy-code-hack")
           for form in ("experiment", "smoke")}}


class DryRunTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        root = pathlib.Path(cls.folder.name)
        cls.log = (root / "server.log").open("w")
        cls.server = subprocess.Popen(
            [SERVER, "--data-dir", root / "data", "--listen", "127.0.0.1:0", "--metrics-listen", "127.0.0.1:0"],
            stdout=subprocess.PIPE, stderr=cls.log, text=True)
        # Its first line, once it listens; nothing if it ends before.
        listens = re.match(r"listening on (\S+),", cls.server.stdout.readline())
        if not listens:
            raise AssertionError((root / "server.log").read_text())
        cls.address = listens.group(1)
        # With the data in place of which there are stand-ins.
        cls.wichers = root / "examples" / "wichers"
        shutil.copytree(EXAMPLES / "wichers", cls.wichers, ignore=shutil.ignore_patterns("data", "__pycache__"))
        subprocess.run([sys.executable, EXAMPLES / "wichers" / "standin.py", "--out", cls.wichers / "data"], check=True,
                       stdout=subprocess.DEVNULL)

    @classmethod
    def tearDownClass(cls):
        cls.server.terminate()
        cls.server.wait(timeout=60)
        cls.server.stdout.close()
        cls.log.close()
        cls.folder.cleanup()

    def dry_run(self, spec):
        return subprocess.run([JENNER, "--server", self.address, "experiment", "create", "-f", spec, "--dry-run"],
                              capture_output=True, text=True, timeout=120, check=False)

    def test_every_spec(self):
        specs = sorted(path for path in EXAMPLES.glob("*/*.yaml") if path.parent.name != "wichers")
        specs += sorted(self.wichers.glob("*.yaml"))
        self.assertEqual({f"{spec.parent.name}/{spec.stem}" for spec in specs}, set(JOBS))
        for spec in specs:
            name = f"{spec.parent.name}/{spec.stem}"
            with self.subTest(name):
                done = self.dry_run(spec)
                self.assertEqual(done.returncode, 0, done.stderr)
                self.assertRegex(done.stderr, rf"the spec is valid: {JOBS[name]} jobs?\b")

    def test_a_spec_without_its_data_is_refused(self):
        elsewhere = pathlib.Path(self.folder.name) / "toxicity.yaml"
        shutil.copy(EXAMPLES / "wichers" / "toxicity.yaml", elsewhere)
        done = self.dry_run(elsewhere)
        self.assertNotEqual(done.returncode, 0)
        self.assertIn("cmv-train.jsonl", done.stderr)


if __name__ == "__main__":
    unittest.main(argv=sys.argv[:1])
