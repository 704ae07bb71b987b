"""A list of pages, fetched as a guest: what robots.txt forbids is left, no host is asked twice in a second.

Pages are kept in web archives of a hundred, read like any other; what could not be fetched stands beside them.
"""

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit
from urllib.robotparser import RobotFileParser

import httpx

from groundup.config import fingerprint
from groundup.corpus.document import Unreadable
from groundup.corpus.fetch._base import SKIPPED, Item, Place
from groundup.corpus.fetch.download import AGENT, client
from groundup.errors import DataError
from groundup.events import Bar

PAGES, HOSTS_AT_ONCE = 100, 8
# Between two requests to one host; a robots.txt may ask for more.
DELAY_SECONDS = 1.0
PAGE_BYTES, REDIRECTS = 16 << 20, 5
# Of the answer's head: what tells how it was packed on the way, which it is no longer.
PACKING = ("content-encoding", "transfer-encoding", "content-length")


class Crawl(Place):
    """The pages of a file of URLs, one a line; `#` begins a comment. Raises DataError for a file without any."""

    def __init__(self, path: Path, delay: float = DELAY_SECONDS) -> None:
        if not path.is_file():
            raise DataError(f"{path}: there is no such file; give urls: a text file with one URL a line")
        lines = [line.strip() for line in path.read_text("utf-8", "replace").splitlines()]
        self._urls = list(dict.fromkeys(line for line in lines if line and not line.startswith("#")))
        wrong = next((url for url in self._urls if urlsplit(url).scheme not in ("http", "https")), None)
        if wrong is not None or not self._urls:
            raise DataError(f"{path}: {f'{wrong!r} is no web address' if wrong else 'no URLs'}; write one URL a line")
        self.label, self.key = path.name.partition(".")[0], f"urls:{fingerprint(self._urls)}"
        self._delay = delay
        self._hosts: dict[str, _Host] = {}

    def listing(self) -> list[Item]:
        """One archive for every hundred URLs."""
        count = -(-len(self._urls) // PAGES)
        return [Item(f"pages-{number:05d}.warc.gz", str(number)) for number in range(count)]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch a hundred pages, the hosts side by side, the pages of one host one after another."""
        from warcio.warcwriter import WARCWriter

        first = int(item.url) * PAGES
        by_host: dict[str, list[str]] = {}
        for url in self._urls[first : first + PAGES]:
            by_host.setdefault(urlsplit(url).netloc, []).append(url)
        part, lock, skipped = to.with_name(f"{to.name}.part"), threading.Lock(), list[Unreadable]()
        with part.open("wb") as file, client() as http, ThreadPoolExecutor(HOSTS_AT_ONCE) as pool:
            writer = WARCWriter(file, gzip=True)

            def fetch(urls: list[str]) -> None:
                for url in urls:
                    found = self._page(http, url)
                    with lock:
                        if isinstance(found, Unreadable):
                            skipped.append(found)
                        else:
                            writer.write_record(_record(writer, *found))
                            bar.advance(len(found[1]))

            for done in [pool.submit(fetch, urls) for urls in by_host.values()]:
                done.result()
        skipped.sort(key=lambda skip: skip.id)
        beside = to.with_name(to.name + SKIPPED)
        beside.write_text("".join(json.dumps(asdict(skip)) + "\n" for skip in skipped), "utf-8")
        part.replace(to)

    def _page(self, http: httpx.Client, url: str) -> "tuple[httpx.Response, bytes] | Unreadable":
        """The answer for a page and its content, or why there is none. The rules hold for where it leads on, too."""
        at = url
        for _ in range(REDIRECTS):
            host = self._host(http, at)
            if not host.allows(at):
                return Unreadable(url, at, "robots", f"{at}: the site's robots.txt does not allow it")
            host.wait()
            try:
                with http.stream("GET", at, follow_redirects=False) as answer:
                    if answer.has_redirect_location:
                        at = urljoin(at, answer.headers["location"])
                        continue
                    content = b"".join(_limited(answer.iter_bytes()))
            except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
                return Unreadable(url, at, "unreachable", f"{at}: {error or type(error).__name__}")
            if len(content) > PAGE_BYTES:
                return Unreadable(url, at, "long_document", f"{at}: over the {PAGE_BYTES:,} bytes that a page may have")
            return answer, content
        return Unreadable(url, at, "unreachable", f"{url}: sent on more than {REDIRECTS} times")

    def _host(self, http: httpx.Client, url: str) -> "_Host":
        parts = urlsplit(url)
        root = f"{parts.scheme}://{parts.netloc}"
        known = self._hosts.get(root)  # of two threads that meet a new host at once, one is heard: setdefault
        return known or self._hosts.setdefault(root, _Host(http, root, self._delay))


class _Host:
    """What a host allows, and when it was last asked.

    A host without a robots.txt allows everything, one that cannot say what it allows, nothing (RFC 9309, 2.3.1).
    """

    def __init__(self, http: httpx.Client, root: str, delay: float) -> None:
        self._rules = RobotFileParser()
        try:
            answer = http.get(f"{root}/robots.txt")
            known = answer.text if answer.status_code == 200 else "" if answer.status_code < 500 else None
        except (httpx.HTTPError, ValueError):
            known = None
        self._rules.parse(("User-agent: *\nDisallow: /" if known is None else known).splitlines())
        asked = self._rules.crawl_delay(AGENT)
        self._delay = max(delay, float(asked or 0))
        self._last, self._lock = time.monotonic(), threading.Lock()

    def allows(self, url: str) -> bool:
        """Whether the rules let us have the page."""
        return self._rules.can_fetch(AGENT, url)

    def wait(self) -> None:
        """Wait for our turn, and take it."""
        with self._lock:
            time.sleep(max(0.0, self._last + self._delay - time.monotonic()))
            self._last = time.monotonic()


def _limited(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Pieces until they are more than a page may have."""
    size = 0
    for piece in pieces:
        yield piece
        size += len(piece)
        if size > PAGE_BYTES:
            return


def _record(writer: Any, answer: httpx.Response, content: bytes) -> Any:
    from warcio.statusandheaders import StatusAndHeaders

    headers = [(name, value) for name, value in answer.headers.items() if name.lower() not in PACKING]
    head = StatusAndHeaders(f"{answer.status_code} {answer.reason_phrase}", headers, protocol="HTTP/1.1")
    return writer.create_warc_record(str(answer.url), "response", payload=io.BytesIO(content), http_headers=head)
