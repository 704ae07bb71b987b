"""Held-out Python functions: the model is given the `def` line and writes the body, which must parse.

The rule is strict so that a figure means something: a sample ends at the first line in column 0; a body of only
`pass`, `...` or a docstring fails, and so does one that hits the limit of tokens; no body counts more than twice.
"""

import ast
import re
import textwrap
import warnings
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from random import Random

from pydantic import Field

from groundup.corpus.conversation import Conversation, Message
from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task
from groundup.tasks._excerpt import size, syntax_tree

COLUMN_0 = re.compile(r"^\S", re.MULTILINE)
REPEATS = 2
"""How often the same body may count."""


@dataclass(frozen=True)
class Sample:
    """What a model wrote after a `def` line. `stopped`: it ended by itself, before the limit of tokens."""

    signature: str
    text: str
    stopped: bool = False


class Functions(Task):
    """Write the body of a function from its `def` line; right when it parses and does something.

    The figure of the evaluation is taken on `draw`n functions, and `judge` sees all samples together, to find bodies
    that are repeated; `score` judges one reply alone, and takes it as ended.
    """

    max_bytes: int = Field(680, ge=80, description="of the `def` line and the body together")

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Functions that are right by the rule themselves (stubs are not), each signature once."""
        drawn = draw(documents, 4 * count, self.random(split, seed))
        short = (example for example in drawn if size(example.question + example.answer) <= self.max_bytes)
        return [example for example in short if self.score(example, example.answer) == 1.0][:count]

    def ask(self, example: Example) -> Conversation:
        """The `def` line, and nothing else."""
        return (Message("user", example.question),)

    def score(self, example: Example, reply: str) -> float:
        """1.0 when the reply, taken as the lines after the `def` line, is a body by the rule."""
        return float(not fault(Sample(example.question, reply, stopped=True)))


def draw(documents: Sequence[Document], count: int, random: Random) -> list[Example]:
    """Up to `count` of the functions of the documents, stubs too, each `def` line once: what the figure is taken on."""
    found: dict[str, str] = {}
    for document in random.sample(documents, len(documents)):
        found |= {signature: body for signature, body in functions(document) if signature not in found}
        if len(found) >= 4 * count:
            break
    chosen = random.sample(list(found.items()), min(count, len(found)))
    return [Example(signature, body, "function") for signature, body in chosen]


def functions(document: Document) -> Iterator[tuple[str, str]]:
    """(`def` line, body) of the functions and methods of a Python document, as they are written, in column 0.

    >>> list(functions(Document("a.py", "class A:\\n    def f(self):\\n        return 1\\n", "", "")))
    [('def f(self):', '    return 1\\n')]
    """
    tree = syntax_tree(document)
    if tree is None:
        return
    lines = document.text.split("\n")
    scopes: list[ast.Module | ast.ClassDef] = [tree, *(node for node in tree.body if isinstance(node, ast.ClassDef))]
    for scope in scopes:
        for node in scope.body:
            if isinstance(node, ast.FunctionDef) and node.body[0].lineno > node.lineno:
                source = textwrap.dedent("\n".join(lines[node.lineno - 1 : node.end_lineno]))
                signature, _, body = source.partition("\n")
                if signature.startswith("def ") and signature.endswith(":"):
                    yield signature, f"{body}\n"


def body_of(text: str) -> tuple[str, bool]:
    """The part of a sample before its first line in column 0, and whether there was one.

    >>> body_of("    return 1\\n\\ndef g():")
    ('    return 1\\n\\n', True)
    """
    end = COLUMN_0.search(text)
    return (text, False) if end is None else (text[: end.start()], True)


def fault(sample: Sample) -> str:
    """Why a sample fails: `endless`, `syntax` or `empty`; an empty string when it is a body.

    >>> fault(Sample("def f(x):", "    pass\\n", stopped=True))
    'empty'
    >>> fault(Sample("def f(x):", "    return x\\n", stopped=True))
    ''
    """
    body, ended = body_of(sample.text)
    if not ended and not sample.stopped:
        return "endless"
    tree = _parsed(sample.signature, body)
    if tree is None:
        return "syntax"
    return "" if any(not _idle(statement) for statement in tree) else "empty"


def judge(samples: Sequence[Sample]) -> list[str]:
    """The fault of each sample; `repeated` for a body that has counted twice (layout, comments, docstring aside)."""
    seen: Counter[str] = Counter()
    faults = []
    for sample in samples:
        found = fault(sample)
        if not found:
            statements = _parsed(sample.signature, body_of(sample.text)[0]) or []
            key = "\n".join(ast.dump(statement) for statement in statements if not _idle(statement))
            seen[key] += 1
            found = "repeated" if seen[key] > REPEATS else ""
        faults.append(found)
    return faults


def n_lines(text: str) -> int:
    """Lines of a body that are not blank."""
    return sum(bool(line.strip()) for line in body_of(text)[0].splitlines())


def _parsed(signature: str, body: str) -> list[ast.stmt] | None:
    """The statements of the body; None when it does not parse, or is more than one function."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "\d" in a plain string is no fault
            tree = ast.parse(f"{signature}\n{body}")
            compile(tree, "<sample>", "exec", dont_inherit=True)  # `return` outside, `break` without a loop, ...
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    only = tree.body[0] if len(tree.body) == 1 else None
    return only.body if isinstance(only, ast.FunctionDef | ast.AsyncFunctionDef) else None


def _idle(statement: ast.stmt) -> bool:
    """Whether a statement does nothing: pass, `...`, a docstring or another constant."""
    return isinstance(statement, ast.Pass) or (
        isinstance(statement, ast.Expr) and isinstance(statement.value, ast.Constant)
    )
