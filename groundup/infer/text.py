"""Ids to text as they come, and where a stop string ends it.

The engine knows ids only: it is given a table with the bytes of each.
"""

import codecs
from collections.abc import Sequence

from groundup.errors import ConfigError


class Detokenizer:
    """The text of one reply, token by token, up to the first of its stop strings.

    `table` holds the bytes of each id, none for special ones. Bytes that are no UTF-8 come as U+FFFD.
    """

    def __init__(self, table: Sequence[bytes], stop: Sequence[str] = ()) -> None:
        """Raises ConfigError for an empty stop string."""
        self._table = table
        self._stops = [text.encode("utf-8", errors="replace") for text in stop]
        if not all(self._stops):
            raise ConfigError("stop has an empty string, which is everywhere; leave it out")
        self._held = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self.stopped = False
        """A stop string was found: what comes after it is passed over."""

    def add(self, token: int) -> str:
        """The text that became certain with this token: whole characters that cannot be part of a stop string."""
        if self.stopped:
            return ""
        self._held += self._table[token]
        found = [place for stop in self._stops if (place := self._held.find(stop)) >= 0]
        if found:
            self.stopped = True
            sure, self._held = self._held[: min(found)], b""
            return self._decoder.decode(sure, final=True)
        sure_bytes = len(self._held) - self._doubtful()
        sure, self._held = self._held[:sure_bytes], self._held[sure_bytes:]
        return self._decoder.decode(sure)

    def close(self) -> str:
        """The rest, once there are no more tokens."""
        rest, self._held = self._held, b""
        return "" if self.stopped else self._decoder.decode(rest, final=True)

    def _doubtful(self) -> int:
        """Bytes at the end that a stop string could begin with."""
        longest = max((len(stop) - 1 for stop in self._stops), default=0)
        for size in range(min(longest, len(self._held)), 0, -1):
            if any(stop.startswith(self._held[-size:]) for stop in self._stops):
                return size
        return 0
