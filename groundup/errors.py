"""The error tree. Every error a user can cause ends here, and its text ends in what to do.

    GroundupError
    ├── ConfigError       a setting: unknown, misspelt, or out of range            (a ValueError)
    ├── DataError         a file, line or record that the user gave                (a ValueError)
    ├── StoreError        a run or an artifact: locked, newer, damaged, misnamed   (a RuntimeError)
    ├── ResourceError     this machine or this budget: time, memory, disk          (a RuntimeError)
    └── UnsupportedError  a combination that is refused by name                    (a NotImplementedError)

The command line prints the text of a `GroundupError` without a traceback and exits with 2.
Anything else that escapes is a bug of ours.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class GroundupError(Exception):
    """Base of every error that a user can cause and can mend."""


class ConfigError(GroundupError, ValueError):
    """A setting is unknown, misspelt or out of range. Names the dotted field and the value."""


class DataError(GroundupError, ValueError):
    """A file, line or record is not usable. Names the file and, where there is one, the line."""


class StoreError(GroundupError, RuntimeError):
    """A run or an artifact cannot be used: locked, of a newer format, damaged or misnamed."""


class ResourceError(GroundupError, RuntimeError):
    """The machine or the budget is too small. Names what is there and the smallest that works."""


class UnsupportedError(GroundupError, NotImplementedError):
    """A combination of settings that does not work together, refused by name."""


def nearest(name: str, choices: Iterable[str]) -> str:
    """The tail of an error about an unknown name: a suggestion if one is near, else the list.

    >>> nearest("layer", ["layers", "heads"])
    "did you mean 'layers'?"
    >>> nearest("zzz", ["layers", "heads"])
    'choose one of: heads, layers'
    """
    known = sorted(choices)
    close = get_close_matches(name, known, n=1, cutoff=0.6)
    if close:
        return f"did you mean {close[0]!r}?"
    return f"choose one of: {', '.join(known)}" if known else "there is nothing to choose from"
