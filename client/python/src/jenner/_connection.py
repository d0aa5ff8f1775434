"""The channel to the server, and calls that are tried again while that is worth it."""

from __future__ import annotations

import os
import random
import re
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import grpc
from google.protobuf.message import Message

from jenner.errors import (
    FailedPreconditionError,
    InvalidArgumentError,
    JennerError,
    NotFoundError,
    from_rpc,
)

_MAX_PEM_BYTES = 1 << 20
_MAX_SECRET_BYTES = 4096
_PAGE = 1000
_T = TypeVar("_T")
Metadata = tuple[tuple[str, str], ...]


def backoff(attempt: int) -> float:
    """Seconds before try `attempt` (0-based): 100 ms doubling to 2 s, the upper three quarters of it."""
    ceiling = min(2.0, 0.1 * 2 ** min(attempt, 8))
    return random.uniform(ceiling / 4, ceiling)


def _host_of(address: str) -> str:
    return address.rpartition(":")[0] or address


def _list_of(address: str) -> list[str]:
    """The members of "ipv4:a,b" or "ipv6:a,b"; empty: no such list."""
    return address[5:].split(",") if address.startswith(("ipv4:", "ipv6:")) else []


def is_loopback(address: str) -> bool:
    """Whether `address` is surely on this machine."""
    if address.startswith("unix:"):
        return True
    members = _list_of(address)
    if members:
        return all(map(is_loopback, members))
    host = _host_of(address)
    return host in ("localhost", "[::1]") or re.fullmatch(r"127\.[0-9.]*", host) is not None


def _read(path: str | os.PathLike[str], max_bytes: int) -> bytes:
    try:
        with Path(path).open("rb") as file:
            data = file.read(max_bytes + 1)
    except FileNotFoundError:
        raise NotFoundError(f"{path} cannot be read: No such file or directory") from None
    except OSError as error:
        raise FailedPreconditionError(f"{path} cannot be read: {error.strerror}") from None
    if len(data) > max_bytes:
        raise InvalidArgumentError(f"{path}: at most {max_bytes} bytes")
    return data


def read_secret(path: str | os.PathLike[str]) -> str:
    """The one word in the file `path`."""
    text = _read(path, _MAX_SECRET_BYTES).decode("latin-1").strip()
    if not text:
        raise InvalidArgumentError(f"{path}: is empty")
    if not all("!" <= letter <= "~" for letter in text):
        raise InvalidArgumentError(f"{path}: expected one word")
    return text


def _read_pem(path: str | os.PathLike[str], kind: str) -> bytes:
    data = _read(path, _MAX_PEM_BYTES)
    if b"-----BEGIN " not in data or f"{kind}-----".encode() not in data:
        raise InvalidArgumentError(f"{path}: expected PEM with a {kind}")
    return data


class Connection:
    """A channel with one's token. Thread-safe."""

    def __init__(
        self,
        server: str,
        *,
        ca: str | os.PathLike[str] | None,
        cert: str | os.PathLike[str] | None,
        key: str | os.PathLike[str] | None,
        token_file: str | os.PathLike[str] | None,
        timeout: float,
    ) -> None:
        if ":" not in server:
            raise InvalidArgumentError(f'server: expected HOST:PORT, found "{server}"')
        if not 0.1 <= timeout <= 3600:
            raise InvalidArgumentError(f"timeout: expected 0.1 to 3600 seconds, found {timeout:g}")
        self.server = server
        self.timeout = timeout
        token = read_secret(token_file) if token_file else ""
        credentials = _credentials(ca, cert, key)
        if token and credentials is None and not is_loopback(server):
            raise FailedPreconditionError(
                f"{server} is not on this machine and the connection is not encrypted: the token "
                "is not sent there (ca makes it TLS)"
            )
        self.metadata: Metadata = (("authorization", f"Bearer {token}"),) if token else ()
        options = _options(server, is_tls=credentials is not None)
        self.channel = (
            grpc.insecure_channel(server, options)
            if credentials is None
            else grpc.secure_channel(server, credentials, options)
        )
        self._closed = threading.Event()

    def close(self) -> None:
        """Ends what is under way; further calls raise ValueError."""
        self._closed.set()
        self.channel.close()

    def call(self, start: Callable[[float, Metadata], _T]) -> _T:
        """Calls `start(timeout, metadata)` until it answers, fails for good, or the time is over.

        Tried again: what is UNAVAILABLE, and what the server asks to repeat later. So `start` must be
        idempotent.
        """
        deadline = time.monotonic() + self.timeout
        attempt = 0
        while True:
            try:
                return start(max(deadline - time.monotonic(), 0.001), self.metadata)
            except grpc.RpcError as raised:
                error = from_rpc(raised)
            wait = max(error.retry_delay, backoff(attempt))
            worth_it = error.code is grpc.StatusCode.UNAVAILABLE or error.retry_delay > 0
            if not worth_it or time.monotonic() + wait >= deadline:
                raise self.named(error, self.timeout)
            self.pause(wait)
            attempt += 1

    def unary(self, method: Callable[..., _T], request: Message) -> _T:
        """The answer of the stub's unary `method` to `request`, as `call`."""
        return self.call(lambda timeout, metadata: method(request, timeout=timeout, metadata=metadata))

    def listed(self, method: Callable[..., Any], request: Any, field: str, limit: int) -> list[Any]:
        """Up to `limit` (0: all) items of the repeated `field` of the stub's paged `method`."""
        items: list[Any] = []
        while True:
            request.page_size = min(_PAGE, limit - len(items)) if limit else _PAGE
            response = self.unary(method, request)
            items += getattr(response, field)
            request.page_token = response.next_page_token
            if not request.page_token or (limit and len(items) >= limit):
                return items

    def named(self, error: JennerError, waited: float) -> JennerError:
        """`error`, and if nothing came from the server, which one that is."""
        silent = (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
        if error.code not in silent:
            return error
        text = f"no answer from {self.server} within {waited:g} s: {error.message}"
        return type(error)(text, reason=error.reason, metadata=error.metadata, retry_delay=error.retry_delay)

    def pause(self, seconds: float) -> None:
        """Waits; less if it is closed meanwhile."""
        self._closed.wait(seconds)


def _credentials(
    ca: str | os.PathLike[str] | None,
    cert: str | os.PathLike[str] | None,
    key: str | os.PathLike[str] | None,
) -> grpc.ChannelCredentials | None:
    if not ca:
        if cert or key:
            raise InvalidArgumentError("a certificate is of use with the CA of the other side only")
        return None
    if bool(cert) != bool(key):
        raise InvalidArgumentError("a certificate needs its key and a key its certificate")
    return grpc.ssl_channel_credentials(
        root_certificates=_read_pem(ca, "CERTIFICATE"),
        private_key=_read_pem(key, "PRIVATE KEY") if key else None,
        certificate_chain=_read_pem(cert, "CERTIFICATE") if cert else None,
    )


def _options(server: str, *, is_tls: bool) -> Sequence[tuple[str, int | str]]:
    """As wire/channel.cc of the service has them."""
    options: list[tuple[str, int | str]] = [
        ("grpc.max_receive_message_length", 8 << 20),
        ("grpc.max_send_message_length", 8 << 20),
        ("grpc.max_metadata_size", 64 << 10),
        ("grpc.absolute_max_metadata_size", 64 << 10),
        ("grpc.keepalive_time_ms", 20_000),
        ("grpc.keepalive_timeout_ms", 10_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.min_reconnect_backoff_ms", 200 if is_loopback(server) and not is_tls else 5_000),
        ("grpc.max_reconnect_backoff_ms", 5_000),
    ]
    members = _list_of(server)
    if is_tls and members:
        # By itself gRPC would look for the whole list in the certificate.
        options.append(("grpc.ssl_target_name_override", _host_of(members[0])))
    return options
