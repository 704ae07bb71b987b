"""Documents of hash marks, dots and bullets: the symbol rules of Gopher."""

from collections.abc import Iterator

import numpy as np
from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.lines import lines
from groundup.corpus.words import TECHNICAL_SYMBOLS, lowered, words

# Comments begin with a hash mark: up to 0.2 for each word in the library of Python.
TECHNICAL = 4
BULLETS = ("•", "‣", "▪", "◦", "●", "-", "*", "–", "+ ")
ELLIPSES = ("...", "…")
# Shares of so few lines say nothing.
FEWEST_LINES = 5


class Symbols(Filter):
    """Drops documents by the symbol rules of Rae et al. 2021 (Gopher), table A1, whose numbers are the defaults.

    >>> Symbols().judge(Document("a", "- milk\\n- bread\\n- eggs\\n- salt\\n- tea", "s", "p")).reason
    'bullets'
    """

    hashes: float = Field(
        0.1, ge=0, description="most runs of hash marks for each word, of technical text 4 times that"
    )
    ellipses: float = Field(0.1, ge=0, description="most ellipses for each word")
    bullets: float = Field(0.9, ge=0, le=1, description="largest share of lines that begin with a bullet")
    trailing: float = Field(0.3, ge=0, le=1, description="largest share of lines that end with an ellipsis")

    def judge(self, document: Document) -> Verdict:
        """Drop with `hash_marks`, `ellipses`, `bullets` or `trailing_ellipses`; the value is a ratio."""
        for reason, value, threshold in self._measures(document.text):
            if value > threshold:
                return Verdict(False, reason, round(value, 4), threshold)
        return KEPT

    def _measures(self, text: str) -> Iterator[tuple[str, float, float]]:
        split = words(text)
        count = max(1, len(split.hashes))
        yield (
            "hash_marks",
            hash_marks(text) / count,
            self.hashes * (TECHNICAL if split.symbols > TECHNICAL_SYMBOLS else 1),
        )
        yield "ellipses", (text.count("...") + text.count("…")) / count, self.ellipses
        rows = lines(text)
        if len(rows) >= FEWEST_LINES:
            yield "bullets", sum(row.startswith(BULLETS) for row in rows) / len(rows), self.bullets
            yield "trailing_ellipses", sum(row.endswith(ELLIPSES) for row in rows) / len(rows), self.trailing


def hash_marks(text: str) -> int:
    """How many runs of hash marks a text has.

    >>> hash_marks("# One ## two")
    2
    """
    if "##" not in text:
        return text.count("#")
    marks = np.frombuffer(lowered(text), np.uint8) == ord("#")
    return int(marks[0]) + int(np.count_nonzero(marks[1:] > marks[:-1]))
