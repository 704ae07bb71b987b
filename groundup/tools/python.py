"""Python: a program of the model's own, in the sandbox."""

from collections.abc import Mapping
from functools import cache
from typing import Any, ClassVar

from pydantic import Field

from groundup.tools._base import Tool
from groundup.tools._sandbox import Limits, Outcome, Sandbox


class Python(Tool):
    """Runs a program and tells what it printed, and how it ended where that was not well."""

    seconds: float = Field(5.0, gt=0, le=60, description="the longest that a program may run")

    description: ClassVar[str] = "Run a Python program without network or files, and read what it prints."
    parameters: ClassVar[Mapping[str, Any]] = {
        "type": "object",
        "properties": {"code": {"type": "string", "description": "the program; print what you want to know"}},
        "required": ["code"],
    }

    def call(self, arguments: Mapping[str, Any]) -> str:
        """What the program `code` printed. Raises UnsupportedError where this machine has no sandbox."""
        result = _sandbox().run(arguments["code"], limits=Limits(seconds=self.seconds))
        if result.outcome is Outcome.FINISHED:
            return result.output or "(it printed nothing)"
        last = result.errors.rstrip().rpartition("\n")[2]
        return f"{result.output}[{result.outcome.value}] {last}".rstrip()


@cache
def _sandbox() -> Sandbox:
    """The machine's cage, tried once."""
    return Sandbox()
