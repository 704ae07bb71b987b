"""A server under load: so many clients at once, each asking again as soon as it is answered, every reply streamed.

    python bench/serving.py RUN [--runs DIR] [--clients 1 16 64 500] [--seconds 60] [--ui] [--requests 10000]

Starts `groundup serve` on loopback and prints a line for each number of clients: replies, refusals (429, with which a
client waits as long as it is told), errors of any other kind (there should be none), tokens a second, the time to the
first token and between tokens at the median and the 99th percentile, and how long a click took at the worst:
`/health`, or with `--ui` the page, which is built anew each time. At the end: how many times the tokens a second of one
client the other rounds have. `--requests N` then sends N short requests, 16 at a time, a part of which go away before
their answer, and prints the server's memory on the way: it should be flat.
"""

import argparse
import asyncio
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import psutil

QUESTIONS = [f"What is {a} + {b}?" for a in range(10, 40) for b in range(10, 40)]


@dataclass
class Tally:
    """What the clients of one round saw."""

    first: list[float] = field(default_factory=list)
    gaps: list[float] = field(default_factory=list)
    clicks: list[float] = field(default_factory=list)
    replies: int = 0
    refused: int = 0
    errors: list[str] = field(default_factory=list)

    @property
    def tokens(self) -> int:
        """Tokens of all replies."""
        return len(self.first) + len(self.gaps)

    def line(self, clients: int, seconds: float) -> str:
        """One line of the table."""
        return (
            f"{clients:>7} {self.replies:>8} {self.refused:>8} {len(self.errors):>6} {self.tokens / seconds:>9.0f} "
            f"{times(self.first)} {times(self.gaps)} {1000 * max(self.clicks, default=0):>8.0f}"
        )


def times(seconds: list[float]) -> str:
    """The median and the 99th percentile, in milliseconds."""
    if not seconds:
        return f"{'-':>8} {'-':>8}"
    p50, p99 = np.percentile(np.array(seconds) * 1000, [50, 99])
    return f"{p50:>8.1f} {p99:>8.1f}"


async def client(http: httpx.AsyncClient, model: str, number: int, until: float, tally: Tally) -> None:
    """Ask again and again."""
    turn = 0
    while time.perf_counter() < until:
        turn += 1
        question = QUESTIONS[(number * 7919 + turn) % len(QUESTIONS)]
        body = {
            "model": model, "messages": [{"role": "user", "content": question}], "stream": True, "max_tokens": 64,
        }  # fmt: skip
        began = last = time.perf_counter()
        try:
            async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
                if answer.status_code == 429:
                    tally.refused += 1
                    await asyncio.sleep(float(answer.headers["retry-after"]))
                    continue
                answer.raise_for_status()
                n = 0
                async for line in answer.aiter_lines():
                    if not line.startswith("data: {"):
                        continue
                    n += 1
                    if n == 1:
                        continue  # who speaks
                    now = time.perf_counter()
                    (tally.first if n == 2 else tally.gaps).append(now - (began if n == 2 else last))
                    last = now
                tally.replies += 1
        except httpx.HTTPError as error:
            tally.errors.append(repr(error))


async def click(http: httpx.AsyncClient, place: str, until: float, tally: Tally) -> None:
    """What somebody else, who only looks, has to wait."""
    while time.perf_counter() < until:
        began = time.perf_counter()
        (await http.get(place)).raise_for_status()
        tally.clicks.append(time.perf_counter() - began)
        await asyncio.sleep(0.2)


async def steady(root: str, model: str, n: int, server: psutil.Process) -> None:
    """Many short requests, one in sixteen given up half-way; the server's memory after each tenth of them."""

    async def ask(http: httpx.AsyncClient, number: int) -> None:
        body = {
            "model": model, "messages": [{"role": "user", "content": QUESTIONS[number % len(QUESTIONS)]}],
            "max_tokens": 8, "stream": number % 2 == 0,
        }  # fmt: skip
        async with http.stream("POST", "/v1/chat/completions", json=body) as answer:
            answer.raise_for_status()
            async for _ in answer.aiter_bytes():
                if number % 16 == 0:
                    return

    async def many(http: httpx.AsyncClient, numbers: range) -> None:
        for number in numbers:
            await ask(http, number)

    async with httpx.AsyncClient(base_url=root, timeout=120) as http:
        for done in range(0, n, max(1, n // 10)):
            until = min(n, done + max(1, n // 10))
            await asyncio.gather(*(many(http, range(done + first, until, 16)) for first in range(16)))
            print(f"{until:>7} requests: {server.memory_info().rss / 2**20:.1f} MiB", flush=True)


async def load(root: str, model: str, place: str, clients: int, seconds: float) -> Tally:
    """One round."""
    tally, until = Tally(), time.perf_counter() + seconds
    limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
    async with httpx.AsyncClient(base_url=root, limits=limits, timeout=120) as http:
        working = [client(http, model, number, until, tally) for number in range(clients)]
        async with httpx.AsyncClient(base_url=root, timeout=120) as other:
            await asyncio.gather(click(other, place, until, tally), *working)
    return tally


def main() -> None:
    """Start the server and go through the rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--clients", type=int, nargs="*", default=[1, 16, 64, 500])
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--requests", type=int, default=0, help="short ones, to watch the server's memory")
    parser.add_argument("--ui", action="store_true", help="click on the page")
    args = parser.parse_args()
    command = [sys.executable, "-m", "groundup", "serve", args.run, "--runs", str(args.runs), "--port", "0"]
    command, place = ([*command, "--ui"], "/ui/") if args.ui else (command, "/health")
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=os.environ
    ) as server:
        assert server.stdout is not None
        root = server.stdout.readline().split()[-1].removesuffix("/v1")
        print(
            f"{'clients':>7} {'replies':>8} {'429':>8} {'errors':>6} {'tokens/s':>9} "
            f"{'first 50':>8} {'99 ms':>8} {'gap 50':>8} {'99 ms':>8} {'click':>8}"
        )
        errors: list[str] = []
        tokens: dict[int, int] = {}
        for clients in args.clients:
            tally = asyncio.run(load(root, args.run, place, clients, args.seconds))
            errors += tally.errors
            tokens[clients] = tally.tokens
            print(tally.line(clients, args.seconds), flush=True)
        if args.requests:
            asyncio.run(steady(root, args.run, args.requests, psutil.Process(server.pid)))
        server.terminate()
    for clients, n in tokens.items():
        if clients != 1 and tokens.get(1):
            print(f"{clients} clients: {n / tokens[1]:.1f} times the tokens a second of one")
    json.dump(sorted(set(errors)), sys.stderr)


if __name__ == "__main__":
    main()
