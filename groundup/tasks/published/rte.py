"""RTE: does one sentence follow from another (Dagan et al. 2006 to Bentivogli et al. 2009; SuperGLUE, 1905.00537)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Rte(MultipleChoice):
    """Whether a claim follows from a passage."""

    place: ClassVar[Place] = Place("rte", "aps/super_glue", "rte", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        asked = f"{record['premise']}\nQuestion: {record['hypothesis']} True or False?\nAnswer:"
        return after(asked, ("True", "False"), int(record["label"]))
