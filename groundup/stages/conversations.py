"""The conversations of the sft stage: the user's own, or made by rules from the user's own text."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from groundup.corpus.conversation import Conversation, each_record
from groundup.corpus.document import Document, Unreadable
from groundup.errors import DataError
from groundup.stages._work import Work
from groundup.stages.examples import Split, good_talks, parse_example
from groundup.stages.text import documents

if TYPE_CHECKING:
    from groundup.tasks._base import Task

SHELF_BYTES = 96_000_000
"""Text that questions are made from at most: beyond it, whole documents are left out evenly."""

SHARES = {
    "passages": 0.30,
    "functions": 0.45,
    "definitions": 0.10,
    "origin": 0.06,
    "spelling": 0.05,
    "identity": 0.04,
}
"""Of the rule-made conversations, those of each task; the first makes up for what the others cannot give.

Arithmetic comes on top, with a count of its own.
"""

HELD_OUT = 400
"""Held-out conversations, all kinds together: enough for the loss to be told apart within one per cent."""

OWN_HELD_OUT = 20
"""Of the user's own conversations, one in so many is held out."""


def shelf(work: Work, split: str) -> list[Document]:
    """The documents of a split, thinned evenly where they are more than SHELF_BYTES."""
    size = int(work.needs["corpus"].facts["bytes" if split == "train" else "held_out_bytes"])
    stride = max(1, -(-size // SHELF_BYTES))
    return [document for number, document in enumerate(documents(work, split)) if number % stride == 0]


def max_bytes(work: Work) -> int:
    """Bytes of question and answer that fit in the context, with room for the template."""
    per_token = float(work.needs["tokenizer"].facts["bytes_per_token"])
    return int(0.75 * per_token * (int(work.recipe.model.tree()["length"]) - 12))


def text_tasks(work: Work) -> dict[str, "Task"]:
    """The tasks of SHARES by name, sized for the context; one whose questions cannot fit is left out."""
    from pydantic import ValidationError

    from groundup.config import Folder
    from groundup.tasks._base import Task

    found = {}
    for name in SHARES:
        kind = Folder("tasks").find(name)
        bounded = "max_bytes" in kind.model_fields
        try:
            task = kind.model_validate({"max_bytes": min(max_bytes(work), 1000)} if bounded else {})
        except ValidationError:
            continue
        assert isinstance(task, Task)
        found[name] = task
    return found


def talks(work: Work, split: Split) -> list[Conversation]:
    """The conversations of a split: the user's where there are any, else those made by rules; and arithmetic."""
    from groundup.tasks._mix import conversations
    from groundup.tasks.arithmetic import Arithmetic

    settings, seed = work.recipe.sft, work.recipe.seed + work.recipe.sft.seed
    own = own_talks(work.recipe.data.chat, split)
    total = settings.conversations if split == "train" else HELD_OUT
    chosen = text_tasks(work) if not own else {}
    counts = [round(SHARES[name] * total) for name in chosen]
    made = conversations(list(chosen.values()), shelf(work, split), counts, seed, split, max_bytes=max_bytes(work))
    problems = settings.arithmetic if split == "train" else min(HELD_OUT // 4, settings.arithmetic)
    sums = conversations([Arithmetic()], (), [problems], seed, split, max_bytes=max_bytes(work))
    return [*own, *made, *sums * (settings.arithmetic_repeats if split == "train" else 1)]


def check_talks(paths: Sequence[str]) -> None:
    """Raises DataError for a file of conversations in which none can be used, before anything is made."""
    for path in paths:
        next(_read(path), None)


def _read(path: str) -> Iterator[Conversation]:
    """The conversations of a file in any shape that `groundup finetune` learns from: of judged ones the good side."""
    for item in each_record(Path(path), parse_example, "conversation"):
        if not isinstance(item, Unreadable):
            yield from good_talks(item)


def own_talks(paths: Sequence[str], split: Split) -> list[Conversation]:
    """The user's conversations; every twentieth is held out. Raises DataError where there are too few for that."""
    read = list(dict.fromkeys(talk for path in paths for talk in _read(path)))
    if paths and len(read) < OWN_HELD_OUT:
        raise DataError(
            f"{', '.join(paths)}: {len(read)} usable conversations; give at least {OWN_HELD_OUT}, one is held out"
        )
    held = split == "held_out"
    return [talk for number, talk in enumerate(read) if (number % OWN_HELD_OUT == OWN_HELD_OUT - 1) == held]
