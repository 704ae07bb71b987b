"""OpenBookQA: elementary science that takes a fact and a step of common sense (Mihaylov et al. 2018, 1809.02789)."""

from typing import ClassVar

from groundup.tasks.published._base import Form, Item, MultipleChoice, after, labelled
from groundup.tasks.published._records import Place, Record


class Openbookqa(MultipleChoice):
    """Which of four options completes a sentence of elementary science."""

    place: ClassVar[Place] = Place("openbookqa", "allenai/openbookqa", "main", shots="train")
    form: ClassVar[Form] = "acc_norm"

    def identity(self, record: Record, number: int) -> str:
        """The question's own id."""
        return str(record["id"])

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        return after(record["question_stem" if "question_stem" in record else "question"], *labelled(record))
