"""AQuA-RAT: algebra with five options (Ling et al. 2017, 1705.04146)."""

import re
from typing import ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._records import Place, Record

SAID = re.compile(r"answer\s*(?:is|:|-)?\s*\(?([A-E])\b", re.IGNORECASE)
ALONE = re.compile(r"\b([A-E])\b")


class Aqua(Written):
    """Algebra with five options: the last letter that is called the answer counts, else the last that stands alone.

    The harness has no such task.
    """

    place: ClassVar[Place] = Place("aqua", "deepmind/aqua_rat", "raw", shots="validation")
    chance: ClassVar[float | None] = 0.2
    until: ClassVar[tuple[str, ...]] = ("Question:", "\n\n")

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        options = "\n".join(record["options"])
        text = f"Question: {record['question']}\n{options}\nAnswer:"
        return Prompt("", text, record["correct"], record["correct"])

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the letter is right."""
        found = SAID.findall(reply) or ALONE.findall(reply)
        return float(bool(found) and found[-1].upper() == prompt.expected)
