"""Rule 1 of the house: small files, small functions, and nothing that acts when a module is imported."""

import ast
from collections.abc import Iterable, Iterator

from syntax import Source, refuse

FILE_LINES = 400
FUNCTION_LINES = 60
TABLE_LINES = 40
"""A longer statement at module level is a table of data: it belongs in a .json, .tsv or .toml file."""

INERT_CALLS = {
    "dict", "frozenset", "list", "range", "set", "sorted", "tuple", "len", "max", "min", "sum", "zip",
    "float", "int", "str", "bytes", "exp", "log", "sqrt", "join", "split", "lower", "upper", "encode", "dedent",
    "items", "keys", "values", "fromkeys", "union", "field", "namedtuple", "finfo", "iinfo", "dtype",
}  # fmt: skip
INERT_MODULES = ("math.", "re.compile", "pa.")
"""What may be called while a module is imported, beside constructors (capitalised): it reads and changes nothing."""


def test_no_file_is_longer_than_400_lines(everything: list[Source]) -> None:
    lengths = {source.path: source.text.count("\n") for source in everything}
    refuse(f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES)


def test_no_function_is_longer_than_60_lines(everything: list[Source]) -> None:
    wrong = [
        f"{source.at(node)}: {node.name} has {length} lines"
        for source in everything
        for node in source.functions()
        if (length := (node.end_lineno or 0) - node.lineno + 1) > FUNCTION_LINES
    ]
    refuse(wrong)


def test_tables_are_not_code(package: list[Source]) -> None:
    wrong = [
        f"{source.at(node)}: a literal of {length} lines"
        for source in package
        for node in source.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and not isinstance(getattr(node.value, "value", None), str)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > TABLE_LINES
    ]
    refuse(wrong)


def test_nothing_acts_at_module_level(package: list[Source]) -> None:
    wrong = [
        f"{source.at(node)}: `{ast.unparse(node).splitlines()[0][:80]}` runs when the module is imported"
        for source in package
        for node in acting(source.tree.body)
    ]
    refuse(wrong)


def test_what_counts_as_acting() -> None:
    for line in (
        "import os",
        "N = re.compile('a')",
        "class A:\n    'doc'\n    x = Field(1)",
        "if TYPE_CHECKING:\n    import b",
    ):
        assert not list(acting(ast.parse(line).body)), line
    for line in ("print(1)", "x = open('f')", "for i in y: pass", "class A:\n    mkdir('d')", "x += 1", "if a: b = 1"):
        assert list(acting(ast.parse(line).body)), line


def acting(body: Iterable[ast.stmt]) -> Iterator[ast.stmt]:
    """The statements of a module or class body that do more than define a name."""
    for node in body:
        if isinstance(node, ast.ClassDef):
            yield from acting(node.body)
        elif isinstance(node, ast.If):
            if ast.unparse(node.test) not in ("TYPE_CHECKING", "__name__ == '__main__'"):
                yield node
        elif isinstance(node, ast.Assign | ast.AnnAssign):
            if not all(inert(call) for call in calls_in(node)):
                yield node
        elif isinstance(node, ast.Expr):
            if not isinstance(node.value, ast.Constant):
                yield node
        elif not isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.AsyncFunctionDef | ast.Pass):
            yield node


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    """The calls that evaluating a statement makes; the body of a lambda is not evaluated."""
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Call):
            yield child
        if not isinstance(child, ast.Lambda):
            yield from calls_in(child)


def inert(call: ast.Call) -> bool:
    """Does a call only make a value?"""
    full = ast.unparse(call.func)
    name = full.rpartition(".")[2].lstrip("_")
    return name[:1].isupper() or full in INERT_CALLS or name in INERT_CALLS or full.startswith(INERT_MODULES)
