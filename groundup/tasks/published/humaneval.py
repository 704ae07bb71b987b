"""HumanEval: functions from their signature and docstring, judged by tests (Chen et al. 2021, 2107.03374)."""

from typing import ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._programs import passes, unfenced
from groundup.tasks.published._records import Place, Record


class Humaneval(Written):
    """Functions to write from their docstring; the tests of each run in the sandbox."""

    place: ClassVar[Place] = Place("humaneval", "openai/openai_humaneval", "openai_humaneval")
    chance: ClassVar[float | None] = 0.0
    form: ClassVar[str] = "pass@1"
    until: ClassVar[tuple[str, ...]] = ("\nclass", "\ndef", "\n#", "\nif", "\nprint")
    most: ClassVar[int] = 512
    between: ClassVar[str] = ""

    def identity(self, record: Record, number: int) -> str:
        """The problem's own id."""
        return str(record["task_id"])

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`."""
        begun, name = record["prompt"], record["entry_point"]
        tests = f"{record['test']}\ncheck({name})\n"
        return Prompt("", begun, record["canonical_solution"], (begun, name, tests))

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when the function passes its tests. Raises UnsupportedError where this machine has no sandbox."""
        begun, name, tests = prompt.expected
        written = unfenced(reply)
        return passes(written if f"def {name}(" in written else begun + written, tests)
