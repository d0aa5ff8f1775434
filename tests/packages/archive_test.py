"""The archive (cpack -G TGZ) of this build, unpacked elsewhere, where neither build nor cache can be seen.

JENNER_BUILD is the build folder; what is shipped was built (target `shipped`). Needs a mount namespace: root, or a
kernel that grants one to users.
"""

import os
import pathlib
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
import unittest

BUILD = pathlib.Path(os.environ["JENNER_BUILD"])
CACHE = pathlib.Path(os.environ["JENNER_CACHE"])
PROGRAMS = os.environ["JENNER_PROGRAMS"].split(",")
VERSION = re.search(r"^CMAKE_PROJECT_VERSION:STATIC=(.*)$", (BUILD / "CMakeCache.txt").read_text(), re.MULTILINE)[1]
ROOT = pathlib.Path(__file__).parents[2]


def hidden(*command, **more):
    """Runs `command` where build folder and cache are empty."""
    script = 'for folder in "$1" "$2"; do mount -t tmpfs none "$folder" || exit 99; done; shift 2; exec "$@"'
    for apart in (["unshare", "--mount"], ["unshare", "--mount", "--map-root-user"]):
        if subprocess.run([*apart, "true"], capture_output=True, check=False).returncode == 0:
            break
    else:
        raise unittest.SkipTest("nothing can be mounted apart from all others here; in a chroot the kernel refuses it")
    done = subprocess.run([*apart, "sh", "-c", script, "sh", str(BUILD), str(CACHE), *map(str, command)],
                          capture_output=True, text=True, timeout=120, **more)
    assert done.returncode != 99, done.stderr
    return done


class Archive(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp())
        try:
            subprocess.run([os.environ["JENNER_CPACK"], "--config", BUILD / "CPackConfig.cmake", "-G", "TGZ", "-B", cls.folder],
                           check=True, capture_output=True, text=True, timeout=500)
            (archive,) = cls.folder.glob("*.tar.gz")
            cls.name = archive.name.removesuffix(".tar.gz")
            recorded, name = (archive.parent / f"{archive.name}.sha256").read_text().split()
            actual = subprocess.run(["sha256sum", archive], check=True, capture_output=True, text=True).stdout.split()[0]
            assert (recorded, name) == (actual, archive.name)
            # Somewhere else than where it was made.
            with tarfile.open(archive) as opened:
                cls.members = opened.getnames()
                opened.extractall(cls.folder / "moved/to here")
            cls.root = cls.folder / "moved/to here" / cls.name
            archive.unlink()
            shutil.rmtree(cls.folder / "_CPack_Packages", ignore_errors=True)
        except BaseException as error:
            print(getattr(error, "stderr", ""), file=sys.stderr)
            shutil.rmtree(cls.folder)
            raise

    @classmethod
    def tearDownClass(cls):
        shutil.rmtree(cls.folder)

    def test_name_and_content(self):
        self.assertRegex(self.name, f"^jenner-{re.escape(VERSION)}-linux-")
        for path in self.members:
            self.assertTrue(path == self.name or path.startswith(f"{self.name}/"), path)
        self.assertEqual({path.name for path in (self.root / "bin").iterdir()}, set(PROGRAMS))
        self.assertEqual({path.name for path in self.root.iterdir()} - {"lib"}, {"bin", "share"})
        for path in ("share/man/man1/jenner.1", "share/bash-completion/completions/jenner", "share/doc/jenner/LICENSE",
                     "share/doc/jenner/third-party.txt", "share/doc/jenner/docs/release.md", "share/doc/jenner-server/copyright",
                     "share/doc/jenner/examples/spanish-capitals/experiment.yaml"):
            self.assertTrue((self.root / path).is_file(), path)

    def test_programs_run(self):
        for folder in (BUILD, CACHE):
            self.assertNotEqual(list(folder.iterdir()), [])
            self.assertEqual(hidden("ls", "-A", folder).stdout, "")
        for program in PROGRAMS:
            done = hidden(self.root / "bin" / program, "--version", cwd="/")
            self.assertEqual((done.returncode, done.stdout.strip()), (0, f"{program} {VERSION}"), done.stderr)
            self.assertIn("Usage:", hidden(self.root / "bin" / program, "--help", cwd="/").stdout)

    def test_loads_nothing_of_the_build(self):
        for path in [*(self.root / "bin").iterdir(), *self.root.rglob("*.so*")]:
            loaded = hidden("ldd", path).stdout
            self.assertIn("libc.so.6", loaded, path)
            self.assertNotIn("not found", loaded, path)
            for own in (BUILD, CACHE):
                self.assertNotIn(str(own), loaded, path)
            dynamic = subprocess.run(["readelf", "-d", path], check=True, capture_output=True, text=True).stdout
            for entry in re.findall(r"Library r(?:un)?path: \[(.*)\]", dynamic):
                for folder in entry.split(":"):
                    self.assertTrue(folder.startswith("$ORIGIN"), f"{path}: {entry}")
            sections = subprocess.run(["readelf", "-SW", path], check=True, capture_output=True, text=True).stdout
            self.assertNotIn(".debug_info", sections, path)

    @unittest.skipUnless("jenner-trainer" in PROGRAMS, "a build without libtorch has no trainer")
    def test_trains(self):
        golden = ROOT / "tests/golden/train"
        done = hidden(self.root / "bin/jenner-trainer", "--spec", golden / "lora_job.json", "--models-dir", golden, "--data-dir", golden,
                      "--out", self.folder / "trained", "--threads", "1")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertIn('"kind":"finished"', done.stdout.splitlines()[-1])
        done = hidden(self.root / "bin/jenner-export", "--model", golden / "model", "--adapter", self.folder / "trained/adapter",
                      "--out", self.folder / "merged")
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertTrue((self.folder / "merged/model.safetensors").is_file())

    def test_completion_of_the_installation(self):
        done = hidden(self.root / "bin/jenner", "completion", "bash")
        self.assertEqual(done.stdout, (self.root / "share/bash-completion/completions/jenner").read_text(), done.stderr)

    def test_licences(self):
        text = (self.root / "share/doc/jenner/third-party.txt").read_text()
        for part in ("crate   tokenizers ", "npm     @observablehq/plot ", "Debian  nlohmann-json3-dev ", "wheel   googleapis-common-protos "):
            self.assertIn(part, text)
        if "jenner-trainer" in PROGRAMS:
            text = (self.root / "share/doc/jenner-worker/third-party.txt").read_text()
            for part in ("wheel   torch ", "wheel   nvidia-cuda-runtime ", "wheel   nvidia-cuda-cupti ", "libgomp"):
                self.assertIn(part, text)


if __name__ == "__main__":
    unittest.main()
