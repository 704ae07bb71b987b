"""CommitmentBank: does what a speaker says commit him to a clause in it (de Marneffe et al. 2019; SuperGLUE)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Cb(MultipleChoice):
    """Whether a claim follows from a passage, is denied by it, or neither. Always saying False scores 0.5."""

    place: ClassVar[Place] = Place("cb", "aps/super_glue", "cb", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        asked = f"{record['premise']}\nQuestion: {record['hypothesis']}. True, False, or Neither?\nAnswer:"
        return after(asked, ("True", "False", "Neither"), int(record["label"]))
