"""Word in Context: is a word meant alike in two sentences (Pilehvar & Camacho-Collados 2019; SuperGLUE, 1905.00537)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Wic(MultipleChoice):
    """Whether a word means the same in two sentences."""

    place: ClassVar[Place] = Place("wic", "aps/super_glue", "wic", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        first, second = record["sentence1"], record["sentence2"]
        word = first[int(record["start1"]) : int(record["end1"])]
        asked = (
            f"Sentence 1: {first}\nSentence 2: {second}\n"
            f"Question: Is the word '{word}' used in the same way in the two sentences above?\nAnswer:"
        )
        return after(asked, ("no", "yes"), int(record["label"]))
