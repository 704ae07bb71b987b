"""Documents too short to learn from, or too long to be one document."""

from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict


class Length(Filter):
    """Keeps documents of `minimum` to `maximum` bytes of UTF-8, white space at both ends not counted.

    >>> Length(minimum=10).judge(Document("a", "  too short  ", "s", "p"))
    Verdict(kept=False, reason='too_short', value=9.0, threshold=10.0)
    """

    minimum: int = Field(64, ge=0)
    maximum: int = Field(16 << 20, ge=1)

    def judge(self, document: Document) -> Verdict:
        """Drop with `too_short` or `too_long`; the value is the size in bytes."""
        size = float(len(document.text.strip().encode("utf-8", "replace")))
        if size < self.minimum:
            return Verdict(False, "too_short", size, float(self.minimum))
        if size > self.maximum:
            return Verdict(False, "too_long", size, float(self.maximum))
        return KEPT
