"""Names that say where a thing is: a helper lives beside its one user, or gets a noun."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

from syntax import ROOT, Source, refuse

REFUSED = {"util", "utils", "utilities", "common", "misc", "miscellaneous", "helper", "helpers"}
CASE = re.compile(r"_{0,2}[a-z][a-z0-9_]*")
OTHER_WORDS = {
    re.compile(r"loss_?mask|masked_?loss"): "weights (what is not trained on has weight 0.0)",
    re.compile(r"(num|nr)_.*"): "n_...",
    re.compile(r".*(batch_?size|bsz).*"): "rows",
}
"""One word for one thing (rule 5 of the house): what is refused, and the house's word for it."""


def test_file_and_folder_names(everything: list[Source]) -> None:
    wrong = {
        f"{source.path}: {part!r} is refused: put it beside its one user, or name what it holds"
        for source in everything
        for part in source.path.with_suffix("").parts
        if REFUSED & set(part.lower().strip("_").split("_"))
    }
    refuse(wrong)


def test_files_are_lower_case(everything: list[Source]) -> None:
    wrong = [f"{source.path}" for source in everything if not CASE.fullmatch(source.path.stem)]
    refuse(wrong)


def test_one_word_for_one_thing(package: list[Source]) -> None:
    wrong = [
        f"{source.at(node)}: {name}; the house says {word}"
        for source in package
        for node, name in defined(source.tree)
        for pattern, word in OTHER_WORDS.items()
        if pattern.fullmatch(name)
    ]
    refuse(wrong)


def test_every_folder_of_tests_mirrors_a_room(everything: list[Source]) -> None:
    rooms = {path.stem for path in (ROOT / "groundup").iterdir()} | {"house", "laws"}
    folders = {
        source.path.parts[1] for source in everything if source.path.parts[0] == "tests" and len(source.path.parts) > 2
    }
    assert folders <= rooms, f"no such room: {sorted(folders - rooms)}"


def test_every_test_file_is_collected(everything: list[Source]) -> None:
    wrong = [
        f"{source.path}: holds tests, but pytest looks only into test_*.py"
        for source in everything
        if source.path.parts[0] == "tests" and not source.path.name.startswith("test_")
        for node in source.tree.body
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_")
    ]
    refuse(wrong)


def test_nothing_is_left_undone(everything: list[Source]) -> None:
    mark = re.compile(r"\b(TO" r"DO|FIX" r"ME|X" r"XX|HA" r"CK)\b")
    wrong = [
        f"{source.path}:{number}: {line.strip()[:80]}"
        for source in everything
        for number, line in enumerate(source.text.splitlines(), 1)
        if mark.search(line)
    ]
    refuse(wrong)


def test_no_path_of_one_machine(everything: list[Source]) -> None:
    """Absolute paths below home, work or opt folders exist on one machine only."""
    place = re.compile(r"""["'`(=\s](/home/|/root/|/work/|/opt/|/Users/|C:\\)""")
    own = Path(__file__).relative_to(ROOT)
    wrong = [
        f"{source.path}:{number}: {line.strip()[:80]}"
        for source in everything
        if source.path != own
        for number, line in enumerate(source.text.splitlines(), 1)
        if place.search(line)
    ]
    refuse(wrong)


def defined(tree: ast.Module) -> Iterator[tuple[ast.AST, str]]:
    """Every name that a file itself chooses: arguments, variables, fields, functions, classes."""
    for node in ast.walk(tree):
        if isinstance(node, ast.arg):
            yield node, node.arg
        elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            yield node, node.id
        elif isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield node, node.name
