"""A text as its lines: the one form from which all rules on lines are measured."""

from functools import lru_cache


@lru_cache(maxsize=1)  # several filters ask for the same text in turn
def lines(text: str) -> tuple[str, ...]:
    r"""The lines of a text that are not blank, without white space at their ends.

    >>> lines("one\n\n  two \n")
    ('one', 'two')
    """
    return tuple(filter(None, map(str.strip, text.split("\n"))))
