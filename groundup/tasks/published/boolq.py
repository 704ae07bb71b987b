"""BoolQ: yes or no, from a passage (Clark et al. 2019, 1905.10044)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Boolq(MultipleChoice):
    """A yes-or-no question on a passage. Always saying yes scores 0.62 on the published set."""

    place: ClassVar[Place] = Place("boolq", "aps/super_glue", "boolq", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        right = int(record["label"] if "label" in record else record["answer"])
        return after(f"{record['passage']}\nQuestion: {record['question']}?\nAnswer:", ("no", "yes"), right)
