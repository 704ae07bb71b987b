"""CommonsenseQA: questions on everyday concepts and what they have to do with each other (Talmor 2019, 1811.00937)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after, labelled
from groundup.tasks.published._records import Place, Record

LETTERS = "ABCDE"


class Commonsenseqa(MultipleChoice):
    """Everyday knowledge, five options: the letter of the right one should be likeliest."""

    place: ClassVar[Place] = Place("commonsenseqa", "tau/commonsense_qa", split="validation", shots="train")

    def identity(self, record: Record, number: int) -> str:
        """The question's own id."""
        return str(record["id"])

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        texts, right = labelled(record)
        listed = "\n".join(f"{letter}. {text}" for letter, text in zip(LETTERS, texts, strict=True))
        return after(f"Question: {record['question'].strip()}\n{listed}\nAnswer:", LETTERS, right)
