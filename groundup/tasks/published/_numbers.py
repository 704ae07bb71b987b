"""Numbers in what a model writes."""

import re

NUMBER = re.compile(r"(-?[$0-9.,]{2,})|(-?[0-9]+)")  # gsm8k's "flexible-extract" in lm-evaluation-harness 0.4.13


def last_number(text: str) -> str:
    """The last number of a text as it is written, without dollars, thousands and the full stop of its sentence.

    >>> last_number("so 3 boxes of 1,204 make $3,612.")
    '3612'
    >>> last_number("none")
    ''
    """
    found = NUMBER.findall(text)
    return plain("".join(found[-1])) if found else ""


def plain(number: str) -> str:
    """A number without dollars, thousands and a full stop at its end."""
    return number.strip().replace(",", "").replace("$", "").removesuffix(".")


def same(number: str, other: float) -> bool:
    """Is a written number this one?"""
    try:
        return abs(float(number) - other) < 1e-6
    except ValueError:
        return False
