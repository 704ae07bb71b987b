"""Two great collections, a stated part of each: a dump of a Wikipedia, and files of a crawl of Common Crawl."""

import gzip
import re
import zlib
from pathlib import Path

import httpx

from groundup.corpus.fetch._base import Item, Place
from groundup.corpus.fetch.download import client, download
from groundup.errors import DataError
from groundup.events import Bar

WIKIPEDIA = "https://dumps.wikimedia.org"
COMMON_CRAWL = "https://data.commoncrawl.org"
DUMP = re.compile(r"^([a-z][a-z0-9_-]*)/(\d{8})$")
CRAWL = re.compile(r"^([\w-]+)/(wet|warc|wat)(?::(\d+)-(\d+))?$")


class Wikipedia(Place):
    """`LANGUAGE/DATE`, such as simple/20260901: the articles, checked against the SHA-1 that is published with them.

    Raises DataError for another form, and for a dump that is not there.
    """

    def __init__(self, dump: str, base: str = WIKIPEDIA) -> None:
        match = DUMP.match(dump)
        if match is None:
            raise DataError(f"wikipedia:{dump}: write wikipedia:LANGUAGE/DATE, such as wikipedia:simple/20260901")
        self._wiki, self._date, self._base = f"{match.group(1).replace('-', '_')}wiki", match.group(2), base
        self.label, self.key = f"{self._wiki}-{self._date}", f"wikipedia:{dump}"

    def listing(self) -> list[Item]:
        """The one file of all articles in their present form."""
        start = f"{self._base}/{self._wiki}/{self._date}/{self._wiki}-{self._date}"
        name = f"{self._wiki}-{self._date}-pages-articles.xml.bz2"
        rows = [line.split() for line in _read(f"{start}-sha1sums.txt").splitlines()]
        sums = {row[1]: row[0] for row in rows if len(row) == 2}
        if name not in sums:
            raise DataError(f"{self.key}: {name} is not in the dump; it may not be done yet: choose another date")
        return [Item(name, f"{start}-pages-articles.xml.bz2", digest=f"sha1:{sums[name]}")]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch the dump."""
        _fetch(item, to, bar)


class CommonCrawl(Place):
    """`CRAWL/KIND[:FIRST-LAST]`, such as CC-MAIN-2026-08/wet:0-9: files by their place in the crawl's list, from 0.

    KIND is wet (texts), warc (pages) or wat. The crawl publishes no digests: gzip's own checks are what there is.
    Raises DataError for another form, and for a crawl that is not there.
    """

    def __init__(self, files: str, base: str = COMMON_CRAWL) -> None:
        match = CRAWL.match(files)
        if match is None:
            raise DataError(f"commoncrawl:{files}: write commoncrawl:CRAWL/wet:FIRST-LAST (or warc, or wat)")
        self._crawl, self._kind, first, last = match.groups()
        self._wanted = slice(int(first), int(last) + 1) if first else slice(None)
        self._base = base
        self.label, self.key = re.sub(r"\W+", "-", files), f"commoncrawl:{files}"

    def listing(self) -> list[Item]:
        """The wanted files of the crawl's list."""
        try:
            text = gzip.decompress(_read_bytes(f"{self._base}/crawl-data/{self._crawl}/{self._kind}.paths.gz")).decode()
        except (OSError, EOFError, zlib.error) as error:
            raise DataError(f"{self.key}: the crawl's list of files is broken: {error}; run again") from None
        paths = text.split()[self._wanted]
        return [Item(Path(path).name, f"{self._base}/{path}") for path in paths]

    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch one file."""
        _fetch(item, to, bar)


def _fetch(item: Item, to: Path, bar: Bar) -> None:
    with client() as http:
        download(http, item.url, to, digest=item.digest, bar=bar)


def _read(url: str) -> str:
    return _read_bytes(url).decode("utf-8", "replace")


def _read_bytes(url: str) -> bytes:
    """A small file. Raises DataError."""
    try:
        with client() as http:
            answer = http.get(url)
    except httpx.HTTPError as error:
        raise DataError(f"{url}: cannot be fetched: {error}; check the network") from None
    if answer.status_code != 200:
        raise DataError(f"{url}: the server answers {answer.status_code}; check the name and the date")
    return answer.content
