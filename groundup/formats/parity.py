"""Is what was written what we have? The strings, prompts and talks on which an export is compared with its reader.

They are drawn by rule from a fixed seed, so that two exports are compared on the same ones: all scripts, code, white
space, broken emoji, and the text of every special token as a user might type it.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from random import Random

import torch
from torch import Tensor

from groundup.corpus.conversation import Conversation, Message
from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.special import END_OF_TEXT, SPECIAL

N_TEXTS, N_PROMPTS = 1000, 64
PROMPT_TOKENS = 48
"""Longest prompt but for two that fill the context."""

TOLERANCE = 1e-4
"""Largest difference of a logit that two orders of float32 summation explain, where logits are up to 10; beyond that
the difference may be larger by as much."""

BLOCKS = (
    (0x20, 0x7F), (0x20, 0x7F), (0xA0, 0x250), (0x300, 0x370), (0x370, 0x530), (0x590, 0x780), (0x900, 0xE80),
    (0x2000, 0x2070), (0x2190, 0x2800), (0x3000, 0x3100), (0x4E00, 0x9FFF), (0xAC00, 0xD7A4), (0xFE00, 0xFFFE),
    (0x1F300, 0x1FB00), (0x0, 0x20), (0x10000, 0x110000),
)  # fmt: skip
"""Ranges of Unicode from which letters are drawn; the surrogates are in none of them."""

CODE = (
    "def f(x: int) -> str:\n\treturn f\"{x!r}\"  # don't\n", "for (int i=0;i<10;++i){ a[i] = 0x1F; }\r\n", "\n\n\n    ",
    "x=1e-3;y=1234567890", "SELECT * FROM t WHERE a='it''s';", "<a href=\"#\">&nbsp;</a>", "I'LL we'd They'RE",
    "   lead", "trail   ", "\t\tmixed \u00a0 \u3000 spaces\u200b", "e\u0301 \u00e9 \ufb01 \u1e9b\u0323",
    "\U0001f468\u200d\U0001f469\u200d\U0001f467",
)  # fmt: skip

QUESTIONS = (
    "Who are you?", "Hello!", "What is 17 + 25?", "How do you spell house?", "Tell me more.", "Why?",
    "What do you know about water?", "Write a function.",
)  # fmt: skip
"""What both sides answer, where what they say is compared."""


@dataclass(frozen=True)
class Parity:
    """What was compared, with what, and what came of it."""

    reader: str
    figures: Mapping[str, str | float] = field(default_factory=dict)

    def facts(self) -> dict[str, str | float]:
        """Plain values for `groundup.json`."""
        return {"reader": self.reader, **self.figures}


def texts(n: int = N_TEXTS) -> list[str]:
    """Strings that tokenizers disagree on, if they disagree."""
    random = Random(1)
    fixed = ["", " ", *CODE, *SPECIAL, *(f"say {name}{name} now" for name in SPECIAL)]
    return [*fixed, *(_text(random) for _ in range(n - len(fixed)))][:n]


def prompts(tokenizer: Tokenizer, length: int, n: int = N_PROMPTS) -> list[list[int]]:
    """Ids to read, each from the end of text on; the first two fill a context of `length`."""
    random = Random(2)
    start = [tokenizer.special[END_OF_TEXT]] if END_OF_TEXT in tokenizer.special else []
    found = []
    for number in range(n):
        wanted = length if number < 2 else min(length, random.randrange(1, PROMPT_TOKENS + 1))
        ids = list(start)
        while len(ids) < wanted:
            ids += tokenizer.encode(_text(random) or "a")
        found.append(ids[:wanted])
    return found


def talks(n: int = 50) -> list[Conversation]:
    """Conversations of one to five turns; none of their texts spells a special token, which Jinja could not tell."""
    random = Random(3)
    found: list[Conversation] = []
    for number in range(n):
        system = (Message("system", _text(random, special=False)),) if number % 3 == 0 else ()
        turns: Conversation = ()
        for _ in range(random.randrange(3)):
            turns += (
                Message("user", _text(random, special=False)),
                Message("assistant", _text(random, special=False)),
            )
        found.append((*system, *turns, Message("user", _text(random, special=False))))
    return found


def compare_ids(ours: Sequence[Sequence[int]], theirs: Callable[[int], Sequence[int]], what: str, reader: str) -> str:
    """`theirs(i)` against `ours[i]` for each. Raises DataError with the first that differs."""
    for number, ids in enumerate(ours):
        other = list(theirs(number))
        if list(ids) != other:
            raise DataError(
                f"{what} {number}: {reader} reads {len(other)} ids where we have {len(ids)} "
                f"({other[:8]} against {list(ids)[:8]}); nothing was exported"
            )
    return f"{len(ours):,} of {len(ours):,} identical"


def compare_logits(
    model: Model,
    theirs: Callable[[Sequence[int]], Tensor],
    asked: Sequence[Sequence[int]],
    reader: str,
    tolerance: float = TOLERANCE,
    progress: Reporter = SILENT,
) -> float:
    """The largest difference of any logit after any token of the prompts. Raises DataError beyond `tolerance`.

    `theirs` gives `(T, V)` for a prompt of T ids.
    """
    worst = 0.0
    with progress.task(f"comparing with {reader}", total=len(asked), unit="prompts") as bar:
        for ids, ours in zip(asked, logits(model, asked), strict=True):
            apart = float((ours - theirs(ids)).abs().max())
            allowed = tolerance * max(1.0, float(ours.abs().max()) / 10)
            if not apart <= allowed:
                raise DataError(
                    f"the logits of {reader} differ by {apart:.2g}, and {allowed:.2g} is the most that rounding "
                    "explains; nothing was exported"
                )
            worst = max(worst, apart)
            bar.advance(1)
    return worst


def logits(model: Model, asked: Sequence[Sequence[int]]) -> Iterator[Tensor]:
    """Our logits `(T, V)` for each prompt, float32."""
    for ids in asked:
        with torch.inference_mode():
            found = model.logits(model(torch.tensor([ids])))[0].float()
        yield found


def _text(random: Random, special: bool = True) -> str:
    """A short string of pieces, each from one block of Unicode, from code, or the spelling of a special token."""
    pieces = []
    for _ in range(random.randrange(1, 8)):
        draw = random.random()
        if special and draw < 0.05:
            pieces.append(random.choice(SPECIAL))
        elif draw < 0.25:
            pieces.append(random.choice(CODE))
        else:
            first, last = random.choice(BLOCKS)
            pieces.append("".join(chr(random.randrange(first, last)) for _ in range(random.randrange(1, 9))))
        pieces.append(random.choice(("", " ", " ", "\n")))
    return "".join(pieces)
