"""SVAMP: word problems of one step, worded so that skimming fails (Patel et al. 2021, 2103.07191)."""

from typing import ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._numbers import last_number, same
from groundup.tasks.published._records import Place, Record


class Svamp(Written):
    """Word problems of one step: the last number of the reply counts. The harness has no such task."""

    place: ClassVar[Place] = Place("svamp", "ChilleD/SVAMP")
    until: ClassVar[tuple[str, ...]] = ("Question:", "\n\n")
    most: ClassVar[int] = 128

    def identity(self, record: Record, number: int) -> str:
        """The problem's own id."""
        return str(record["ID"])

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        body, right = record["Body"].strip(), float(record["Answer"])
        told = body if body.endswith((".", ",", "?", "!")) else f"{body}."
        text = f"Question: {told} {record['Question'].strip()}\nAnswer:"
        return Prompt("", text, f"{right:.10g}", right, record["Type"])

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the last number of the reply is the answer."""
        return float(same(last_number(reply), prompt.expected))
