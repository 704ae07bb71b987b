"""Adding and subtracting numbers below a hundred: the answer can be checked, so GRPO can train on it."""

import re
from collections.abc import Sequence
from functools import cache
from typing import Literal

from pydantic import Field

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task, place

PHRASINGS = ("What is {}?", "Calculate {}.", "{} = ?", "How much is {}?", "Please work out {}.")
NUMBER = re.compile(r"(?<!\d)-?\d+")  # in "10-5" the minus is an operator, in "=-5" a sign


class Arithmetic(Task):
    """a ± b, operands 0 to 99 uniform, negative answers included.

    `style` is the form of the demonstrations; the score reads the last number of the reply and nothing else.

    >>> Arithmetic(style="direct").reply(43, "-", 28)
    '15'
    >>> Arithmetic(style="steps").reply(43, "-", 28)
    '13-8=5, 4-1-2=1, so 15'
    >>> Arithmetic(style="steps").reply(28, "-", 43)
    '43>28, 13-8=5, 4-1-2=1, so -15'
    >>> Arithmetic(style="steps").reply(57, "+", 68)
    '7+8=15, 1+5+6=12, so 125'
    """

    style: Literal["direct", "steps"] = Field("steps", description="the answer alone, or ones, tens and carry first")
    held_out: int = Field(500, ge=0, le=10_000, description="problems that neither SFT nor RL ever sees")

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Distinct problems out of the 20,000, without repetition; the held-out ones are chosen by hash."""
        ordered = _problems()
        problems = ordered[: self.held_out] if split == "held_out" else ordered[self.held_out :]
        random = self.random(split, seed)
        chosen = random.sample(problems, min(count, len(problems)))
        return [self._example(a, sign, b, random.choice(PHRASINGS)) for a, sign, b in chosen]

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the last number of the reply is the answer.

        >>> Arithmetic().score(Example("What is 3 - 5?", "-2", expected=("-2",)), "3-5 = −2")
        1.0
        """
        numbers = NUMBER.findall(reply.replace("−", "-"))
        return float(bool(numbers) and numbers[-1] == example.expected[0])

    def reply(self, a: int, sign: str, b: int) -> str:
        """What a demonstration answers to `a sign b`."""
        value = _value(a, sign, b)
        if self.style == "direct":
            return str(value)
        return f"{_sum(a, b) if sign == '+' else _difference(a, b)}, so {value}"

    def _example(self, a: int, sign: str, b: int, phrasing: str) -> Example:
        value = str(_value(a, sign, b))
        return Example(phrasing.format(f"{a} {sign} {b}"), self.reply(a, sign, b), sign, (value,))


@cache
def _problems() -> tuple[tuple[int, str, int], ...]:
    """Every problem, in the order of its hash."""
    every = ((a, sign, b) for a in range(100) for sign in "+-" for b in range(100))
    return tuple(sorted(every, key=lambda problem: place("{} {} {}".format(*problem))))


def _value(a: int, sign: str, b: int) -> int:
    return a + b if sign == "+" else a - b


def _sum(a: int, b: int) -> str:
    """Ones, then tens with the carry in front."""
    ones = a % 10 + b % 10
    carry = "1+" if ones > 9 else ""
    return f"{a % 10}+{b % 10}={ones}, {carry}{a // 10}+{b // 10}={ones // 10 + a // 10 + b // 10}"


def _difference(a: int, b: int) -> str:
    """Ones, then tens with the borrow; the larger number stands first and is named where that turns them round."""
    turned = f"{b}>{a}, " if b > a else ""
    large, small = max(a, b), min(a, b)
    borrow = large % 10 < small % 10
    ones = large % 10 + 10 * borrow
    tens = f"{large // 10}{'-1' if borrow else ''}-{small // 10}={large // 10 - borrow - small // 10}"
    return f"{turned}{ones}-{small % 10}={ones - small % 10}, {tens}"
