"""What flows through the corpus room: documents, verdicts on them, and what could not be read.

Source.shards() ─► Shard ─► Source.read(shard) ─► Document | Raw | Unreadable ─► Filter.judge ─► Verdict
"""

import hashlib
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar

from groundup.config import Component


@dataclass(frozen=True, slots=True)
class Document:
    """One text. `id` sorts in reading order; `source` is the label of the `--data` it came from; `path` is its file.

    `repaired` is set when bytes that are no UTF-8 were read as another encoding or replaced. `url` and `license` are
    what the source knows. The rest are labels that filters set: `language` (ISO 639 code; "" where none was found),
    `quality` and `toxicity` (probabilities), `masked` (places where personal data stood).
    """

    id: str
    text: str
    source: str
    path: str
    repaired: bool = False
    url: str = ""
    license: str = ""
    language: str = ""
    quality: float | None = None
    toxicity: float | None = None
    masked: int = 0


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file, line or record that gave no document: a counted skip. `detail` says what is wrong, for a person."""

    id: str
    path: str
    reason: str
    detail: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A document whose text is still to be taken out of what was read, such as a web page of an archive.

    To take it may be slow, fail, or never end; a reader that leaves it to `take` loses that document only, not what
    comes after it in the same file. `blank` is the document without its text.
    """

    blank: Document
    take: Callable[[], str]

    def taken(self) -> Document | Unreadable:
        """The document with its text; `extraction_error` when taking it failed."""
        try:
            return replace(self.blank, text=self.take())
        except Exception as error:
            detail = f"{self.blank.path}: {self.blank.id}: no text could be taken: {type(error).__name__}: {error}"
            return Unreadable(self.blank.id, self.blank.path, "extraction_error", detail[:500])


Found = Document | Raw | Unreadable


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a filter decided. A drop names its reason, the value that was measured and the threshold it passed.

    `document` is the document as it goes on, where the filter has labelled or rewritten it; `detail` is for a person.
    A document that is kept without some passages has them as `cut`, with the reason and the numbers of a drop: they
    are in the ledger too.
    """

    kept: bool
    reason: str = ""
    value: float = 0.0
    threshold: float = 0.0
    document: Document | None = field(default=None, repr=False)
    detail: str = field(default="", repr=False)
    cut: str = field(default="", repr=False)


KEPT = Verdict(True)


class Filter(Component):
    """Judges one document by itself. Pure: the same document always gets the same verdict."""

    def check(self) -> None:
        """Raises ConfigError or DataError when something that it needs is missing; called before any work begins."""

    def files(self) -> tuple[str, ...]:
        """The files that its verdicts depend on, beside its settings."""
        return ()

    @abstractmethod
    def judge(self, document: Document) -> Verdict:
        """Keep the document, as it is or changed (`Verdict.document`), or drop it with a reason."""


@dataclass(frozen=True, slots=True)
class Shard:
    """The smallest piece of reading: one file, or every `parts`-th record of it starting with number `part`.

    `bytes` is the size of the file divided by `parts`, as it is stored.
    """

    path: str
    id: str
    part: int
    parts: int
    bytes: int


@dataclass(frozen=True, slots=True)
class InputFile:
    """One line of an input manifest; `sha256` is empty unless the content was asked for."""

    path: str
    bytes: int
    mtime_ns: int
    sha256: str = ""


class Source(Component):
    """A kind of input. Its shards are disjoint, and together they hold every document, whoever reads them.

    `fragile` is false where nothing but Python reads the files: what they hold can neither crash nor hang it.
    """

    fragile: ClassVar[bool] = True

    label: str

    @abstractmethod
    def shards(self) -> list[Shard]:
        """All pieces of the input, in a fixed order that depends on the files alone."""

    @abstractmethod
    def read(self, shard: Shard) -> Iterator[Found]:
        """The documents of one shard in a fixed order; what cannot be read comes as `Unreadable`, never as an error."""

    def reader(self) -> "Source":
        """The same source for reading alone, light enough to be sent to a worker with every batch."""
        return self

    def manifest(self, content: bool = False) -> list[InputFile]:
        """Every input file with size and time, and with its sha256 when the `content` is asked for."""
        files = []
        for path in sorted({shard.path for shard in self.shards()}):
            status = Path(path).stat()
            files.append(InputFile(path, status.st_size, status.st_mtime_ns, _digest(path) if content else ""))
        return files

    def held_out(self, document_id: str) -> bool | None:
        """The source's own rule for the held-out split; None leaves it to the document's hash."""
        return None

    def facts(self) -> dict[str, Any]:
        """What a report should say about this input, beyond counts."""
        return {}


def _digest(path: str) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
