"""COPA: the likelier cause or effect of two (Roemmele et al. 2011; SuperGLUE, 1905.00537)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record

LINKS = {"cause": "because", "effect": "therefore"}


class Copa(MultipleChoice):
    """Which of two sentences is the cause of a third, or its effect."""

    place: ClassVar[Place] = Place("copa", "aps/super_glue", "copa", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`. Options stand after two spaces, as in the harness."""
        given = f"{record['premise'].strip()[:-1]} {LINKS[record['question']]}"
        choices = [record["choice1"], record["choice2"]]
        return after(given, [f" {choice[0].lower()}{choice[1:]}" for choice in choices], int(record["label"]))
