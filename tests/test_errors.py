"""The error tree: one root, drawn in full, and suggestions for misspelt names."""

import builtins

import pytest

from groundup import errors
from groundup.errors import GroundupError, nearest

KINDS = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, GroundupError)]


def test_every_error_is_in_the_drawing_with_the_builtin_that_it_is() -> None:
    assert len(KINDS) == 6
    lines = [line for line in (errors.__doc__ or "").splitlines() if line.strip().startswith(("├", "└"))]
    drawing = {line.split()[1]: line for line in lines}
    for kind in set(KINDS) - {GroundupError}:
        builtin = drawing[kind.__name__].rpartition("(a ")[2].rstrip(")")
        assert issubclass(kind, getattr(builtins, builtin))


@pytest.mark.parametrize(
    ("name", "choices", "advice"),
    [
        ("layer", ["layers", "heads"], "did you mean 'layers'?"),
        ("zzz", ["layers", "heads"], "choose one of: heads, layers"),
        ("zzz", [], "there is nothing to choose from"),
    ],
)
def test_the_nearest_name(name: str, choices: list[str], advice: str) -> None:
    assert nearest(name, choices) == advice
