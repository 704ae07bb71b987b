"""One file over HTTP, as whole as the server has it: resumed where it broke off, checked, then renamed."""

import hashlib
import time
from pathlib import Path

import httpx

from groundup.errors import DataError
from groundup.events import SILENT, Bar

AGENT = "groundup"
# Seconds to reach a server, and between two pieces of what it sends.
TIMEOUT_SECONDS = 30.0
TRIES, PAUSE_SECONDS = 5, 1.0
PIECE_BYTES = 1 << 20
BUSY = (408, 425, 429, 500, 502, 503, 504)


def client() -> httpx.Client:
    """What speaks to servers: says who it is, follows redirects, and does not wait for ever."""
    return httpx.Client(headers={"user-agent": AGENT}, timeout=TIMEOUT_SECONDS, follow_redirects=True)


def download(
    http: httpx.Client,
    url: str,
    to: Path,
    *,
    digest: str = "",
    headers: dict[str, str] | None = None,
    bar: Bar = SILENT,
    pause: float = PAUSE_SECONDS,
) -> None:
    """Fetch a file to `to`. What an earlier try left in `to`.part is gone on with, if the server's file is the same.

    `digest` is what the file must have, as "sha256:..." or "sha1:...". A server that is busy or breaks off is asked
    again, five times, after `pause` seconds and twice as long each time. Raises DataError when it does not come, or is
    not what was promised.
    """
    part = to.with_name(f"{to.name}.part")
    to.parent.mkdir(parents=True, exist_ok=True)
    for attempt in range(TRIES):
        try:
            if _fetched(http, url, part, headers or {}, bar):
                break
            why = "the server is busy"
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        if attempt + 1 == TRIES:
            raise DataError(f"{url}: cannot be fetched: {why}; run again to go on, or fetch it yourself and name it")
        time.sleep(pause * 2**attempt)
    _tag(part).unlink(missing_ok=True)
    check(part, digest, url)
    part.replace(to)


def check(path: Path, digest: str, name: str) -> None:
    """Remove the file and raise DataError when its content has another digest than "sha256:..." or "sha1:..."."""
    kind, _, expected = digest.partition(":")
    if not expected:
        return
    with path.open("rb") as file:
        found = hashlib.file_digest(file, kind).hexdigest()
    if found != expected.lower():
        path.unlink()
        raise DataError(f"{name}: its {kind} is {found}, it should be {expected}; the file is removed, run again")


def _tag(part: Path) -> Path:
    """Where the server's mark for the version of a file stands that is not whole yet."""
    return part.with_name(f"{part.name}.etag")


def _fetched(http: httpx.Client, url: str, part: Path, headers: dict[str, str], bar: Bar) -> bool:
    """Whether the whole file came; False when the server has no time. Raises DataError when there is no such file."""
    have = part.stat().st_size if part.is_file() else 0
    tag = _tag(part).read_text("utf-8") if have and _tag(part).is_file() else ""
    asked = {**headers, "accept-encoding": "identity"}
    if tag:
        asked |= {"range": f"bytes={have}-", "if-range": tag}
    with http.stream("GET", url, headers=asked) as answer:
        if answer.status_code in BUSY:
            return False
        if answer.status_code == 416:  # all of it is here already, or the file is another one now
            _tag(part).unlink()
            return answer.headers.get("content-range", "") == f"bytes */{have}"
        if answer.status_code not in (200, 206):
            raise DataError(f"{url}: the server answers {answer.status_code} {answer.reason_phrase}; check the name")
        _tag(part).write_text(_strong(answer.headers.get("etag", "")), "utf-8")
        with part.open("ab" if answer.status_code == 206 else "wb") as file:
            bar.advance(file.tell())
            for piece in answer.iter_bytes(PIECE_BYTES):
                file.write(piece)
                bar.advance(len(piece))
    return True


def _strong(etag: str) -> str:
    """A mark that may be used to go on with a file: a weak one says only that the meaning is the same."""
    return "" if etag.startswith("W/") else etag
