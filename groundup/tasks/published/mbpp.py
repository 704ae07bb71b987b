"""MBPP: short programs from one sentence, judged by three tests (Austin et al. 2021, 2108.07732)."""

from collections.abc import Sequence
from random import Random
from typing import ClassVar

from pydantic import Field

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._programs import passes, unfenced
from groundup.tasks.published._records import Place, Record


class Mbpp(Written):
    """Short programs from one sentence; three tests of each run in the sandbox."""

    place: ClassVar[Place] = Place("mbpp", "google-research-datasets/mbpp", "full", shots="prompt")
    chance: ClassVar[float | None] = 0.0
    form: ClassVar[str] = "pass@1"
    until: ClassVar[tuple[str, ...]] = ("[DONE]",)
    most: ClassVar[int] = 512
    between: ClassVar[str] = ""

    shots: int = Field(3, ge=0, le=9, description="solved examples before each question")

    def identity(self, record: Record, number: int) -> str:
        """The task's own number."""
        return str(record["task_id"])

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        tests = "\n".join(record["test_list"])
        text = (
            f"You are an expert Python programmer, and here is your task: {record['text']} "
            f"Your code should pass these tests:\n\n{tests}\n[BEGIN]\n"
        )
        setup = record.get("test_setup_code", "")
        return Prompt("", text, f"{record['code']}\n[DONE]", f"{setup}\n{tests}")

    def examples(self, pool: Sequence[Record], record: Record, draw: Random, itself: bool) -> Sequence[Record]:
        """The first from number 2 on: those of the paper and the harness."""
        return [each for each in pool if int(each["task_id"]) >= 2 and each is not record][: self.shots]

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the program passes its tests. Raises UnsupportedError where this machine has no sandbox."""
        written = unfenced(reply.partition("[DONE]")[0])
        return passes(written, prompt.expected) if written.strip() else 0.0
