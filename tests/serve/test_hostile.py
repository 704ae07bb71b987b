"""Clients that mean no good, or have no sense: nothing they do may hang the server, crash it, or leave a text in it."""

import asyncio
import gc
import json
import socket
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import psutil
import pytest

from dialogue.speaker import tokenizer
from groundup.serve import guard, run
from groundup.serve.guard import Limits
from groundup.tokenizer.special import SPECIAL
from serve.house import House, serving

CHAT = "/v1/chat/completions"
HI = {"model": "parrot", "messages": [{"role": "user", "content": "Hi"}]}
ENDLESS = {"model": "babbler", "messages": HI["messages"], "logit_bias": {"100": 100}}
"""A reply as long as the context."""


@pytest.fixture(scope="module")
def client(house: House) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=house.root, timeout=20) as made:
        yield made


def idle(house: House) -> bool:
    """Does nothing run or wait any more? Waits for it for a while."""
    for _ in range(200):
        if all(model._worker.open == 0 for model in house.app.state.models.values()):
            return True
        time.sleep(0.05)
    return False


def is_an_error(answer: httpx.Response, status: int) -> bool:
    """Of this status, and in OpenAI's shape."""
    assert answer.status_code == status, answer.text
    return set(answer.json()["error"]) == {"message", "type", "param", "code"}


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b'"a"',
        b"\xff\xfe",
        b"[" * 100_000,
        b'{"model": "parrot", "messages": "x"}',
        b'{"model": "parrot", "messages": [{"role": "root", "content": "x"}]}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "x"}]}]}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "temperature": NaN}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "temperature": 1e999}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "top_p": -Infinity}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "max_tokens": -5}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "top_k": 10000000000}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "max_tokens": 1.5}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "seed": 1' + b"0" * 5000 + b"}",
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "logit_bias": {"\xd9\xa3": 1}}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "stop": ""}',
        b'{"model": "parrot", "prompt": "", "messages": [], "response_format": {"type": "regex"}}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}], "response_format": {"type": "yaml"}}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}],'
        b'"response_format": {"type": "regex", "regex": "((("}}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}],'
        b'"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"$ref": "#/nowhere"}}}}',
        b'{"model": "parrot", "messages": [{"role": "user", "content": "x"}],'
        b'"response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": false}}}',
    ],
)
def test_bodies_that_make_no_sense(client: httpx.Client, body: bytes) -> None:
    assert is_an_error(client.post(CHAT, content=body, headers={"content-type": "application/json"}), 400)


@pytest.mark.parametrize(
    "options",
    [{"temperature": 1e-300}, {"top_p": 1e-300}, {"top_k": 2**31 - 1}, {"repetition_penalty": 0.01}, {"min_p": 1e-300}],
)
def test_extreme_numbers_still_draw(client: httpx.Client, options: dict[str, float]) -> None:
    bias = {str(token): -100 for token in range(256)}
    body = {**HI, "model": "babbler", "max_tokens": 5, "presence_penalty": -2, "logit_bias": bias, **options}
    assert client.post(CHAT, json=body).status_code == 200


def test_unknown_routes_and_methods(client: httpx.Client) -> None:
    for path in ("/v1/nothing", "/v1/chat", "/", "/v1/../../etc/passwd", "/v1/%2e%2e/%2e%2e/etc/passwd", "/docs"):
        assert is_an_error(client.get(path), 404)
    assert is_an_error(client.get("/v1/models/..%2f..%2fetc%2fpasswd"), 404)
    answer = client.delete(CHAT)
    assert is_an_error(answer, 405) and answer.headers["allow"] == "POST"


def test_lone_surrogates_go_in_and_come_out(client: httpx.Client) -> None:
    odd = json.dumps({"prompt": "a\ud800b"}).encode()
    ids = client.post("/tokenize", content=odd, headers={"content-type": "application/json"}).json()["tokens"]
    assert client.post("/detokenize", json={"tokens": ids}).json() == {"prompt": "a?b"}
    named = json.dumps({**HI, "model": "\ud800"}).encode()
    assert is_an_error(client.post(CHAT, content=named, headers={"content-type": "application/json"}), 404)
    stop = json.dumps({**HI, "stop": "\ud800"}).encode()
    assert is_an_error(client.post(CHAT, content=stop, headers={"content-type": "application/json"}), 400)


def test_text_never_yields_a_special_id(client: httpx.Client) -> None:
    spelled = " ".join(SPECIAL)
    special = set(tokenizer().special.values())
    assert not special & set(client.post("/tokenize", json={"prompt": spelled}).json()["tokens"])
    talk = [{"role": "user", "content": spelled}]
    ids = client.post("/tokenize", json={"messages": talk, "model": "parrot"}).json()["tokens"]
    inside = tokenizer().encode(spelled)
    assert ids[1 : 1 + len(inside)] == inside and len(ids) == len(inside) + 3
    for field in ("prompt", "stop"):
        body = {"model": "babbler", "prompt": "a", "max_tokens": 4, field: "<|end_of_turn|>"}
        assert client.post("/v1/completions", json=body).status_code == 200


def test_a_huge_body_is_refused_while_it_comes(client: httpx.Client, house: House) -> None:
    before = psutil.Process().memory_info().rss
    block = b"x" * (1 << 20)
    assert is_an_error(client.post(CHAT, content=block * 3), 413)
    assert is_an_error(client.post(CHAT, content=(block for _ in range(100))), 413)  # chunked: no length is announced
    assert psutil.Process().memory_info().rss - before < 50 << 20
    with house.connect() as line:
        line.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 104857600\r\n\r\n")
        line.sendall(b"y" * (2 << 20))
        assert line.recv(20).startswith(b"HTTP/1.1 413")


def test_a_million_messages_are_refused(client: httpx.Client) -> None:
    message = b'{"role":"user","content":"a"},'
    body = b'{"model":"parrot","messages":[' + message * 1_000_000 + b'{"role":"user","content":"a"}]}'
    assert is_an_error(client.post(CHAT, content=body), 413)
    assert is_an_error(client.post(CHAT, json={**HI, "messages": HI["messages"] * 1001}), 400)


def test_heads_that_are_too_large_or_no_http(house: House) -> None:
    for sent in (b"GET / HTTP/1.1\r\nA: " + b"x" * 100_000, b"\x16\x03\x01 not http\r\n\r\n"):
        with house.connect() as line:
            line.sendall(sent)
            assert line.recv(100).startswith(b"HTTP/1.1 400")


def test_slow_clients_are_let_go(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "HEAD_SECONDS", 0.5)
    with serving(Limits(read_seconds=0.5)) as house:
        with house.connect() as silent, house.connect() as slow, house.connect() as body:
            body.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
            started = time.monotonic()
            try:
                while time.monotonic() - started < 10:
                    slow.sendall(b"G")
                    time.sleep(0.1)
            except OSError:
                pass
            assert time.monotonic() - started < 8, "a byte now and then keeps no connection"
            assert silent.recv(10) == b""
            assert body.recv(20).startswith(b"HTTP/1.1 408")
        with house.connect() as again:  # the second request of a connection is watched too
            for _ in range(2):
                again.sendall(b"GET /health HTTP/1.1\r\nHost: localhost\r\n\r\n")
                answer = b""
                while not answer.endswith(b"}"):
                    answer += again.recv(1000)
                assert answer.startswith(b"HTTP/1.1 200")
            again.sendall(b"GET")
            assert again.recv(10) == b""


def test_who_goes_away_frees_the_engine(house: House, client: httpx.Client) -> None:
    for stream in (True, False):
        body = json.dumps({**ENDLESS, "n": 4, "stream": stream}).encode()
        head = f"POST {CHAT} HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
        with house.connect() as line:
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            if stream:
                assert line.recv(100).startswith(b"HTTP/1.1 200")
            line.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        assert idle(house)
    assert client.post(CHAT, json=HI).status_code == 200


def test_a_full_queue_says_when_to_come_back() -> None:
    with serving(Limits(waiting=1), rows=1) as house, httpx.Client(base_url=house.root, timeout=60) as client:
        with ThreadPoolExecutor(12) as pool:
            answers = list(pool.map(lambda _: client.post(CHAT, json=ENDLESS), range(12)))
        assert {answer.status_code for answer in answers} == {200, 429}
        refused = next(answer for answer in answers if answer.status_code == 429)
        assert is_an_error(refused, 429) and int(refused.headers["retry-after"]) >= 1
        assert is_an_error(client.post(CHAT, json={**ENDLESS, "n": 3}), 429)
        assert client.post(CHAT, json=HI).status_code == 200
        assert 'groundup_refused_total{model="babbler"}' in client.get("/metrics").text


def test_a_reply_that_takes_too_long_is_cut() -> None:
    with serving(Limits(request_seconds=0.05)) as house, httpx.Client(base_url=house.root, timeout=20) as client:
        answer = client.post(CHAT, json={**ENDLESS, "n": 4})
        assert answer.status_code == 429 or {c["finish_reason"] for c in answer.json()["choices"]} == {"length"}
        assert idle(house)


@pytest.mark.parametrize("key", [None, "Bearer", "Bearer wrong", "Basic right", "Bearer right2", "Bearer righ"])
def test_a_wrong_key_opens_nothing_but_health(locked: House, key: str | None) -> None:
    headers = {} if key is None else {"authorization": key}
    with httpx.Client(base_url=locked.root, headers=headers) as client:
        for path in ("/v1/models", "/metrics", "/openapi.json", "/ui", "/nothing"):
            assert is_an_error(client.get(path), 401)
        assert is_an_error(client.post(CHAT, json=HI), 401)
        assert client.get("/health").json() == {"status": "ok"}


def test_the_right_key_opens(locked: House) -> None:
    with httpx.Client(base_url=locked.root, headers={"authorization": "Bearer right"}) as client:
        assert client.post(CHAT, json=HI).status_code == 200


@pytest.fixture(scope="module")
def locked() -> Iterator[House]:
    with serving(key="right") as running:
        yield running


def test_another_name_pointed_here_is_refused(client: httpx.Client) -> None:
    assert is_an_error(client.get("/v1/models", headers={"host": "evil.example:80"}), 403)
    for host in ("localhost", "127.0.0.1:99", "[::1]:8000"):
        assert client.get("/v1/models", headers={"host": host}).status_code == 200


def test_the_log_has_sizes_and_no_text(house: House, client: httpx.Client) -> None:
    secret = "zebra-4711"
    talk = [{"role": "user", "content": secret}]
    client.post(CHAT, json={**HI, "messages": talk, "user": secret})
    client.post(CHAT, json={**HI, "model": secret})
    client.post(CHAT, json={**HI, "temperature": secret})
    client.get(f"/v1/models/{secret}?q={secret}")
    client.get(f"/{secret}", headers={"user-agent": secret})
    lines = [json.loads(line) for line in house.log.getvalue().splitlines()]
    last = next(line for line in reversed(lines) if line.get("reply_tokens"))
    assert last["route"] == CHAT and last["model"] == "parrot" and last["prompt_tokens"] == len(secret) + 3
    assert {"route", "method", "status", "seconds", "time"} <= set(last)
    assert secret not in house.log.getvalue() + client.get("/metrics").text


def test_a_failure_of_ours_is_a_500_that_tells_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    with serving() as house:
        secret = "zebra-4712"

        @house.app.get("/broken")
        async def broken() -> None:
            raise ValueError(secret)

        with httpx.Client(base_url=house.root) as client:
            assert is_an_error(client.get("/broken"), 500)
        (line,) = [json.loads(line) for line in house.log.getvalue().splitlines() if "failure" in line]
        assert line["error"] == "ValueError" and line["places"][-1].startswith("test_hostile.py:")
        assert secret not in house.log.getvalue() + "".join(capfd.readouterr())


def test_the_event_loop_answers_while_the_engine_is_busy(house: House) -> None:
    async def rush() -> float:
        async with httpx.AsyncClient(base_url=house.root, timeout=60) as client:
            busy = [asyncio.create_task(client.post(CHAT, json={**ENDLESS, "n": 2})) for _ in range(8)]
            await asyncio.sleep(0.2)
            started = time.monotonic()
            for _ in range(5):
                assert (await client.get("/health")).status_code == 200
            seconds = (time.monotonic() - started) / 5
            assert {answer.status_code for answer in await asyncio.gather(*busy)} == {200}
            return seconds

    assert asyncio.run(rush()) < 1.0


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_memory_stays_flat_over_ten_thousand_requests(client: httpx.Client) -> None:
    def used() -> int:
        gc.collect()
        return psutil.Process().memory_info().rss

    bodies = [HI, {**HI, "model": "none"}, {**HI, "stream": True}, {**HI, "temperature": "x"}]

    def rush(n: int) -> None:
        for number in range(n):
            client.post(CHAT, json=bodies[number % len(bodies)])

    rush(2000)
    before = used()
    rush(10_000)
    assert used() - before < 16 << 20


def test_the_guard_lets_no_large_limit_slip(monkeypatch: pytest.MonkeyPatch) -> None:
    """A client that never stops sending is let go after a moment."""
    monkeypatch.setattr(guard, "LINGER_SECONDS", 0.3)
    with serving(Limits(body_bytes=1000)) as house, house.connect() as line:
        line.sendall(b"POST /v1/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n")
        line.sendall(b"x" * 5000)
        started = time.monotonic()
        assert line.recv(20).startswith(b"HTTP/1.1 413")
        assert time.monotonic() - started < 5
