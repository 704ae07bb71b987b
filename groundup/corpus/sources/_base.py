"""From what a user gives to `--data` to sources: every file found is given to the plug-in that reads its kind."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, cast

from groundup.config import Folder
from groundup.corpus.document import Shard, Source, Unreadable
from groundup.corpus.sources._walk import Found, label_of, walk
from groundup.corpus.streams import foreign, suffix
from groundup.errors import DataError

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
            size = Path(path).stat().st_size if Path(path).is_file() else 0
            parts = min(MOST_PARTS, max(1, -(-size // PART_BYTES))) if self.divisible else 1
            found += [Shard(path, name, part, parts, size // parts) for part in range(parts)]
        return found

    def reader(self) -> Source:
        """The same source without its list of files."""
        return self.model_copy(update={"files": ()})


@dataclass(frozen=True, slots=True)
class Opened:
    """One `--data` of the user: its label and weight, the sources in it, and the files that none of them reads."""

    spec: str
    label: str
    weight: float
    sources: tuple[Source, ...]
    skipped: tuple[Unreadable, ...]


def open_specs(specs: Sequence[str]) -> list[Opened]:
    """Read every `--data`; a label that occurs twice gets a number. Raises DataError as `open_spec` does."""
    if not specs:
        raise DataError("there is no data; give --data with a folder, a file, a glob or the word python")
    opened: list[Opened] = []
    for spec in specs:
        new = open_spec(spec)
        taken = {other.label for other in opened}
        label = next(name for name in _numbered(new.label) if name not in taken)
        sources = tuple(source.model_copy(update={"label": label}) for source in new.sources)
        opened.append(replace(new, label=label, sources=sources))
    return opened


def open_spec(spec: str) -> Opened:
    """Read one `--data`: `python`, or a file, folder or glob; `=WEIGHT` after it makes it count more or less.

    Raises DataError for a path that is not there, an empty folder, one without a readable kind of file, a weight of 0.
    """
    place, weight = spec, 1.0
    if (match := WEIGHT.match(spec)) and not Path(spec).expanduser().exists():
        place, weight = match.group(1), float(match.group(2))
        if weight <= 0:
            raise DataError(f"{spec}: the weight must be above 0; to leave the data out, leave out its --data")
    if place == EMBEDDED:
        return Opened(spec, EMBEDDED, weight, (cast(Source, PLUGINS.read({"name": EMBEDDED})),), ())
    found = walk(place)
    sources, unread = _dispatch(found.files, label_of(place), by_itself=Path(place).expanduser().is_file())
    skipped = (*found.skipped, *unread)
    if not sources:
        details = "; ".join(skip.detail for skip in skipped[:3])
        raise DataError(f"{place}: no file here can be read; give text, HTML, JSONL or Parquet files ({details})")
    return Opened(spec, label_of(place), weight, sources, skipped)


def _dispatch(files: Sequence[Found], label: str, by_itself: bool) -> tuple[tuple[Source, ...], tuple[Unreadable, ...]]:
    """A source for each plug-in that has files, in the order of their names, and what no plug-in reads."""
    readers = {
        end: name
        for name in PLUGINS.choices()
        for end in cast(type[FileSource], PLUGINS.find(name)).__dict__.get("suffixes", ())
    }
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
    made = [PLUGINS.read({"name": name, "label": label, "files": tuple(taken[name])}) for name in sorted(taken)]
    return tuple(cast(Source, source) for source in made), tuple(skipped)


def _numbered(label: str) -> Iterator[str]:
    yield label
    number = 2
    while True:
        yield f"{label}-{number}"
        number += 1
