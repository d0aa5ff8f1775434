"""How long a backup and a restore of a coordinator with much data take, and what its clients notice.

    python3 tests/bench/backup.py [--binaries build/dev/bin] [--count 8] [--megabytes 512] [--other /dev/shm] [--out FILE]

A server gets `count` experiments, each with a dataset of that size. Then, while the server runs and a client asks for one
of them over and over: a backup on the same file system (hard links), one on another, and a restore from that. The
page cache is warm. Docs/benchmarks.md has the figures.
"""

import argparse
import concurrent.futures
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
ROW_BYTES = 8 << 10
SPEC = """base_model: model
dataset: rows.jsonl
contexts: {neutral: {}}
arms: [{name: plain, train_context: neutral}]
evaluation: {prompts: prompts.jsonl}
"""


def write_dataset(path, megabytes, seed):
    """Rows that differ from those of every other seed."""
    source = random.Random(seed)
    filler = "".join(source.choices("abcdefgh ", k=ROW_BYTES))
    with path.open("w") as out:
        for row in range(megabytes * (1 << 20) // ROW_BYTES):
            out.write(json.dumps({"messages": [{"role": "user", "content": f"{seed} {row}"},
                                               {"role": "assistant", "content": filler}]}) + "\n")


class Server:
    def __init__(self, binaries, folder):
        self.binaries, self.data = binaries, folder / "data"
        port = folder / "port"
        self.process = subprocess.Popen(
            [binaries / "jenner-server", "--data-dir", self.data, "--listen", "127.0.0.1:0", "--metrics-listen", "",
             "--port-file", port], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while not port.exists():
            if self.process.poll() is not None:
                sys.exit(f"backup: the server ended with {self.process.returncode}")
            time.sleep(0.05)  # tidy: allow, polling
        self.address = f"127.0.0.1:{port.read_text().strip()}"

    def jenner(self, *words):
        return subprocess.run([self.binaries / "jenner", "--server", self.address, "--timeout", "600", *words], check=True,
                              capture_output=True)


def timed(call):
    started = time.monotonic()
    call()
    return time.monotonic() - started


def longest_answer_during(server, call):
    """Seconds of `call`, and of the slowest of the calls that a client made meanwhile."""
    ended = threading.Event()

    def ask():
        answers = []
        while not ended.is_set():
            answers.append(timed(lambda: server.jenner("experiment", "get", "e0")))
        return max(answers)
    with concurrent.futures.ThreadPoolExecutor() as client:
        slowest = client.submit(ask)
        try:
            seconds = timed(call)
        finally:
            ended.set()
        return seconds, slowest.result()


def measure(args, folder, other):
    server = Server(args.binaries, folder)
    (folder / "spec.yaml").write_text(SPEC)
    (folder / "prompts.jsonl").write_text('{"messages": [{"role": "user", "content": "?"}]}\n')
    try:
        for number in range(args.count):
            write_dataset(folder / "rows.jsonl", args.megabytes, number)
            server.jenner("experiment", "create", "-f", folder / "spec.yaml", "--id", f"e{number}")

        def backup(to):
            subprocess.run([args.binaries / "jenner-server", "backup", "--data-dir", server.data, "--to", to], check=True,
                           stdout=subprocess.DEVNULL)
        at_rest = max(timed(lambda: server.jenner("experiment", "get", "e0")) for _ in range(50))
        linked, answer_linked = longest_answer_during(server, lambda: backup(folder / "linked"))
        copied, answer_copied = longest_answer_during(server, lambda: backup(other / "copied"))
    finally:
        server.process.terminate()
        server.process.wait()
    restored = timed(lambda: subprocess.run(
        [args.binaries / "jenner-server", "restore", "--from", other / "copied", "--data-dir", folder / "restored"], check=True,
        stdout=subprocess.DEVNULL))
    size = sum(path.stat().st_size for path in server.data.rglob("*") if path.is_file())
    return {"data, GB": size / 1e9, "backup beside it (hard links), s": linked, "backup on another file system, s": copied,
            "restore from there, s": restored, "slowest answer at rest, s": at_rest,
            "slowest answer meanwhile, s": max(answer_linked, answer_copied)}


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binaries", type=pathlib.Path, default=ROOT / "build/dev/bin")
    parser.add_argument("--count", type=int, default=8)
    parser.add_argument("--megabytes", type=int, default=512)
    parser.add_argument("--other", type=pathlib.Path, default="/dev/shm", help="folder of another file system")
    parser.add_argument("--out", type=pathlib.Path)
    args = parser.parse_args()
    folder = pathlib.Path(tempfile.mkdtemp(prefix="jenner-backup-"))
    other = pathlib.Path(tempfile.mkdtemp(prefix="jenner-backup-", dir=args.other))
    try:
        found = {name: round(value, 2) for name, value in measure(args, folder, other).items()}
    except subprocess.CalledProcessError as fault:
        sys.exit(f"backup: {fault}: {fault.stderr}")
    finally:
        shutil.rmtree(folder)
        shutil.rmtree(other)
    text = json.dumps(found, indent=1) + "\n"
    if args.out:
        args.out.write_text(text)
    print(text, end="")


if __name__ == "__main__":
    main()
