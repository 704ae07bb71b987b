"""What a place on another machine is: it has a list of files, and gives each."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path

from groundup.events import Bar

KINDS = ("hub", "urls", "wikipedia", "commoncrawl")
# Beside a fetched file: what could not be fetched for it, one JSON object a line.
SKIPPED = ".skipped"


@dataclass(frozen=True, slots=True)
class Item:
    """One file of a place: its name below the place, where it is, and its size in bytes and digest, where known."""

    name: str
    url: str
    bytes: int = 0
    digest: str = ""


class Place(ABC):
    """Something on another machine that holds files. `label` is a short name; `key` changes when its content may."""

    label: str
    key: str

    @abstractmethod
    def listing(self) -> list[Item]:
        """All files, in a fixed order. Raises DataError."""

    @abstractmethod
    def get(self, item: Item, to: Path, bar: Bar) -> None:
        """Fetch one file, whole or not at all; `bar` counts bytes. Raises DataError."""


def is_remote(spec: str) -> bool:
    """Whether a `--data` names something on another machine.

    >>> is_remote("hub:owner/name"), is_remote("s3://bucket/texts"), is_remote("texts/books.txt")
    (True, True, False)
    """
    return "://" in spec or (":" in spec and spec.partition(":")[0] in KINDS)
