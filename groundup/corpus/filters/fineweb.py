"""Lists, menus and copied lines: the rules that FineWeb found to help."""

from collections.abc import Iterator

from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.filters.repetition import repeated_lines
from groundup.corpus.lines import lines

END_MARKS = (".", "?", "!", '"', "'", "”", "’", ":", ";", ")", "。", "？", "！", "」", "।", "۔", "؟", "…")
SHORT_CHARACTERS = 30


class Fineweb(Filter):
    """Drops pages of short lines, of lines without an end mark, or of lines that recur (Penedo et al. 2024, FineWeb).

    The defaults are the thresholds of its section 3.6. They are for web pages: verse and drama are made of short lines.

    >>> Fineweb().judge(Document("a", "\\n".join(f"Item {n} in stock" for n in range(20)), "s", "p"))
    Verdict(kept=False, reason='few_line_ends', value=0.0, threshold=0.12)
    """

    ends: float = Field(0.12, ge=0, le=1, description="least share of lines that end with punctuation")
    repeated: float = Field(0.1, ge=0, le=1, description="largest share of characters in lines that stood before")
    short: float = Field(0.67, ge=0, le=1, description="largest share of lines under 30 characters")

    def judge(self, document: Document) -> Verdict:
        """Drop with `few_line_ends`, `copied_lines` or `short_lines`; the value is a share."""
        for reason, value, threshold, least in self._measures(document.text):
            if value < threshold if least else value > threshold:
                return Verdict(False, reason, round(value, 4), threshold)
        return KEPT

    def _measures(self, text: str) -> Iterator[tuple[str, float, float, bool]]:
        """Reason, value, threshold, and whether that is the least or the most."""
        rows = lines(text)
        count = max(1, len(rows))
        yield "few_line_ends", sum(row.endswith(END_MARKS) for row in rows) / count, self.ends, True
        yield "copied_lines", repeated_lines(rows), self.repeated, False
        yield "short_lines", sum(len(row) < SHORT_CHARACTERS for row in rows) / count, self.short, False
