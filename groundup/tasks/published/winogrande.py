"""WinoGrande: whom a sentence speaks of, made hard for word statistics (Sakaguchi et al. 2019, 1907.10641)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice
from groundup.tasks.published._records import Place, Record


class Winogrande(MultipleChoice):
    """Which of two names fills a gap: the rest of the sentence should be likelier after the right one."""

    place: ClassVar[Place] = Place(
        "winogrande", "allenai/winogrande", "winogrande_xl", split="validation", shots="train"
    )

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        before, _, rest = record["sentence"].partition("_")
        options = (record["option1"], record["option2"])
        return Item("", tuple((before + option, f" {rest.strip()}") for option in options), int(record["answer"]) - 1)
