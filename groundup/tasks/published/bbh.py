"""BIG-Bench Hard: 27 tasks that language models long failed (Suzgun et al. 2022, 2210.09261)."""

import re
from collections.abc import Sequence
from random import Random
from typing import ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._records import Place, Record

SMALL = re.compile(r'\.$|[,\n\\"]')
"""What the harness leaves out before it compares."""


class Bbh(Written):
    """27 tasks of reasoning: the reply is the answer, but for case and small signs. No line tells what the task is."""

    place: ClassVar[Place] = Place("bbh", "SaylorTwift/bbh", "*")
    until: ClassVar[tuple[str, ...]] = ("</s>", "Q:", "<|im_end|>", "\n\n")

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        return Prompt("", f"Q: {record['input']}\nA:", record["target"], record["target"], _task(record))

    def examples(self, pool: Sequence[Record], record: Record, draw: Random, itself: bool) -> Sequence[Record]:
        """Examples of the same task. Raises DataError where there are too few."""
        same = [each for each in pool if _task(each) == _task(record)]
        return super().examples(same, record, draw, itself)

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 for the answer and nothing else."""
        return float(_bare(reply) == _bare(prompt.expected))


def _task(record: Record) -> str:
    """Which of the 27: on the hub each is a configuration."""
    return str(record["task" if "task" in record else "configuration"])


def _bare(text: str) -> str:
    return SMALL.sub("", text.strip().lower()).strip()
