"""The server as a process: a socket, uvicorn, and an end in which replies on their way are finished."""

import asyncio
import signal
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h11
import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from groundup.errors import ConfigError
from groundup.serve.guard import is_loopback
from groundup.serve.telemetry import quiet_uvicorn

HEAD_SECONDS = 20.0
"""For the head of a request to arrive: a client that sends a byte a minute must not keep its connection."""

DRAIN_SECONDS = 60
"""For replies on their way to end after SIGTERM."""


class Punctual(H11Protocol):
    """uvicorn's HTTP/1.1, which gives a client only so long to say what it wants."""

    _watch: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A client came."""
        super().connection_made(transport)
        self._attend()

    def data_received(self, data: bytes) -> None:
        """A client sent something."""
        super().data_received(data)
        self._attend()

    def on_response_complete(self) -> None:
        """A request was answered, and another one may come: uvicorn's own timer waits for it."""
        super().on_response_complete()
        self._attend(idle=True)

    def connection_lost(self, exc: Exception | None) -> None:
        """A client went."""
        super().connection_lost(exc)
        self._attend(idle=True)

    def _attend(self, idle: bool = False) -> None:
        """Watch while a head is awaited. The clock runs from its first byte: more bytes do not set it back."""
        awaited = not idle and self.conn.their_state is h11.IDLE
        if self._watch is not None and not awaited:
            self._watch.cancel()
            self._watch = None
        elif self._watch is None and awaited:
            self._watch = self.loop.call_later(HEAD_SECONDS, self.transport.close)


def listen(host: str, port: int) -> socket.socket:
    """A socket that clients can come to; port 0 is any free one. Raises ConfigError when it cannot be had."""
    try:
        family = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0][0]
        return socket.create_server((host, port), family=family, backlog=2048)
    except (OSError, OverflowError) as error:
        raise ConfigError(f"--host {host} --port {port}: {error}; choose another port, or 0 for any free one") from None


def read_key(path: Path | None, host: str) -> str | None:
    """The API key in a file. Raises ConfigError for an empty or missing file, and for an open door without a key."""
    if path is None:
        if not is_loopback(host):
            raise ConfigError(f"--host {host} can be reached from elsewhere; give a key with --api-key-file FILE")
        return None
    try:
        key = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"--api-key-file {path}: {error}; give a text file with the key") from None
    if not key or not key.isascii() or not key.isprintable():
        raise ConfigError(f"--api-key-file {path}: it holds no key of printable ASCII letters; write one into it")
    return key


def make_server(app: Any, ready: Callable[[], None] = lambda: None) -> uvicorn.Server:
    """uvicorn around the application. Calls `ready` when clients may come."""

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            if self.started:
                ready()

    quiet_uvicorn()
    config = uvicorn.Config(
        app, http=Punctual, lifespan="on", log_config=None, access_log=False, server_header=False, ws="auto",
        timeout_keep_alive=30, timeout_graceful_shutdown=DRAIN_SECONDS,
    )  # fmt: skip
    return Server(config)


def run(app: Any, bound: socket.socket, ready: Callable[[], None] = lambda: None) -> None:
    """Serve until SIGTERM or SIGINT, then finish the replies on their way. In the main thread only."""
    server = make_server(app, ready)
    before = {number: signal.signal(number, lambda *_: None) for number in (signal.SIGTERM, signal.SIGINT)}
    try:  # uvicorn raises the signal again at its end: its work is done then
        server.run(sockets=[bound])
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
