"""BLiMP: which of two sentences, alike but for one rule of grammar, is English (Warstadt et al. 2020, 1912.00582)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Blimp(MultipleChoice):
    """Minimal pairs of sentences, 67 kinds of a thousand: the grammatical one should be likelier."""

    place: ClassVar[Place] = Place("blimp", "nyu-mll/blimp", "*", split="train")

    def identity(self, record: Record, number: int) -> str:
        """The paradigm and the pair's number in it."""
        return f"{record['UID']}/{record['pairID']}"

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        return after("", (record["sentence_good"], record["sentence_bad"]), 0, record["UID"])
