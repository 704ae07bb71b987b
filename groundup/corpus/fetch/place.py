"""What `--data` names on other machines: its list of files, kept once it is known, and each file, fetched once.

    hub:OWNER/NAME[/CONFIG][:SPLIT]       a data set of the Hugging Face hub
    s3://  gs://  https://  hf:// ...     whatever fsspec or Arrow opens: a file, a folder, a glob
    urls:FILE                             pages, one URL a line, fetched politely
    wikipedia:LANGUAGE/DATE               a dump, such as simple/20260901
    commoncrawl:CRAWL/KIND[:FIRST-LAST]   files of a crawl, such as CC-MAIN-2026-08/wet:0-9

A place has a folder in the cache: `listing.json`, `files/` and `sha256sums.txt`. What is there is never asked for
again, so a run goes on without a network, and with the very same files; remove the folder to fetch anew.
"""

import hashlib
import json
from dataclasses import asdict
from pathlib import Path, PurePosixPath

from filelock import FileLock

from groundup.config import fingerprint
from groundup.corpus.document import Unreadable
from groundup.corpus.fetch._base import SKIPPED, Item, Place
from groundup.corpus.sources._walk import File, Walk
from groundup.errors import DataError
from groundup.events import SILENT, Bar, Reporter

CACHE = Path("~/.cache/groundup")


def place_of(spec: str) -> Place:
    """The place that a `--data` names. Raises DataError where it is not written as it should be."""
    kind, _, rest = spec.partition(":")
    if kind == "hub":
        from groundup.corpus.fetch.hub import Hub

        return Hub(rest)
    if kind == "urls":
        from groundup.corpus.fetch.crawl import Crawl

        return Crawl(Path(rest).expanduser())
    if kind == "wikipedia":
        from groundup.corpus.fetch.dumps import Wikipedia

        return Wikipedia(rest)
    if kind == "commoncrawl":
        from groundup.corpus.fetch.dumps import CommonCrawl

        return CommonCrawl(rest)
    from groundup.corpus.fetch.remote import Remote

    return Remote(spec)


def bring(place: Place, cache: Path | None = None, progress: Reporter = SILENT) -> Walk:
    """Every file of a place, on this machine: those of the cache, and those that are missing there, fetched now.

    What could not be fetched is skipped by name. Raises DataError when the place cannot be reached, has no files, or
    what comes is not what was promised; what has come by then stays.
    """
    folder = (cache or CACHE.expanduser()) / f"{place.label}-{fingerprint(place.key)[:8]}"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / "lock"):
        items = _listing(place, folder)
        missing = [item for item in items if not _path(folder, item).is_file()]
        total = sum(item.bytes for item in missing) or None
        if missing:
            with progress.task(f"fetch {place.label}", total=total, unit="bytes") as bar:
                for item in missing:
                    _get(place, item, folder, bar)
    files = [File(str(_path(folder, item)), item.name) for item in items]
    return Walk(files, [skip for file in files for skip in _skipped(Path(file.path + SKIPPED))])


def _listing(place: Place, folder: Path) -> list[Item]:
    path = folder / "listing.json"
    if path.is_file():
        return [Item(**row) for row in json.loads(path.read_text("utf-8"))]
    items = place.listing()
    if not items:
        raise DataError(f"{place.key}: there are no files; check the name")
    for item in items:
        parts = PurePosixPath(item.name).parts
        if not parts or item.name.startswith("/") or ".." in parts:
            raise DataError(f"{place.key}: a file is called {item.name!r}, which is no name below a folder")
    aside = path.with_suffix(".tmp")
    aside.write_text(json.dumps([asdict(item) for item in items], indent=0), "utf-8")
    aside.replace(path)
    return items


def _get(place: Place, item: Item, folder: Path, bar: Bar) -> None:
    path = _path(folder, item)
    path.parent.mkdir(parents=True, exist_ok=True)
    place.get(item, path, bar)
    with path.open("rb") as file, (folder / "sha256sums.txt").open("a", encoding="utf-8") as sums:
        sums.write(f"{hashlib.file_digest(file, 'sha256').hexdigest()}  files/{item.name}\n")


def _path(folder: Path, item: Item) -> Path:
    return folder / "files" / item.name


def _skipped(path: Path) -> list[Unreadable]:
    """What is written beside a file on what is missing in it."""
    if not path.is_file():
        return []
    return [Unreadable(**json.loads(line)) for line in path.read_text("utf-8").splitlines()]
