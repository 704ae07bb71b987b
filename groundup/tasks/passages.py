"""Questions about a passage, made by rules from the user's own text, with no outside model."""

import re
from collections import Counter
from collections.abc import Sequence
from random import Random

from pydantic import Field

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task, word_overlap
from groundup.tasks._excerpt import Page, more, open_at_random, readable_name, size, words

KINDS = ("more", "continue", "find", "after", "more", "tell", "before")
PROSE = {
    "continue": ("Continue this passage:", "Please go on:", "Carry on from here:", "How does this go on?"),
    "after": ("What comes after this?", "What is the next sentence?", "What follows this passage?", "And then?"),
    "before": ("What comes before this?", "Which sentence comes before this?", "What precedes this passage?"),
    "find": ("Find the sentence about {}:", "Which sentence is about {}?", "Quote the sentence about {}:"),
    "tell": ("Tell me about {}.", "What do you know about {}?", "Say something about {}.", "Who or what is {}?"),
    "name": ("Tell me something from {}.", "Quote a passage from {}.", "Read me a little of {}."),
}
CODE = {
    "continue": ("Continue this code:", "Please go on:", "Complete this code:", "How does this code go on?"),
    "after": ("What comes after this?", "What is the next line?", "Which line follows this code?"),
    "before": ("What comes before this?", "Which line comes before this?", "Which line precedes this code?"),
    "find": ("Find the line with {}:", "Which line has {} in it?", "Quote the line with {}:"),
    "tell": ("Show me how {} is used.", "Give me a line with {}.", "Where does {} appear?"),
    "name": ("Show me some code from {}.", "Quote a few lines of {}.", "What does {} look like?"),
}
NAME = re.compile(r"(?<=[a-z,;] )[A-Z][a-z’'-]{2,}(?: [A-Z][a-z’'-]{2,})?")
TRIES = 8
"""Pages tried for one question before it is given up: title pages and tables hold no sentence that fits."""


class Passages(Task):
    """Continue a passage, say what comes before or after it, find the sentence about X, tell about X, quote more.

    Lines take the place of sentences in source code. A reply is scored by the words that it shares with the text.
    """

    max_bytes: int = Field(680, ge=120, description="of question and answer together: context x bytes per token, less")

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """The kinds in turn, from documents drawn at random; fewer when the documents are too short for a question."""
        random = self.random(split, seed)
        made: dict[str, Example] = {}
        for turn in range(count * TRIES if documents else 0):
            if len(made) == count:
                break
            example = self._make(KINDS[turn % len(KINDS)], random.choice(documents), random)
            if example is not None and size(example.question + example.answer) <= self.max_bytes:
                made.setdefault(example.question, example)
        return list(made.values())

    def score(self, example: Example, reply: str) -> float:
        """The F1 of the reply's words; 1.0 for the text itself."""
        return word_overlap(example.answer, reply)

    def _make(self, kind: str, document: Document, random: Random) -> Example | None:
        page = open_at_random(document, random, self.max_bytes)
        if len(page.spans) < 3:
            return None
        phrasings = CODE if page.code else PROSE
        if kind == "tell":
            return self._tell(document, page, phrasings, random)
        if kind == "more":
            return self._more(document, page, random)
        if kind == "find":
            return self._find(page, random.choice(phrasings[kind]), random)
        return self._neighbour(kind, page, random.choice(phrasings[kind]), random)

    def _neighbour(self, kind: str, page: Page, phrasing: str, random: Random) -> Example | None:
        """What stands beside a run of units; half of what is to be continued is torn inside a sentence."""
        first = random.randrange(1, len(page.spans) - 1)
        last = page.run(first, self._passage_bytes(random))
        if last < first or last + 1 >= len(page.spans):
            return None
        passage, answer = page.quote(first, last), page.quote(last + 1, last + 1)
        if kind == "before":
            answer = page.quote(first - 1, first - 1)
        if kind == "continue" and not page.code and random.random() < 0.5:
            spaces = [match.start() for match in re.finditer(r"\s", answer)]
            middle = spaces[len(spaces) // 2] if spaces else 0
            passage, answer = page.quote(first, last + 1)[: middle - len(answer) or None], answer[middle:].strip()
        if kind == "continue" and page.code:
            answer = page.quote(last + 1, max(last + 1, page.run(last + 1, self.max_bytes // 5)))
        return Example(f"{phrasing}\n\n{passage}", answer, kind) if answer.strip() else None

    def _find(self, page: Page, phrasing: str, random: Random) -> Example | None:
        """The one unit of a passage that holds a word which stands nowhere else in it."""
        first = random.randrange(len(page.spans) - 1)
        last = page.run(first, self._passage_bytes(random))
        if last - first < 1:
            return None
        units = page.units()[first : last + 1]
        counts = Counter(word for unit in units for word in words(unit))
        about = [word for word, n in counts.items() if n == 1 and len(word) > 4]
        if not about:
            return None
        word = random.choice(about)
        answer = next(unit for unit in units if word in words(unit))
        return Example(f"{phrasing.format(word)}\n\n{page.quote(first, last)}", answer.strip(), "find")

    def _tell(
        self, document: Document, page: Page, phrasings: dict[str, tuple[str, ...]], random: Random
    ) -> Example | None:
        """From memory: a unit that holds a name, or the beginning of a page of a document that the question names."""
        half = self.max_bytes // 2
        if random.random() < 0.3:
            last = page.run(0, half)
            question = random.choice(phrasings["name"]).format(readable_name(document))
            return Example(question, page.quote(0, last), "tell") if last >= 0 else None
        units = [unit for unit in page.units() if 30 <= size(unit) <= half]
        pattern = re.compile(r"\b[a-z_]+(?:_[a-z]+|\.[a-z_]+)+\b") if page.code else NAME
        named = [(unit, name) for unit in units for name in pattern.findall(unit)]
        if not named:
            return None
        unit, name = random.choice(named)
        return Example(random.choice(phrasings["tell"]).format(name), unit.strip(), "tell")

    def _more(self, document: Document, page: Page, random: Random) -> Example | None:
        """Another passage of a document that shows itself in snippets: what `Origin` tells documents apart by."""
        first = random.randrange(len(page.spans) - 1)
        last = page.run(first, int(self.max_bytes * random.uniform(0.3, 0.45)))
        if last < first:
            return None
        passage = page.quote(first, last)
        return Example(more(document, passage, self.max_bytes, random), passage, "more")

    def _passage_bytes(self, random: Random) -> int:
        """The length of a quoted passage: between a fifth and three fifths of the budget."""
        return int(self.max_bytes * random.uniform(0.2, 0.6))
