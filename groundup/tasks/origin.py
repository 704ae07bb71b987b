"""Which document is this passage from? Four choices, so that guessing is known to be right one time in four."""

import re
from collections import Counter
from collections.abc import Sequence
from math import log
from random import Random
from typing import ClassVar, Literal

from pydantic import Field

from groundup.corpus.conversation import Message
from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task
from groundup.tasks._excerpt import cut, group, is_code, more, open_at_random, readable_name, size, word_counts, words

LETTERS = "ABCD"
PROSE = ("Which document is this from?", "Where does this passage come from?", "Which text is this taken from?")
CODE = ("Which module is this from?", "Where does this code come from?", "Which file is this taken from?")
N_WORDS = 5
"""Words by which a choice is known: with five, about nine passages of sixty words in ten hold one of them."""
NAME_BYTES = 36
TRIES = 8


class Origin(Task):
    """Out of four documents, each with its name and five words of its own, the one that a passage is from.

    Held-out documents were never seen, so their names alone say nothing: the question is answered by what it shows.

    In words: the reply is a letter. Each choice carries words that are common in its document and not in the other
    three, taken from the rest of the document, as the index of a book would: names of people, places and functions. A
    passage is only asked about when it holds one of them, so the answer is found by matching words. The passage stands
    first because a causal model can then mark, while it reads a choice, the words that it has met before.

    By likelihood: matching over a distance is the last thing that a small model learns (one of 3 M parameters after
    0.6 M tokens of books answers at chance), but what it reads always shifts what it expects. Each option says "Quote
    another passage from the same text", some snippets from elsewhere in one of the documents, and as the reply the
    passage; the same passage is likeliest after snippets of its own document (a noisy channel, arXiv 2108.04106: equal
    replies need no correction for length or frequency). The same small model is right in 47 % of 200 questions.
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
            example = self._make(random.choice(documents), shelf, split, random)
            if example is not None and size(example.question + example.answer) <= self.max_bytes:
                made.setdefault(example.question, example)
        return list(made.values())

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the last letter A to D that stands alone in the reply is that of the right document."""
        letters = re.findall(r"\b[A-D]\b", reply)
        return float(bool(letters) and letters[-1] == example.expected[0])

    def _make(self, right: Document, shelf: "_Shelf", split: Split, random: Random) -> Example | None:
        page = open_at_random(right, random, self.max_bytes)
        first = random.randrange(max(1, len(page.spans) - 1))
        last = page.run(first, int(self.max_bytes * random.uniform(0.3, 0.45)))
        if last < first:
            return None
        passage = page.quote(first, last)
        here = Counter(words(passage))
        choices = [right, *shelf.others(right, random)]
        known = shelf.telling(choices, here)
        shared = sorted((word for word in known[0] if here[word]), key=lambda word: -here[word])
        if not shared or min(map(len, known)) < N_WORDS:
            return None
        order = random.sample(range(len(choices)), len(choices))
        lines = [
            f"{letter}. {cut(readable_name(choices[index]), NAME_BYTES)}: {' '.join(known[index])}"
            for letter, index in zip(LETTERS, order, strict=True)
        ]
        shown = order if split == "held_out" else ()  # training shows how it goes on in `Passages`
        options = [more(choices[index], passage, self.max_bytes, random) for index in shown]
        place = order.index(0)
        question = random.choice(CODE if is_code(right) else PROSE)
        answer = LETTERS[place] if self.style == "letter" else f"{shared[0]}: {LETTERS[place]}"
        return Example(
            "\n".join((question, "", passage, "", *lines)),
            answer,
            "origin",
            (LETTERS[place],),
            tuple((Message("user", option), Message("assistant", passage)) for option in options),
            place,
        )


class _Shelf:
    """The documents of a split by folder or book, and the words counted in them so far."""

    def __init__(self, documents: Sequence[Document]) -> None:
        self._documents = documents
        self._families: dict[str, list[Document]] = {}
        self._counts: dict[str, Counter[str]] = {}
        self._common: dict[str, list[str]] = {}
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
            some = random.sample(pool, min(6, len(pool)))  # at most three of the six are taken
            drawn += [document for document in some if document.id not in taken][: 3 - len(drawn)]
        return drawn

    def telling(self, choices: Sequence[Document], here: Counter[str]) -> list[list[str]]:
        """For each choice the words that tell it from the others, the best first: count x log ratio of the counts.

        The first choice is the one that the passage is from: the words `here`, in the passage, do not count for it.
        """
        counts = [self.counts(choice) for choice in choices]
        found = []
        for index, choice in enumerate(choices):
            weights = {}
            for word in self._frequent(choice):
                own = counts[index][word] - (here[word] if index == 0 else 0)
                if own > 1:
                    every = sum(count[word] for count in counts)
                    weights[word] = own * log((own + 0.5) / (every - counts[index][word] + 0.5))
            found.append(sorted(weights, key=lambda word: (-weights[word], word))[:N_WORDS])
        return found

    def _frequent(self, document: Document) -> list[str]:
        """The commonest words of the document that are neither very short nor very long."""
        if document.id not in self._common:
            common = self.counts(document).most_common(200)
            self._common[document.id] = [word for word, count in common if count > 1 and 3 < len(word) < 16]
        return self._common[document.id]
