"""HellaSwag: how a scene goes on, wrong endings machine-written (Zellers et al. 2019, 1905.07830)."""

import re
from typing import ClassVar

from groundup.tasks.published._base import Form, Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Hellaswag(MultipleChoice):
    """Which of four endings follows a scene."""

    place: ClassVar[Place] = Place("hellaswag", "Rowan/hellaswag", split="validation", shots="train")
    form: ClassVar[Form] = "acc_norm"

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`. A record without `activity_label` has it in `ctx` already."""
        scene = record["ctx"]
        if "activity_label" in record:
            scene = f"{record['activity_label']}: {record['ctx_a']} {record['ctx_b'].capitalize()}"
        return after(_tidy(scene), [_tidy(ending) for ending in record["endings"]], int(record["label"]))


def _tidy(text: str) -> str:
    """Without the marks of the how-to pages that half of the scenes are from."""
    text = re.sub(r"\[.*?\]", "", text.strip().replace(" [title]", ". "))
    return text.replace("  ", " ")
