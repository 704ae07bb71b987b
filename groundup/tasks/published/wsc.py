"""The Winograd Schema Challenge: whom a pronoun means (Levesque et al. 2012; SuperGLUE, 1905.00537)."""

import re
from typing import ClassVar

from groundup.tasks.published._base import Item, MultipleChoice, after
from groundup.tasks.published._records import Place, Record

SPACES = {" n't": "n't", " )": ")", "( ": "(", '" ': '"', ' "': '"'}
"""Where the records have a space that a text has not."""


class Wsc(MultipleChoice):
    """Whether a pronoun of a passage means a noun of it. Always no scores 0.63."""

    place: ClassVar[Place] = Place("wsc", "aps/super_glue", "wsc.fixed", split="validation", shots="train")

    def question(self, record: Record) -> Item:
        """See `MultipleChoice.question`. The place of the pronoun is counted in words."""
        text, pronoun = record["text"], record["span2_text"]
        before = " ".join(text.split()[: int(record["span2_index"])])
        passage = f"{before} *{pronoun}*{text[len(before) + len(pronoun) + 1 :]}"
        for spaced, plain in SPACES.items():
            passage = passage.replace(spaced, plain)
        passage = re.sub(r" (?=['.,])", "", passage)
        asked = f'Question: In the passage above, does the pronoun "*{pronoun}*" refer to "*{record["span1_text"]}*"?'
        return after(f"Passage: {passage}\n{asked}\nAnswer:", ("no", "yes"), int(record["label"]))
