#!/usr/bin/env python3
"""An example judge: the service of proto/jenner/v1/judge.proto (docs/judge.md).

    python3 -m venv venv && venv/bin/pip install --require-hashes -r examples/judge/requirements.txt
    venv/bin/python examples/judge/judge.py --listen 127.0.0.1:7090
    jenner-worker --judge main=127.0.0.1:7090 ...

Without --model it is deterministic: an instruction is "keywords: sorry, please", and the score is the
share of these words that the answer has. With --model MODULE:FUNCTION a language model of yours is asked:

    def first_tokens(question: str) -> list[tuple[str, float]]: ...

returns the likeliest first tokens (20 or so) of the model's reply at temperature 0, each with the natural
logarithm of its probability. Raise TryAgain where it is busy; any other exception leaves that one answer
without a score.
"""

import argparse
import importlib
import signal
import sqlite3
import sys
import tempfile
import threading
from collections.abc import Callable
from concurrent import futures
from pathlib import Path

import rubric

MAX_ITEMS = 64
NUM_THREADS = 16

Model = Callable[[str], list[tuple[str, float]]]


class TryAgain(Exception):
    """The model is busy, or away: the agent is to ask again."""


class Cache:
    """What a model said of an item, for a job that goes on from a checkpoint asks again. Each entry is a
    transaction of SQLite's: a kill loses none and leaves no half of one."""

    def __init__(self, path: str):
        self._lock = threading.Lock()
        self._database = sqlite3.connect(path, check_same_thread=False, isolation_level=None)
        self._database.execute(
            "CREATE TABLE IF NOT EXISTS scores (instruction TEXT, prompt TEXT, answer TEXT,"
            " score REAL NOT NULL, PRIMARY KEY (instruction, prompt, answer)) STRICT, WITHOUT ROWID"
        )

    def get(self, key: tuple[str, str, str]) -> float | None:
        with self._lock:
            row = self._database.execute(
                "SELECT score FROM scores WHERE instruction = ? AND prompt = ? AND answer = ?", key
            ).fetchone()
        return None if row is None else row[0]

    def put(self, key: tuple[str, str, str], score: float) -> None:
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO scores VALUES (?, ?, ?, ?)", (*key, score))


def score_item(
    instruction: str, prompt: str, answer: str, model: Model | None, cache: Cache | None
) -> float | rubric.NoScore:
    if model is None:
        return rubric.keyword_score(instruction, answer)
    key = (instruction, prompt, answer)
    if cache is not None and (known := cache.get(key)) is not None:
        return known
    try:
        score = rubric.weighted_score(model(rubric.question(instruction, prompt, answer)))
    except TryAgain:
        raise
    except Exception as error:  # of a model that anybody may have written
        return rubric.NoScore(f"{type(error).__name__}: {error}")
    if cache is not None and not isinstance(score, rubric.NoScore):
        cache.put(key, score)
    return score


def make_stubs(proto: Path):
    """The modules that protoc makes of judge.proto."""
    import grpc_tools
    from google.api import field_behavior_pb2
    from grpc_tools import protoc

    out = tempfile.mkdtemp(prefix="jenner-judge-")
    code = protoc.main(
        [
            "protoc",
            f"-I{proto}",
            f"-I{Path(field_behavior_pb2.__file__).parents[2]}",
            f"-I{Path(grpc_tools.__file__).parent / '_proto'}",
            f"--python_out={out}",
            f"--grpc_python_out={out}",
            "jenner/v1/judge.proto",
        ]
    )
    if code != 0:
        raise SystemExit(f"judge: protoc could not read {proto}/jenner/v1/judge.proto")
    sys.path.insert(0, out)
    return (
        importlib.import_module("jenner.v1.judge_pb2"),
        importlib.import_module("jenner.v1.judge_pb2_grpc"),
    )


def make_server(proto: Path, model: Model | None = None, cache: Cache | None = None):
    """A grpc.Server with the judge, without a port; and the stubs' modules."""
    import grpc

    messages, services = make_stubs(proto)

    class Judge(services.JudgeServicer):
        def __init__(self):
            self._pool = futures.ThreadPoolExecutor(NUM_THREADS)

        def Score(self, request, context):
            if len(request.items) > MAX_ITEMS:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"items: at most {MAX_ITEMS}")
            if model is None:
                try:
                    rubric.keywords_of(request.instruction)
                except rubric.BadInstruction as error:
                    context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"instruction: {error}")
            jobs = [
                self._pool.submit(
                    score_item, request.instruction, item.prompt, item.answer, model, cache
                )
                for item in request.items
            ]
            response = messages.ScoreResponse()
            for item, job in zip(request.items, jobs, strict=True):
                try:
                    score = job.result()
                except TryAgain as error:
                    context.abort(grpc.StatusCode.UNAVAILABLE, f"the model: {error}")
                if isinstance(score, rubric.NoScore):
                    response.results.add(id=item.id, reason=score.reason)
                else:
                    response.results.add(id=item.id, score=score)
            return response

    server = grpc.server(futures.ThreadPoolExecutor(NUM_THREADS))
    services.add_JudgeServicer_to_server(Judge(), server)
    return server, messages, services


def is_loopback(address: str) -> bool:
    host = address.rpartition(":")[0]
    return host in ("localhost", "[::1]") or host.startswith("127.")


def add_port(server, flags) -> int:
    import grpc

    if flags.cert is None:
        if not is_loopback(flags.listen):
            raise SystemExit("judge: off this machine it wants --cert, --key and --ca")
        return server.add_insecure_port(flags.listen)
    if flags.key is None or flags.ca is None:
        raise SystemExit("judge: --cert wants --key and --ca, too")
    credentials = grpc.ssl_server_credentials(
        [(Path(flags.key).read_bytes(), Path(flags.cert).read_bytes())],
        root_certificates=Path(flags.ca).read_bytes(),
        require_client_auth=True,  # the agents': nobody else is to have answers judged
    )
    return server.add_secure_port(flags.listen, credentials)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--listen", default="127.0.0.1:7090", help="HOST:PORT; port 0: any")
    parser.add_argument(
        "--proto",
        type=Path,
        default=Path(__file__).resolve().parents[2] / "proto",
        help="folder of jenner/v1/judge.proto",
    )
    parser.add_argument("--model", help="MODULE:FUNCTION, see above")
    parser.add_argument("--cache", help="file to keep a model's scores in")
    parser.add_argument("--cert", help="certificate (PEM); with it all is TLS")
    parser.add_argument("--key", help="its key (PEM)")
    parser.add_argument("--ca", help="CA (PEM) of the agents' certificates")
    flags = parser.parse_args()
    model = None
    if flags.model is not None:
        module, _, function = flags.model.partition(":")
        model = getattr(importlib.import_module(module), function)
    server, _, _ = make_server(flags.proto, model, Cache(flags.cache) if flags.cache else None)
    port = add_port(server, flags)
    server.start()
    print(f"judge: listening on {flags.listen.rpartition(':')[0]}:{port}", flush=True)
    ended = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    ended.wait()
    server.stop(grace=5).wait()


if __name__ == "__main__":
    main()
