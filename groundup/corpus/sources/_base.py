"""From what a user gives to `--data` to sources: every file found is given to the plug-in that reads its kind."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, cast

from groundup.config import Component, Folder
from groundup.corpus.document import Shard, Source, Unreadable
from groundup.corpus.fetch._base import is_remote
from groundup.corpus.fetch.place import bring, place_of
from groundup.corpus.sources._walk import File, label_of, walk
from groundup.corpus.streams import foreign, suffix
from groundup.errors import DataError
from groundup.events import SILENT, Reporter

PLUGINS = Folder("corpus.sources")
# The data that every machine has: a source without a path.
EMBEDDED = "python"
# What reads a file that was given by itself and whose suffix says nothing.
PLAIN = "textfiles"
# A file is read in parts of about this size as it is stored, by several workers, and in at most so many: each part has
# to unpack the whole file.
PART_BYTES, MOST_PARTS = 2 << 20, 8
# No document and no line of a record file may be larger.
DOCUMENT_BYTES = 16 << 20
WEIGHT = re.compile(r"^(.+)=([0-9]*\.?[0-9]+)$")


class FileSource(Source):
    """A source made of files. `files` pairs each path with the id that its documents start with."""

    suffixes: ClassVar[frozenset[str]] = frozenset()
    divisible: ClassVar[bool] = True

    files: tuple[tuple[str, str], ...]

    def shards(self) -> list[Shard]:
        """One shard a file, several for a large one."""
        found = []
        for path, name in self.files:
            size = _size(path)
            parts = min(MOST_PARTS, max(1, -(-size // PART_BYTES))) if self.divisible else 1
            found += [Shard(path, name, part, parts, size // parts) for part in range(parts)]
        return found

    def reader(self) -> Source:
        """The same source without its list of files."""
        return self.model_copy(update={"files": ()})


def _size(path: str) -> int:
    """The size of a file in bytes; 0 when it is gone."""
    try:
        return Path(path).stat().st_size
    except OSError:
        return 0


@dataclass(frozen=True, slots=True)
class Opened:
    """One `--data` of the user: its label and weight, the sources in it, and the files that none of them reads."""

    spec: str
    label: str
    weight: float
    sources: tuple[Source, ...]
    skipped: tuple[Unreadable, ...]


def open_specs(
    specs: Sequence[str], extract: Component | None = None, *, cache: Path | None = None, progress: Reporter = SILENT
) -> list[Opened]:
    """Read every `--data`; a label that occurs twice gets a number. Raises DataError as `open_spec` does."""
    if not specs:
        raise DataError("there is no data; give --data with a folder, a file, a glob or the word python")
    opened: list[Opened] = []
    for spec in specs:
        new = open_spec(spec, extract, cache=cache, progress=progress)
        taken = {other.label for other in opened}
        label = next(name for name in _numbered(new.label) if name not in taken)
        sources = tuple(source.model_copy(update={"label": label}) for source in new.sources)
        opened.append(replace(new, label=label, sources=sources))
    return opened


def fetch(specs: Sequence[str], progress: Reporter, cache: Path | None = None) -> None:
    """Bring here whatever the specs name on other machines, so that to open them needs no network.

    Raises DataError and UnsupportedError as `open_spec` does.
    """
    for place, _, _ in map(_parsed, specs):
        if _is_elsewhere(place):
            bring(place_of(place), cache, progress)


def open_spec(
    spec: str, extract: Component | None = None, *, cache: Path | None = None, progress: Reporter = SILENT
) -> Opened:
    """Read one `--data`: `python`, a file, folder or glob, or a place on another machine (fetch/place.py).

    `#COLUMN` behind it says where tables and records keep their text; without it, it is guessed. `=WEIGHT` makes the
    data count more or less. `extract` takes the text out of web pages, by default trafilatura. What is on another
    machine is fetched into `cache`, by default ~/.cache/groundup. Raises DataError for a path that is not there, an
    empty folder, one without a readable kind of file, a weight of 0, a column where nothing has columns, and what
    cannot be fetched; UnsupportedError for a kind of URL that needs another library.
    """
    place, column, weight = _parsed(spec)
    if place == EMBEDDED:
        return Opened(spec, EMBEDDED, weight, (cast(Source, PLUGINS.read({"name": EMBEDDED})),), ())
    elsewhere = _is_elsewhere(place)
    if elsewhere:
        remote = place_of(place)
        found, label = bring(remote, cache, progress), remote.label
    else:
        found, label = walk(place), label_of(place)
    settings = {**({"extract": extract} if extract else {}), **({"column": column} if column else {})}
    by_itself = len(found.files) == 1 if elsewhere else Path(place).expanduser().is_file()
    sources, unread = _dispatch(found.files, label, by_itself, settings)
    skipped = (*found.skipped, *unread)
    if not sources:
        details = "; ".join(skip.detail for skip in skipped[:3])
        raise DataError(
            f"{place}: no file here can be read; give text, HTML, PDF, EPUB, JSONL, CSV, Parquet, Arrow, WARC or "
            f"MediaWiki files ({details})"
        )
    if column and not any("column" in type(source).model_fields for source in sources):
        raise DataError(f"{spec}: nothing here has columns; leave out #{column}")
    return Opened(spec, label, weight, sources, skipped)


def _is_elsewhere(place: str) -> bool:
    return is_remote(place) and not Path(place).expanduser().exists()


def _parsed(spec: str) -> tuple[str, str, float]:
    """Place, column and weight. A path that exists as it is written is taken as it is. Raises DataError.

    The last `=2` of a URL is a weight only where it is not the value of a parameter.
    """
    place, column, weight = spec, "", 1.0
    parameters = spec.partition("?")[2] if "://" in spec else ""
    is_value = bool(parameters) and parameters.count("=") <= parameters.count("&") + 1
    if (match := WEIGHT.match(place)) and not is_value and not Path(place).expanduser().exists():
        place, weight = match.group(1), float(match.group(2))
        if weight <= 0:
            raise DataError(f"{spec}: the weight must be above 0; to leave the data out, leave out its --data")
    if "#" in place and not Path(place).expanduser().exists():
        place, _, column = place.rpartition("#")
    return place, column, weight


def _dispatch(
    files: Sequence[File], label: str, by_itself: bool, settings: Mapping[str, Any]
) -> tuple[tuple[Source, ...], tuple[Unreadable, ...]]:
    """A source for each plug-in that has files, in the order of their names, and what no plug-in reads.

    Each source gets those of the `settings` that it has.
    """
    kinds = {name: cast(type[FileSource], PLUGINS.find(name)) for name in PLUGINS.choices()}
    readers = {end: name for name, kind in kinds.items() for end in kind.__dict__.get("suffixes", ())}
    taken: dict[str, list[tuple[str, str]]] = {}
    skipped: list[Unreadable] = []
    for file in files:
        reader = readers.get(suffix(Path(file.path)), PLAIN if by_itself else "")
        if not reader:
            detail = f"{file.path}: a kind of file that is not read; convert it to text, or give it by itself"
            skipped.append(Unreadable(file.id, file.path, "unknown_suffix", detail))
        elif reader == PLAIN and (problem := foreign(Path(file.path), file.id)):
            skipped.append(problem)
        else:
            taken.setdefault(reader, []).append((file.path, file.id))
    made = []
    for name in sorted(taken):
        own = {key: value for key, value in settings.items() if key in kinds[name].model_fields}
        made.append(PLUGINS.read({"name": name, "label": label, "files": tuple(taken[name]), **own}))
    return tuple(cast(Source, source) for source in made), tuple(skipped)


def _numbered(label: str) -> Iterator[str]:
    yield label
    number = 2
    while True:
        yield f"{label}-{number}"
        number += 1
