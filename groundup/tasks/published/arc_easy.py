"""ARC, the easy part: questions of school science (Clark et al. 2018, 1803.05457)."""

from typing import ClassVar

from groundup.tasks.published._base import Form, Item, MultipleChoice, after, labelled
from groundup.tasks.published._records import Place, Record


class ArcEasy(MultipleChoice):
    """School science, mostly of four options; the easy part."""

    place: ClassVar[Place] = Place("arc_easy", "allenai/ai2_arc", "ARC-Easy", shots="train")
    form: ClassVar[Form] = "acc_norm"

    def identity(self, record: Record, number: int) -> str:
        """The exam and the question's number in it."""
        return str(record["id"])

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        return after(f"Question: {record['question']}\nAnswer:", *labelled(record))
