"""Python files as the house tests see them: path, text and syntax tree."""

import ast
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
Function = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True)
class Source:
    """One Python file: where it is from the root of the repository, its text and its syntax tree."""

    path: Path
    text: str
    tree: ast.Module

    @property
    def module(self) -> str:
        """The dotted name: `groundup.corpus.document`; a package's own is that of its folder."""
        parts = self.path.with_suffix("").parts
        return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)

    def functions(self) -> Iterator[Function]:
        """Every function and method, nested ones too."""
        return (node for node in ast.walk(self.tree) if isinstance(node, Function))

    def at(self, node: ast.AST) -> str:
        """`path:line`, as editors and terminals link it."""
        return f"{self.path}:{getattr(node, 'lineno', 1)}"


def read(*folders: str) -> list[Source]:
    """Every Python file below folders of the repository, in the order of their paths."""
    files = sorted(file for folder in folders for file in (ROOT / folder).rglob("*.py"))
    texts = [(file, file.read_text(encoding="utf-8")) for file in files]
    return [Source(file.relative_to(ROOT), text, ast.parse(text, str(file))) for file, text in texts]


def refuse(violations: Iterable[str]) -> None:
    """Fail with one violation a line, if there is any."""
    found = sorted(set(violations))
    if found:
        pytest.fail("\n" + "\n".join(found), pytrace=False)
