"""The door of the server, for HTTP and websockets alike: who may come in, with how much, and for how long.

Plain ASGI around the whole application, the page included, so that nothing is reachable beside it.
"""

import asyncio
import contextlib
import hmac
import ipaddress
import json
import time
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any

from groundup.serve.entry import COOKIE, ENTRY, PAGE, cookie_of, form
from groundup.serve.telemetry import Telemetry
from groundup.serve.wire import ApiError

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

OPEN_ROUTES = frozenset({"/health", ENTRY})
"""What needs no key: a load balancer has none, and neither has who is about to give it."""

LINGER_SECONDS = 2.0


@dataclass(frozen=True)
class Limits:
    """What one client may ask of the server."""

    body_bytes: int = 1 << 20
    messages: int = 1000
    """Messages in one chat."""
    waiting: int = 256
    """Requests that may wait beside those that run; more are refused with 429."""
    read_seconds: float = 20.0
    """For the head of a request, and for its body, to arrive whole."""
    write_seconds: float = 30.0
    """For a client to take one piece of the answer."""
    request_seconds: float = 300.0
    """For a whole reply: it is cut there, as at `max_tokens`."""


class Guard:
    """Checks the key, or without one the Host, bounds body and waiting, logs and counts, and turns a crash into a 500.

    Without a key a server listens on loopback alone. There a name other than this machine's is refused, because any
    web page can let its own name point here (DNS rebinding). A browser sends its cookies, and reaches loopback, for
    whatever page asks it to: what comes from another page than ours, websockets too, needs the key itself.
    """

    def __init__(self, app: App, *, limits: Limits, telemetry: Telemetry, key: str | None) -> None:
        self._app, self._limits, self._telemetry = app, limits, telemetry
        self._key = None if key is None else key.encode()
        self._cookie = None if key is None else cookie_of(key).encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One connection."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
            return
        began, answer = time.monotonic(), _Answer(send, self._limits.write_seconds)
        try:
            self._admit(scope)
            receive = await self._body(receive) if scope["type"] == "http" else receive
            await self._app(scope, receive, answer.send)
        except ApiError as error:
            await answer.refuse(scope, error)
        except (TimeoutError, ConnectionError):
            answer.status = 499  # nginx's number for a client that went away
        except Exception as error:
            self._telemetry.failure(error)
            await answer.refuse(scope, ApiError(500, "the server failed at this request; its log says where"))
        finally:
            if scope["type"] == "http":
                route = getattr(scope.get("route"), "path", "unknown")
                seconds = time.monotonic() - began
                self._telemetry.request(route, scope["method"], answer.status, seconds, **scope.get("facts", {}))

    def _admit(self, scope: Scope) -> None:
        """Raises ApiError for a client that may not come in."""
        headers = dict(scope["headers"])
        if self._has_key(headers):
            return
        host = headers.get(b"host", b"localhost")
        if self._key is None and not is_loopback(_host(host)):
            raise ApiError(403, "this server answers to the names of its own machine only; use localhost")
        if headers.get(b"origin", host).rpartition(b"//")[2] != host:
            raise ApiError(403, "this comes from a web page of another server; open the page of this one")
        if self._key is not None and scope["path"] not in OPEN_ROUTES and not self._has_cookie(headers):
            raise ApiError(401, "the API key is missing or wrong; send it as Authorization: Bearer KEY",
                           code="invalid_api_key")  # fmt: skip

    def _has_key(self, headers: Mapping[bytes, bytes]) -> bool:
        """Does the client send the key itself?"""
        scheme, _, given = headers.get(b"authorization", b"").partition(b" ")
        return self._key is not None and scheme.lower() == b"bearer" and hmac.compare_digest(given.strip(), self._key)

    def _has_cookie(self, headers: Mapping[bytes, bytes]) -> bool:
        """Does the client send what a browser was given for the key?"""
        pairs = (pair.strip().partition(b"=") for pair in headers.get(b"cookie", b"").split(b";"))
        given = next((value for name, _, value in pairs if name == COOKIE.encode()), b"")
        return self._cookie is not None and hmac.compare_digest(given, self._cookie)

    async def _body(self, receive: Receive) -> Receive:
        """Read the whole body; what is behind finds it there. Raises ApiError when it is too large or too late."""
        body, more = bytearray(), True
        try:
            async with asyncio.timeout(self._limits.read_seconds):
                while more and len(body) <= self._limits.body_bytes:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ConnectionResetError
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
        except TimeoutError:
            seconds = self._limits.read_seconds
            raise ApiError(408, f"the body did not arrive in {seconds:g} s; send it at once") from None
        if len(body) > self._limits.body_bytes:
            await _pour_away(receive)
            raise ApiError(413, f"the body has more than {self._limits.body_bytes} bytes; send less")
        first = True

        async def replay() -> Message:
            nonlocal first
            if first:
                first = False
                return {"type": "http.request", "body": bytes(body), "more_body": False}
            return await receive()

        return replay


class _Answer:
    """What goes back to the client: bounded in time, its status remembered."""

    def __init__(self, send: Send, seconds: float) -> None:
        self._send, self._seconds = send, seconds
        self.status = 499
        self._begun = False

    async def send(self, message: Message) -> None:
        """Hand on one message. Raises TimeoutError for a client that does not take it."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
        self._begun = True
        async with asyncio.timeout(self._seconds):
            await self._send(message)

    async def refuse(self, scope: Scope, error: ApiError) -> None:
        """Answer with an error, if nothing was answered yet."""
        if self._begun:
            return
        if scope["type"] == "websocket":
            await self.send({"type": "websocket.close", "code": 1008, "reason": str(error)})
            return
        kind, body = "application/json", json.dumps(error.body()).encode()
        if error.status == 401 and _opens_the_page(scope):
            kind, body = "text/html; charset=utf-8", form().encode()
        headers = {"content-type": kind, "content-length": str(len(body)), "connection": "close"}
        pairs = [(name.lower().encode(), value.encode()) for name, value in (headers | error.headers).items()]
        await self.send({"type": "http.response.start", "status": error.status, "headers": pairs})
        await self.send({"type": "http.response.body", "body": body})


def _opens_the_page(scope: Scope) -> bool:
    """Does a person ask for the page with a browser, and is there one?"""
    wants_html = any(name == b"accept" and b"text/html" in value for name, value in scope["headers"])
    return wants_html and bool(scope["path"].startswith(PAGE)) and bool(scope["app"].state.page)


async def _pour_away(receive: Receive) -> None:
    """Take the rest of too large a body for a moment: a client that is still sending would not read our answer."""
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(LINGER_SECONDS):
            while (await receive()).get("more_body", False):
                pass


def is_loopback(host: str) -> bool:
    """Is a host name or address this very machine's own?

    >>> is_loopback("127.0.0.1"), is_loopback("::1"), is_loopback("0.0.0.0"), is_loopback("evil.example")
    (True, True, False, False)
    """
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower().rstrip(".") == "localhost"


def _host(header: bytes) -> str:
    """The name in a Host header, without its port."""
    text = header.decode("latin-1")
    if text.startswith("["):
        return text[1:].partition("]")[0]
    return text.rpartition(":")[0] if text.rpartition(":")[2].isdigit() and ":" in text else text
