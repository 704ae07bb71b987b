"""GSM8K: word problems of school arithmetic, in a few steps (Cobbe et al. 2021, 2110.14168)."""

import re
from typing import ClassVar

from pydantic import Field

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._numbers import last_number, plain
from groundup.tasks.published._records import Place, Record

MARKED = re.compile(r"#### (-?[0-9.,]+)")


class Gsm8k(Written):
    """Word problems of a few steps: the last number of the reply counts (strict: the one after ####)."""

    place: ClassVar[Place] = Place("gsm8k", "openai/gsm8k", "main", shots="train")
    until: ClassVar[tuple[str, ...]] = ("Question:", "</s>", "<|im_end|>")
    form: ClassVar[str] = "flexible"

    shots: int = Field(5, ge=0, le=100, description="solved examples before each question")

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        answer = record["answer"]
        right = plain(answer.rpartition("#### ")[2])
        return Prompt("", f"Question: {record['question']}\nAnswer:", answer, right)

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the last number of the reply is the answer."""
        return float(last_number(reply) == prompt.expected)

    def forms(self, prompt: Prompt, reply: str) -> dict[str, float]:
        """The last number, and strictly the first after ####."""
        marked = MARKED.search(reply)
        strict = marked is not None and plain(marked[1]) == prompt.expected
        return {"flexible": self.score(prompt, reply), "strict": float(strict)}
