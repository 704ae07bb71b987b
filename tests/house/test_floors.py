"""Who may import whom. The floors are read from the drawing in `docs/house.md`: the plan and the test cannot differ."""

import ast
import re
from collections.abc import Iterator, Mapping
from fnmatch import fnmatchcase

import pytest

from syntax import ROOT, Source, refuse

FREE = {"__init__", "__main__"}
"""Files of the package itself that stand outside the floors: the version, and the door to the command line."""

NEVER = {
    ("groundup.models*", "groundup.mesh*"): "a model never sees ranks",
    ("groundup.models*", "groundup.optim*"): "a model never sees its optimizer",
    ("groundup.models*", "groundup.train*"): "a model never sees its training",
    ("groundup.layers*", "groundup.mesh*"): "a layer never sees ranks",
    ("groundup.train*", "groundup.eval*"): "the caller passes a probe",
    ("groundup.train*", "groundup.parallel*"): "the trainer is given a model that is already split",
    ("groundup.infer*", "groundup.tokenizer*"): "the engine sees ids only",
    ("groundup.corpus*", "torch*"): "the corpus needs no torch",
    ("groundup.tokenizer*", "torch*"): "a tokenizer needs no torch",
    ("groundup.tokens*", "torch*"): "token files need no torch",
    ("groundup.*", "pickle*"): "reading a pickle runs what it holds",
    ("groundup.*", "shelve*"): "a shelf is made of pickles",
}
"""Importer, imported: why not. A pattern ending in `*` covers what lies below."""

ONLY = {
    "torch.distributed*": ("groundup.mesh", "groundup.parallel*", "groundup.train.shards"),
    "groundup.store": ("groundup.pipeline", "groundup.stages*", "groundup.cli*", "groundup.report*"),
    "groundup.pipeline": ("groundup.cli*",),
    "groundup.stages*": ("groundup.pipeline", "groundup.cli*"),
}
"""Imported: the only ones that may."""

ENVIRONMENT = ("groundup.mesh", "groundup.cli*", "groundup.corpus.dedup")
"""The only modules that touch the environment (Daft has no other switch for its telemetry); state is an argument."""


def test_every_room_stands_on_a_floor(package: list[Source], floors: dict[str, tuple[int, int]]) -> None:
    rooms = {room_of(source.module) for source in package} - FREE
    assert rooms <= set(floors), f"not in the drawing of floors in docs/house.md: {sorted(rooms - set(floors))}"


def test_rooms_import_only_lower_floors_and_to_their_left(
    package: list[Source], floors: dict[str, tuple[int, int]]
) -> None:
    refuse(
        f"{source.at(node)}: {room} (floor {floors[room][0]}) imports {target} (floor {floors[other][0]})"
        for source in package
        for node, target in imports_of(source)
        if target.startswith("groundup.")
        and {room := room_of(source.module), other := room_of(target)}.isdisjoint(FREE)
        and room != other
        and floors[other] >= floors[room]
    )


def test_the_nevers(package: list[Source]) -> None:
    refuse(
        f"{source.at(node)}: imports {target}: {why}"
        for source in package
        for node, target in imports_of(source)
        for (importer, imported), why in NEVER.items()
        if matches(source.module, importer) and matches(target, imported)
    )


def test_the_onlys(package: list[Source]) -> None:
    refuse(
        f"{source.at(node)}: imports {target}; only {', '.join(allowed)} may"
        for source in package
        for node, target in imports_of(source)
        for imported, allowed in ONLY.items()
        if matches(target, imported) and not any(matches(source.module, pattern) for pattern in (imported, *allowed))
    )


def test_no_import_circles(package: list[Source]) -> None:
    names = {source.module for source in package}
    graph = {
        source.module: {target for _, target in imports_of(source)} & names - {source.module} for source in package
    }
    refuse(" -> ".join(circle) for circle in circles(graph))


def test_the_environment_is_read_at_the_door_only(package: list[Source]) -> None:
    refuse(
        f"{source.at(node)}: {ast.unparse(node)}: pass it in as an argument"
        for source in package
        if not any(matches(source.module, pattern) for pattern in ENVIRONMENT)
        for node in ast.walk(source.tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node) in ("os.environ", "os.getenv", "os.putenv")
    )


def test_the_drawing_names_every_room(package: list[Source], plan: str) -> None:
    """The tree in `docs/house.md` shows what is there; what is not there yet says that it is planned."""
    drawn = dict(re.findall(r"^[├└]── (\w+)(?:/|\.py)? (.*)$", plan.partition("\nrecipes/")[0], re.MULTILINE))
    rooms = {room_of(source.module) for source in package} - FREE
    assert rooms <= set(drawn), f"not in the tree of docs/house.md: {sorted(rooms - set(drawn))}"
    unbuilt = {room for room, text in drawn.items() if "planned" not in text and room not in rooms}
    assert not unbuilt, f"drawn in docs/house.md but not built, and not marked as planned: {sorted(unbuilt)}"


def test_circles_are_found() -> None:
    assert circles({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert circles({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == [["b", "c", "b"]]


@pytest.fixture(scope="module")
def floors(plan: str) -> dict[str, tuple[int, int]]:
    """Room -> its floor, and its place on the floor from the left."""
    drawing = plan.partition("## Floors")[2].split("```")[1]
    rows = re.findall(r"^(\d+)\s+(.*)$", drawing, re.MULTILINE)
    return {
        name.rstrip("/").removesuffix(".py"): (int(floor), place)
        for floor, names in rows
        for place, name in enumerate(names.split())
    }


def room_of(module: str) -> str:
    """The room, or the file beside the rooms, that a module of the package belongs to."""
    return [*module.split("."), "__init__"][1]


def imports_of(source: Source) -> Iterator[tuple[ast.AST, str]]:
    """What a file imports, wherever in the file: the statement and the module's dotted name."""
    for node in ast.walk(source.tree):
        if isinstance(node, ast.Import):
            yield from ((node, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{source.at(node)}: a relative import; write the whole name"
            for alias in node.names:
                yield (
                    node,
                    f"{node.module}.{alias.name}" if is_module(f"{node.module}.{alias.name}") else str(node.module),
                )


def is_module(dotted: str) -> bool:
    """Is a dotted name a module of the package, rather than a name in one?"""
    path = ROOT.joinpath(*dotted.split("."))
    return dotted.startswith("groundup.") and (path.is_dir() or path.with_suffix(".py").is_file())


def matches(module: str, pattern: str) -> bool:
    """`groundup.train*` covers `groundup.train` and what lies below, but not `groundup.trainer`."""
    return module == pattern.rstrip("*") or (pattern.endswith("*") and fnmatchcase(module, f"{pattern.rstrip('.*')}.*"))


def circles(graph: Mapping[str, set[str]]) -> list[list[str]]:
    """One circle, first module repeated at the end, for each back edge that a walk in depth meets."""
    found: list[list[str]] = []
    done: set[str] = set()

    def walk(module: str, path: tuple[str, ...]) -> None:
        if module in path:
            found.append([*path[path.index(module) :], module])
        elif module not in done:
            for target in sorted(graph[module]):
                walk(target, (*path, module))
            done.add(module)

    for module in sorted(graph):
        walk(module, ())
    return found
