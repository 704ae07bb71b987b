"""Shape annotations are checked while tests run, and cost nothing otherwise.

`install` is called once by `conftest.py`, before the first test imports the package. From then on a function that says
`Float[Tensor, "B T D"]` raises when it is given, or returns, anything else; sizes of one name must agree within a call.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, get_args

from beartype import beartype
from jaxtyping import AbstractArray, install_import_hook

PACKAGE = Path(__file__).parent.parent / "groundup"


def install() -> None:
    """Check the modules that state shapes. The others are left alone: mypy reads them, and the wrapping has a cost."""
    stating = [name_of(file) for file in PACKAGE.rglob("*.py") if "jaxtyping" in file.read_text(encoding="utf-8")]
    if stating:
        install_import_hook(stating, "shapes.checked")


def name_of(file: Path) -> str:
    """The dotted name of a module of the package."""
    parts = file.relative_to(PACKAGE.parent).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def checked(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function with its annotations enforced, if one of them states a shape; else the function itself."""
    hints = function.__annotations__.values()
    return beartype(function) if any(states_shape(hint) for hint in hints) else function


def states_shape(hint: Any) -> bool:
    """Does a type say what shape an array has, itself or in one of its parts?"""
    if isinstance(hint, type) and issubclass(hint, AbstractArray):
        return True
    return any(states_shape(part) for part in get_args(hint))
