"""What a task is: questions whose answers can be scored. The score is the metric and the reward."""

import hashlib
import random
from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

from groundup.config import Component
from groundup.corpus.conversation import Conversation, Message
from groundup.corpus.document import Document

Split = Literal["train", "held_out"]


@dataclass(frozen=True)
class Example:
    """One question. `kind` names the sort of question; `expected` holds what the score looks for, if not the answer.

    A multiple-choice question may give `options` too: conversations that end alike, of which number `right` is true.
    The choice is the one in which the model finds the last message likeliest.
    """

    question: str
    answer: str
    kind: str = ""
    expected: tuple[str, ...] = ()
    options: tuple[Conversation, ...] = ()
    right: int = 0


class Task(Component):
    """Questions with a score. Its own gold answer scores 1.0, and its two splits share no example."""

    chance: ClassVar[float | None] = None
    """What guessing scores, where that is known."""

    @abstractmethod
    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Up to `count` questions, the same for the same arguments; fewer where there are no more.

        `documents` are those of the split: a task made from documents is held out because its documents are.
        """

    def ask(self, example: Example) -> Conversation:
        """The conversation that a model is to answer."""
        return (Message("user", example.question),)

    def answer(self, example: Example) -> str:
        """The reply that training shows."""
        return example.answer

    @abstractmethod
    def score(self, example: Example, reply: str) -> float:
        """From 0.0 to 1.0; 1.0 is right."""

    def random(self, split: Split, seed: int) -> random.Random:
        """A generator of this task's own, the same for the same split and seed."""
        return random.Random(f"{self.name} {split} {seed}")


def place(text: str) -> float:
    """A fixed place in [0, 1) for a text: splits are drawn by it, whatever the order or the seed.

    >>> place("a") == place("a")
    True
    """
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big") / 2**64


def word_overlap(gold: str, reply: str) -> float:
    """Harmonic mean of precision and recall over the words of two texts (the F1 of SQuAD, arXiv 1606.05250).

    >>> word_overlap("the red fox", "the fox")
    0.8
    """
    wanted, given = gold.lower().split(), reply.lower().split()
    left, common = list(wanted), 0
    for word in given:
        if word in left:
            left.remove(word)
            common += 1
    return 2 * common / (len(wanted) + len(given)) if common else float(wanted == given)
