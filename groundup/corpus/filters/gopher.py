"""Documents whose words are not those of running text: the word rules of Gopher."""

from collections.abc import Iterator
from functools import cache

import numpy as np
from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.words import TECHNICAL_SYMBOLS, Hashes, words

# Languages that do not part their words: what stands between two punctuation marks is a clause there.
WITHOUT_SPACES = ("zh", "ja", "th", "lo", "km", "my", "bo", "dz")
# Shares of so few words say nothing.
FEWEST_WORDS = 50
STOP_WORDS = "the be to of and that have with"


class Gopher(Filter):
    """Drops documents by the word rules of Rae et al. 2021 (Gopher), table A1, whose numbers are the defaults.

    Text in which symbols abound (source code, markup, tables) is passed over unless `technical`: the rules were made
    for prose. Stop words are asked for in English only; without the filter `language` before it, all is taken as
    English. In languages that do not part their words only letters count.

    >>> Gopher().judge(Document("a", "2019 117 235 " * 40, "s", "p"))
    Verdict(kept=False, reason='few_letters', value=0.0, threshold=0.8)
    """

    least_words: int = Field(50, ge=0)
    most_words: int = Field(100_000, ge=1)
    shortest_mean: float = Field(3.0, ge=0)
    longest_mean: float = Field(10.0, gt=0)
    letters: float = Field(0.8, ge=0, le=1, description="least share of words with a letter")
    stop_words: int = Field(2, ge=0, description="how many of the eight must occur")
    technical: bool = False
    unlabelled: bool = Field(True, description="judge documents without a language label too")

    def judge(self, document: Document) -> Verdict:
        """Drop with `few_words`, `many_words`, `short_words`, `long_words`, `few_letters` or `no_stop_words`."""
        technical = words(document.text).symbols > TECHNICAL_SYMBOLS
        if (technical and not self.technical) or not (document.language or self.unlabelled):
            return KEPT
        for reason, value, threshold, least in self._measures(document):
            if value < threshold if least else value > threshold:
                return Verdict(False, reason, round(value, 4), threshold)
        return KEPT

    def _measures(self, document: Document) -> Iterator[tuple[str, float, float, bool]]:
        """Reason, value, threshold, and whether that is the least or the most."""
        split = words(document.text)
        count = len(split.hashes)
        if document.language not in WITHOUT_SPACES:
            yield "few_words", float(count), float(self.least_words), True
            if count < FEWEST_WORDS:
                return
            yield "many_words", float(count), float(self.most_words), False
            mean = float(split.letters.mean()) if count else 0.0
            yield "short_words", mean, self.shortest_mean, True
            yield "long_words", mean, self.longest_mean, False
        yield "few_letters", split.alphabetic, self.letters, True
        if self.stop_words and document.language in ("", "en"):
            found = np.isin(_stop_words(), split.hashes)
            yield "no_stop_words", float(found.sum()), float(self.stop_words), True


@cache  # asked for anew, they would take the place of the document's words in the cache of `words`
def _stop_words() -> Hashes:
    return words(STOP_WORDS).hashes
