"""LAMBADA: the last word of a passage that only the whole passage tells (Paperno et al. 2016, 1606.06031)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice
from groundup.tasks.published._records import Place, Record


class Lambada(MultipleChoice):
    """The last word of each passage, in OpenAI's form: right when the model would have written it."""

    place: ClassVar[Place] = Place("lambada", "EleutherAI/lambada_openai")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        before, _, last = record["text"].rpartition(" ")
        return Item("", ((before, f" {last}"),))
