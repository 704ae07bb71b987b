"""Documents that hold items of the evaluation sets on which a model will be measured."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Literal

from pydantic import Field

from groundup.corpus.contamination import CONTAMINATED, index
from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.errors import ConfigError

# Brown et al. 2020, appendix C: a document that falls into more pieces is not worth keeping.
MOST_PIECES = 10
# Bytes within which a word ends.
WORD = 40


class Contamination(Filter):
    """Drops documents that share a run of 13 words with an item of `sets`, or hold the share `near` of its runs of 8.

    The runs are those of GPT-3 (Brown et al. 2020) and of Tülu 3 (Lambert et al. 2024); 0 for `near` leaves the second
    out. `sets` are JSONL files, plain or compressed. With `action = "cut"` only the passages go, with `margin` bytes on
    both sides and pieces shorter than that between them, as GPT-3 did; the document goes where over ten pieces would
    be left of it, or none, or an item is found still.

    >>> Contamination().judge(Document("a", "text", "s", "p")).kept
    True
    """

    sets: tuple[str, ...] = ()
    near: float = Field(0.5, ge=0, le=1)
    action: Literal["drop", "cut"] = "drop"
    margin: int = Field(200, ge=0, description="bytes that go with a passage on both sides")

    def files(self) -> tuple[str, ...]:
        """The sets."""
        return self.sets

    def check(self) -> None:
        """Raises ConfigError where no set is named, DataError for one that cannot be read."""
        if not self.sets:
            raise ConfigError("contamination.sets: name the evaluation sets (JSONL files) to look for")
        index(self.sets)

    def judge(self, document: Document) -> Verdict:
        """Drop with `contaminated`; the value is how many items were found, the detail which: their set and line."""
        hits = index(self.sets).hits(document.text, self.near)
        found = (*hits.exact, *hits.near)
        if not found:
            return KEPT
        drop = Verdict(False, CONTAMINATED, float(len(found)), 0.0, detail="; ".join(found))
        if self.action == "drop":
            return drop
        data = document.text.encode()
        edges = [0, *(edge for passage in _widened(data, hits.passages, self.margin) for edge in passage), len(data)]
        parts = [data[start:end].decode() for start, end in pairwise(edges)]
        left, gone = [part.strip() for part in parts[::2]], parts[1::2]
        text = "\n\n".join(filter(None, left))
        again = index(self.sets).hits(text, self.near)
        if not text or sum(map(bool, left)) > MOST_PIECES or again.exact or again.near:
            return drop
        return replace(drop, kept=True, document=replace(document, text=text), cut="\n".join(gone))


def _widened(data: bytes, passages: Sequence[tuple[int, int]], margin: int) -> Iterator[tuple[int, int]]:
    """The passages with a margin to both sides; those between which, or before the ends, less is left become one."""
    held: tuple[int, int] | None = None
    for start, end in passages:
        wide = _before(data, start - margin), _behind(data, end + margin)
        wide = 0 if wide[0] < margin else wide[0], len(data) if len(data) - wide[1] < margin else wide[1]
        if held is not None and wide[0] - held[1] < margin:
            held = held[0], max(held[1], wide[1])
            continue
        if held is not None:
            yield held
        held = wide
    if held is not None:
        yield held


def _before(data: bytes, place: int) -> int:
    """The last space shortly before a place, else the beginning of the letter there; 0 before the beginning."""
    if place <= 0:
        return 0
    space = data.rfind(b" ", max(0, place - WORD), place)
    while space < 0 and place and data[place] & 0xC0 == 0x80:
        place -= 1
    return place if space < 0 else space


def _behind(data: bytes, place: int) -> int:
    """The first space shortly behind a place, else the beginning of the next letter; the end behind the end."""
    if place >= len(data):
        return len(data)
    space = data.find(b" ", place, place + WORD)
    while space < 0 and place < len(data) and data[place] & 0xC0 == 0x80:
        place += 1
    return place if space < 0 else space
