"""A real server on loopback, in a thread of this process, over the two models of `dialogue/speaker.py`."""

import io
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from fastapi import FastAPI

from dialogue.speaker import babbler, dialogue, parrot
from groundup.serve.guard import Limits
from groundup.serve.http import create_app
from groundup.serve.run import listen, make_server


@dataclass
class House:
    """Where a server is, and what it has logged."""

    port: int
    app: FastAPI
    log: io.StringIO = field(default_factory=io.StringIO)

    @property
    def root(self) -> str:
        """Its address."""
        return f"http://127.0.0.1:{self.port}"

    def connect(self) -> socket.socket:
        """A bare connection."""
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)


@contextmanager
def listening(app: FastAPI) -> Iterator[int]:
    """The port of an application that is served on loopback until the end."""
    ready = threading.Event()
    with listen("127.0.0.1", 0) as bound:
        server = make_server(app, ready.set)
        thread = threading.Thread(target=server.run, kwargs={"sockets": [bound]})
        thread.start()
        try:
            assert ready.wait(30)
            yield bound.getsockname()[1]
        finally:
            server.should_exit = True
            thread.join(30)
            assert not thread.is_alive()


@contextmanager
def serving(limits: Limits | None = None, key: str | None = None, rows: int = 4) -> Iterator[House]:
    """A server with the models `parrot`, which answers one thing, and `babbler`, which seldom ends."""
    log = io.StringIO()
    models = {"parrot": dialogue(parrot(), rows), "babbler": dialogue(babbler(), rows)}
    app = create_app(models, limits=limits, key=key, log=log)
    with listening(app) as port:
        yield House(port, app, log)
