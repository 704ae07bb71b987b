"""What is held out for measuring, and what is learnt from."""

from collections.abc import Iterable, Sequence
from fnmatch import filter as matching
from fnmatch import fnmatchcase

from pydantic import Field

from groundup.config import Config
from groundup.corpus.document import Source
from groundup.errors import DataError


class HeldOut(Config):
    """Which documents are held out: about `fraction` of the bytes, at most `max_bytes`, chosen by the texts' hashes.

    `ids` are globs on document ids (`h-g-wells_the-time-machine/*`) that replace the hash rule, and with it a source's
    own list.
    """

    fraction: float = Field(0.05, gt=0, lt=1)
    max_bytes: int = Field(2_000_000, gt=0)
    ids: tuple[str, ...] = ()

    def pinned(self, source: Source, document_id: str) -> bool | None:
        """Whether a rule puts the document into the held-out split (True) or the other; None leaves it to the hash."""
        if self.ids:
            return any(fnmatchcase(document_id, pattern) for pattern in self.ids)
        return source.held_out(document_id)

    def check(self, ids: Sequence[str]) -> None:
        """Raises DataError for a glob that no document matches."""
        for pattern in self.ids:
            if not matching(ids, pattern):
                raise DataError(f"held_out.ids: no document matches {pattern!r}; ids look like {', '.join(ids[:3])}")

    def choose(self, rows: Iterable[tuple[str, int, bool | None, int]]) -> set[int]:
        """Keys of the held-out documents among (hash, bytes, pinned, key) of all that are kept.

        Those no rule speaks of are taken in the order of their hashes, as long as they fit; when none fits, the first
        of them. Raises DataError unless both splits get a document.
        """
        ordered = sorted(rows)
        held = {key for _, _, pinned, key in ordered if pinned}
        free = [(size, key) for _, size, pinned, key in ordered if pinned is None]
        room = min(self.fraction * sum(size for size, _ in free), self.max_bytes)
        for size, key in free:
            if size <= room:
                held.add(key)
                room -= size
        if not held and free:
            held.add(free[0][1])
        if not held or len(held) == len(ordered):
            raise DataError(
                f"{len(held)} of {len(ordered)} documents would be held out: at least one is needed to learn from and "
                "one to measure on; give more text, or change held_out.ids"
            )
        return held
