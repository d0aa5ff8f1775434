from __future__ import annotations

from collections.abc import Iterator

import pytest

import jenner
from fake_server import FakeServer
from jenner import _connection, _watch


@pytest.fixture(autouse=True)
def _no_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SERVER", "CA", "CERT", "KEY", "TOKEN_FILE", "OWNER"):
        monkeypatch.delenv(f"JENNER_{name}", raising=False)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tries follow one another at once."""
    for module in (_connection, _watch):
        monkeypatch.setattr(module, "backoff", lambda attempt: 0.001)


@pytest.fixture
def fake() -> Iterator[FakeServer]:
    server = FakeServer()
    yield server
    server.stop()


@pytest.fixture
def client(fake: FakeServer) -> Iterator[jenner.Client]:
    with jenner.Client(fake.address, timeout=5) as one:
        yield one
