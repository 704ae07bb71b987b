"""Which document is this passage from? Four choices, so that guessing is known to be right one time in four."""

import re
from collections import Counter
from collections.abc import Sequence
from math import log
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task
from groundup.tasks._excerpt import group, is_code, open_at_random, readable_name, size, word_counts, words

LETTERS = "ABCD"
PROSE = ("Which document is this from?", "Where does this passage come from?", "Which text is this taken from?")
CODE = ("Which module is this from?", "Where does this code come from?", "Which file is this taken from?")
N_WORDS = 5
"""Words by which a choice is known: with five, about nine passages of sixty words in ten hold one of them."""
NAME_BYTES = 36
TRIES = 8


class Origin(Task):
    """A passage, then four documents, each with its name and five words from elsewhere in it; the reply is a letter.

    Held-out documents were never seen, so their names say nothing to a model: the question must be answerable from
    what it shows. Each choice therefore carries words that are common in its document and not in the other three, as
    the index of a book would: mostly the names of people, places and functions. They are taken from the rest of the
    document, and a passage is only asked about when it holds one of them, so the answer is found by matching. The
    passage stands first because a causal model can then mark, while it reads a choice, the words it has met before,
    and at the answer has only to look up the letter of the choice with such a mark: two layers are enough.
    """

    chance: ClassVar[float | None] = 0.25

    style: Literal["letter", "evidence"] = Field("evidence", description="the letter alone, or the shared words first")
    max_bytes: int = Field(680, ge=320, description="of question and answer together: context x bytes per token, less")

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Up to `count` questions; none where there are fewer than four documents."""
        random, shelf = self.random(split, seed), _Shelf(documents)
        made: dict[str, Example] = {}
        for _ in range(count * TRIES if len(documents) >= len(LETTERS) else 0):
            if len(made) == count:
                break
            example = self._make(random.choice(documents), shelf, random)
            if example is not None and size(example.question + example.answer) <= self.max_bytes:
                made.setdefault(example.question, example)
        return list(made.values())

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the last letter A to D that stands alone in the reply is that of the right document."""
        letters = re.findall(r"\b[A-D]\b", reply)
        return float(bool(letters) and letters[-1] == example.expected[0])

    def _make(self, right: Document, shelf: "_Shelf", random: Random) -> Example | None:
        page = open_at_random(right, random, self.max_bytes)
        first = random.randrange(max(1, len(page.spans) - 1))
        last = page.run(first, int(self.max_bytes * random.uniform(0.3, 0.45)))
        if last < first:
            return None
        passage = page.quote(first, last)
        here = Counter(words(passage))
        choices = [right, *shelf.others(right, random)]
        counts = [shelf.counts(right) - here, *map(shelf.counts, choices[1:])]
        known = [_telling(index, counts) for index in range(len(choices))]
        shared = sorted((word for word in known[0] if here[word]), key=lambda word: -here[word])
        if not shared or min(map(len, known)) < N_WORDS:
            return None
        order = random.sample(range(len(choices)), len(choices))
        lines = [
            f"{letter}. {_short(readable_name(choices[index]))}: {' '.join(known[index])}"
            for letter, index in zip(LETTERS, order, strict=True)
        ]
        letter = LETTERS[order.index(0)]
        question = random.choice(CODE if is_code(right) else PROSE)
        answer = letter if self.style == "letter" else f"{shared[0]}: {letter}"
        return Example("\n".join((question, "", passage, "", *lines)), answer, "origin", (letter,))


class _Shelf:
    """The documents of a split by folder or book, and the words counted in them so far."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._families: dict[str, list[Document]] = {}
        self._counts: dict[str, Counter[str]] = {}
        for document in documents:
            self._families.setdefault(group(document), []).append(document)

    def counts(self, document: Document) -> Counter[str]:
        """How often each word stands in the document."""
        if document.id not in self._counts:
            self._counts[document.id] = word_counts(document)
        return self._counts[document.id]

    def others(self, right: Document, random: Random) -> list[Document]:
        """Three other documents: from other folders or books as far as they go, and each from its own."""
        names = [name for name in self._families if name != group(right)]
        drawn = [random.choice(self._families[name]) for name in random.sample(names, min(3, len(names)))]
        pools = ([document for name in names for document in self._families[name]], self._documents)
        for pool in pools if len(drawn) < 3 else ():
            taken = {right.id, *(document.id for document in drawn)}
            rest = [document for document in pool if document.id not in taken]
            drawn += random.sample(rest, min(3 - len(drawn), len(rest)))
        return drawn


def _telling(index: int, counts: Sequence[Counter[str]]) -> list[str]:
    """The words that tell one document from the others: often in it, seldom in them (count x log ratio of counts)."""
    rest = [count for place, count in enumerate(counts) if place != index]

    def weight(word: str) -> float:
        return counts[index][word] * log((counts[index][word] + 0.5) / (sum(other[word] for other in rest) + 0.5))

    candidates = [word for word, count in counts[index].most_common(200) if count > 1 and 3 < len(word) < 16]
    return sorted(candidates, key=lambda word: (-weight(word), word))[:N_WORDS]


def _short(name: str) -> str:
    """A name cut at a word, so that four of them fit."""
    if size(name) <= NAME_BYTES:
        return name
    cut = name.encode("utf-8", "ignore")[:NAME_BYTES].decode("utf-8", "ignore")
    return cut.rpartition(" ")[0].rstrip(",") or cut
