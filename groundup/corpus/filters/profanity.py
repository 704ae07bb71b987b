"""Documents full of words from a list of obscene ones."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from pydantic import Field

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.corpus.words import Hashes, distinct, words
from groundup.errors import DataError

# A text this short is judged by its words whatever their share.
FEWEST = 2


class Profanity(Filter):
    """Drops documents in which more than `share` of the words are on a list, and at least two are.

    The list is that of C4 (Raffel et al. 2020): LDNOOBW, 28 languages, CC-BY-4.0, kept as hashes of its single words,
    so that nobody has to read it. Of a document with a language label only that language's words count (French has one
    that every Spanish page is full of), of others those of all. `file` names another list, one word a line. C4 drops a
    page for one word, and with it medicine, law and literature (Dodge et al. 2021); hence a share.

    >>> Profanity().judge(Document("a", "The sea was calm all day.", "s", "p")).kept
    True
    """

    share: float = Field(0.01, ge=0, le=1)
    file: str = ""

    def files(self) -> tuple[str, ...]:
        """The `file`, where one is named."""
        return (self.file,) if self.file else ()

    def check(self) -> None:
        """Raises DataError when the file of words cannot be read."""
        if self.file:
            try:
                _own(self.file)
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"profanity.file: {self.file}: {error}; give a text file, one word a line") from None

    def judge(self, document: Document) -> Verdict:
        """Drop with `profanity`; the value is the share of words."""
        split = words(document.text).hashes
        listed = _own(self.file) if self.file else _shipped(document.language)
        table = np.zeros(1 << 16, bool)
        table[listed >> np.uint64(48)] = True
        some = split[table[split >> np.uint64(48)]]  # few: only they are searched for
        at = np.searchsorted(listed, some)
        found = int(np.count_nonzero(listed[np.minimum(at, len(listed) - 1)] == some)) if len(listed) else 0
        share = found / max(1, len(split))
        if found >= FEWEST and share > self.share:
            return Verdict(False, "profanity", round(share, 4), self.share)
        return KEPT


@cache
def _shipped(language: str) -> Hashes:
    """The words of a language, sorted; of all of them where no language is said, of none where it has no list."""
    with Path(__file__).with_suffix(".json").open(encoding="utf-8") as file:
        lists: dict[str, list[int]] = json.load(file)["hashes"]
    chosen = lists.get(language, []) if language else [word for words in lists.values() for word in words]
    return distinct(np.array(chosen, np.uint64))


@cache
def _own(file: str) -> Hashes:
    rows = Path(file).expanduser().read_text(encoding="utf-8").split("\n")
    return distinct(np.concatenate([np.empty(0, np.uint64), *(words(row).hashes[:1] for row in rows)]))
