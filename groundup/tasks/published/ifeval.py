"""IFEval: instructions that a program can check (Zhou et al. 2023, 2311.07911)."""

from typing import Any, ClassVar

from groundup.tasks.published._base import Prompt, Written
from groundup.tasks.published._instructions import follows
from groundup.tasks.published._records import Place, Record


class Ifeval(Written):
    """Instructions that a program can check: a reply is right when it follows all of its prompt's."""

    place: ClassVar[Place] = Place("ifeval", "google/IFEval", split="train")
    form: ClassVar[str] = "strict"
    until: ClassVar[tuple[str, ...]] = ()
    most: ClassVar[int] = 1280

    def identity(self, record: Record, number: int) -> str:
        """The prompt's own key."""
        return str(record["key"])

    def prompt(self, record: Record) -> Prompt:
        """See `Written.prompt`. There is no gold answer."""
        ids, settings = record["instruction_id_list"], record["kwargs"]
        asked = tuple(zip(ids, map(_given, settings), strict=True))
        return Prompt("", record["prompt"], "", asked)

    def score(self, prompt: Prompt, reply: str) -> float:
        """1.0 when every instruction is followed."""
        return float(all(follows(name, settings, reply) for name, settings in prompt.expected))

    def forms(self, prompt: Prompt, reply: str) -> dict[str, float]:
        """Strict, and loose: without the first or last line, or asterisks."""
        loose = all(
            any(follows(name, settings, text) for text in _loosened(reply)) for name, settings in prompt.expected
        )
        return {"strict": self.score(prompt, reply), "loose": float(loose)}


def _given(settings: dict[str, Any]) -> dict[str, Any]:
    """The settings that are set: the hub's form names all, most of them None."""
    return {name: value for name, value in settings.items() if value is not None}


def _loosened(reply: str) -> list[str]:
    """The eight forms of a reply of which one must follow, as in the paper's section 2.2."""
    lines = reply.split("\n")
    shorter = [reply, *("\n".join(part).strip() for part in (lines[1:], lines[:-1], lines[1:-1]))]
    return [text for each in shorter for text in (each, each.replace("*", ""))]
