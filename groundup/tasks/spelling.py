"""Spelling: a model that reads tokens never sees letters, unless it is shown them."""

import re
from collections.abc import Sequence

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task, place

WORD = re.compile(r"\b[^\W\d_]{3,10}\b")
SAMPLE = 20_000
"""Characters read from a document: enough for its common words."""

PHRASINGS = {
    "spell": ('How do you spell "{}"?', "Spell the word {}.", "Please spell {}.", 'Write "{}" letter by letter.'),
    "first": ('What is the first letter of "{}"?', "Which letter does {} begin with?", "{} starts with which letter?"),
    "last": ('What is the last letter of "{}"?', "Which letter does {} end with?", "{} ends with which letter?"),
}


class Spelling(Task):
    """Letter by letter, the first letter, the last letter: words out of the documents, a tenth of them held out.

    >>> Spelling().example("spell", "cat", "Spell the word {}.").answer
    'c-a-t'
    """

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Questions about words of the documents; a word is in one split, whichever documents hold it."""
        random = self.random(split, seed)
        chosen = random.sample(range(len(documents)), min(100, len(documents)))
        found = {word for index in chosen for word in WORD.findall(documents[index].text[:SAMPLE])}
        words = sorted(word for word in found if word.islower() and (place(word) < 0.1) == (split == "held_out"))
        pairs = [(kind, word) for word in words for kind in PHRASINGS]
        return [
            self.example(kind, word, random.choice(PHRASINGS[kind]))
            for kind, word in random.sample(pairs, min(count, len(pairs)))
        ]

    def example(self, kind: str, word: str, phrasing: str) -> Example:
        """One question about a word; `kind` is spell, first or last."""
        answer = {"spell": "-".join(word), "first": word[0], "last": word[-1]}[kind]
        return Example(phrasing.format(word), answer, kind)

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the reply is the answer; case, spaces and a full stop are forgiven."""
        return float(reply.strip().rstrip(".").lower() == example.answer)
