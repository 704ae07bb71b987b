"""Rule 3 of the house: the public face is documented, and says which errors a user may meet."""

import ast
import doctest
import importlib
from collections.abc import Iterator
from functools import cache

import groundup.errors
from syntax import Function, Source, refuse

SAMPLE = """
class A:
    def f(self): raise DataError('x')
    def _g(self): raise ConfigError
    def __init__(self): pass
def h():
    def inner(): raise StoreError('x')
    raise inner
def _private(): pass
class _B:
    def f(self): pass
"""


def test_every_module_says_what_it_is(everything: list[Source]) -> None:
    refuse(f"{source.path}: has no docstring" for source in everything if not ast.get_docstring(source.tree))


def test_every_public_name_has_a_docstring(package: list[Source]) -> None:
    refuse(
        f"{source.at(node)}: {node.name} has no docstring"
        for source in package
        for node, _ in public(source.tree)
        if not ast.get_docstring(node)
    )


def test_every_error_raised_is_named(package: list[Source]) -> None:
    refuse(
        f"{source.at(node)}: {node.name} raises {error}, its docstring does not say so"
        for source in package
        for node, owner in public(source.tree, dunders=True)
        if isinstance(node, Function)
        for error in raised(node)
        if error not in (ast.get_docstring(node) or "") + (ast.get_docstring(owner) or "" if owner else "")
    )


def test_the_examples_in_docstrings_hold(package: list[Source]) -> None:
    tried = 0
    for source in package:
        if ">>> " in source.text:
            result = doctest.testmod(importlib.import_module(source.module))
            assert result.failed == 0, f"{source.path}: the examples in its docstrings do not hold (printed above)"
            tried += result.attempted
    assert tried > 0


def test_every_argument_has_a_type(package: list[Source]) -> None:
    """mypy --strict asks for the same; this also covers files that a setting of mypy leaves out."""
    refuse(
        f"{source.at(node)}: {node.name}({argument.arg}) has no type"
        for source in package
        for node, owner in public(source.tree, dunders=True)
        if isinstance(node, Function)
        for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
        if argument.annotation is None and not (owner and argument.arg in ("self", "cls"))
    )


def test_what_is_public_and_what_is_raised() -> None:
    tree = ast.parse(SAMPLE)
    assert [node.name for node, _ in public(tree)] == ["A", "f", "h"]
    assert [node.name for node, _ in public(tree, dunders=True)] == ["A", "f", "__init__", "h"]
    assert [raised(node) for node, _ in public(tree)][1:] == [{"DataError"}, set()]


def public(
    tree: ast.Module | ast.ClassDef, dunders: bool = False
) -> Iterator[tuple[Function | ast.ClassDef, ast.ClassDef | None]]:
    """Public classes, functions and methods, each with the class it stands in (None at module level)."""
    owner = tree if isinstance(tree, ast.ClassDef) else None
    for node in tree.body:
        if isinstance(node, Function | ast.ClassDef) and is_public(node.name, dunders):
            yield node, owner
            if isinstance(node, ast.ClassDef):
                yield from public(node, dunders)


def is_public(name: str, dunders: bool) -> bool:
    """No leading underscore; with `dunders`, names like `__init__` count too."""
    return not name.startswith("_") or (dunders and name.startswith("__"))


def raised(function: ast.AST) -> set[str]:
    """User errors that a function raises itself, not in a function inside it."""
    found = set()
    for node in ast.iter_child_nodes(function):
        if isinstance(node, ast.Raise) and node.exc is not None:
            error = node.exc.func if isinstance(node.exc, ast.Call) else node.exc
            found |= user_errors() & {ast.unparse(error).rpartition(".")[2]}
        if not isinstance(node, Function | ast.Lambda):
            found |= raised(node)
    return found


@cache
def user_errors() -> set[str]:
    """Names of the classes in `errors.py`."""
    return {name for name, value in vars(groundup.errors).items() if isinstance(value, type)}
