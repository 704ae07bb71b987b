"""PIQA: which of two ways reaches a practical goal (Bisk et al. 2019, 1911.11641)."""

from typing import ClassVar

from groundup.tasks.published._base import Form, Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Piqa(MultipleChoice):
    """Which of two ways to reach a practical goal works."""

    place: ClassVar[Place] = Place("piqa", "baber/piqa", split="validation", shots="train")
    form: ClassVar[Form] = "acc_norm"

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        return after(f"Question: {record['goal']}\nAnswer:", (record["sol1"], record["sol2"]), int(record["label"]))
