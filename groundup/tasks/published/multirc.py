"""MultiRC: is this an answer to a question on a paragraph (Khashabi et al. 2018; SuperGLUE, 1905.00537)."""

from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record


class Multirc(MultipleChoice):
    """Whether an answer to a question on a paragraph is right; each answer by itself. Always no scores 0.57.

    Label 1 is a right answer, as published. The harness's file (2.0) takes it for "no".
    """

    place: ClassVar[Place] = Place("multirc", "aps/super_glue", "multirc", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`."""
        asked = f"{record['paragraph']}\nQuestion: {record['question']}\nAnswer:"
        options = [f"{record['answer']}\nIs the answer correct? {word}" for word in ("yes", "no")]
        return after(asked, options, 0 if int(record["label"]) else 1)
