"""Who it is: what a model made by groundup says about itself, and small talk."""

import json
from collections.abc import Sequence
from functools import cache
from importlib.resources import files
from typing import Any

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task


class Identity(Task):
    """ "Who are you?": a small language model, made by groundup from the user's own text. Held out: other phrasings."""

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Each held-out phrasing at most once; those for training again and again, so that a count can weigh them."""
        distinct = [
            Example(question, entry["answer"], "identity", tuple(entry["must"]))
            for entry in _table()
            for question in entry[split]
        ]
        random = self.random(split, seed)
        passes = -(-count // len(distinct)) if split == "train" else 1
        return [example for _ in range(passes) for example in random.sample(distinct, len(distinct))][:count]

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the reply holds every phrase that it must hold."""
        return float(all(phrase in reply.lower() for phrase in example.expected))


@cache
def _table() -> list[dict[str, Any]]:
    return json.loads(files("groundup.tasks").joinpath("identity.json").read_text(encoding="utf-8"))
