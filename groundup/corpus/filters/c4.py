"""The rules of C4: lines that are not sentences go, and pages of which little is left."""

import re
from dataclasses import replace

from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.filters.gopher import WITHOUT_SPACES

# Raffel et al. 2020 (T5), section 2.2, with the numbers of the code that made the data set (TensorFlow Datasets, c4).
END_MARKS = (".", "?", "!", '"', "”", "’", "'", "。", "？", "！", "」", "।", "۔", "؟")
ELLIPSES = ("...", "…")
POLICY = re.compile(r"terms of use|privacy policy|cookie policy|uses cookies|use of cookies|use cookies|javascript")
# Scripts that are written without spaces, or with marks of their own, end sentences too.
SENTENCE_END = re.compile(r"[.?!](?=[\s\"'”’)\]]|$)|[。？！।۔؟]")


class C4(Filter):
    """Takes out lines that are no sentences, are too short, or speak of cookies and JavaScript, as C4 does.

    Documents with "lorem ipsum" or a curly bracket, or with fewer `sentences` left, are dropped. For web pages: verse,
    drama, lists and source code are not left whole. `punctuation = false` keeps lines without an end mark, as FineWeb
    does. Words of a line are not counted in languages that do not part them.

    >>> C4(sentences=1).judge(Document("a", "Home | News\\nThe sea was calm all day.\\nMore", "s", "p")).document.text
    'The sea was calm all day.'
    """

    words: int = Field(5, ge=0, description="fewest in a line that stays")
    sentences: int = Field(3, ge=0, description="fewest in a document that stays")
    punctuation: bool = True

    def judge(self, document: Document) -> Verdict:
        """Drop with `lorem_ipsum`, `curly_bracket` or `few_sentences`; else what is left of the text goes on."""
        lower = document.text.lower()
        if "lorem ipsum" in lower:
            return Verdict(False, "lorem_ipsum", 1.0, 0.0)
        if brackets := lower.count("{"):
            return Verdict(False, "curly_bracket", float(brackets), 0.0)
        policy = POLICY.search(lower) is not None
        rows = document.text.split("\n")
        words = 0 if document.language in WITHOUT_SPACES else self.words
        kept = [row for row in rows if not row.strip() or self._stays(row.strip(), words, policy)]
        text = document.text if len(kept) == len(rows) else _without_gaps("\n".join(kept))
        sentences = float(len(SENTENCE_END.findall(text)))
        changed = replace(document, text=text) if text != document.text else None
        if sentences < self.sentences:
            return Verdict(False, "few_sentences", sentences, float(self.sentences))
        return Verdict(True, document=changed) if changed else KEPT

    def _stays(self, row: str, words: int, policy: bool) -> bool:
        if self.punctuation and (not row.endswith(END_MARKS) or row.endswith(ELLIPSES)):
            return False
        if row.count(" ") + 1 < words:
            return False
        return not (policy and POLICY.search(row.lower()))


def _without_gaps(text: str) -> str:
    """The text with at most one blank line between two lines."""
    return re.sub(r"\n{3,}", "\n\n", text).strip("\n")
