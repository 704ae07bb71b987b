"""What a thing is or does: docstrings, headings and glossaries, where the user's documents have them."""

import ast
import re
from collections.abc import Iterator, Sequence

from pydantic import Field

from groundup.corpus.document import Document
from groundup.tasks._base import Example, Split, Task, word_overlap
from groundup.tasks._excerpt import first_sentence, readable_name, size, syntax_tree

PHRASINGS = {
    "function": ("What does {} do?", "What is {} for?", "Explain {}.", "What does the function {} do?"),
    "class": ("What is {}?", "What is the class {} for?", "Explain {}.", "Describe the class {}."),
    "module": ("What is the module {} for?", "What does the module {} do?", "Describe the module {}."),
    "heading": ("What is said about {}?", "What is written under the heading {}?", "Tell me about {}."),
    "glossary": ("What is {}?", "Define {}.", "What does {} mean?", "Explain the word {}."),
}
HEADING = re.compile(r"^#{1,6}[ \t]+(\S[^\n]*?)[ \t]*#*[ \t]*\n+(?=\w)", re.MULTILINE)
UNDERLINED = re.compile(r"^(\w[^\n]{2,60})\n([=\-~^\"]{3,})\n+(?=\w)", re.MULTILINE)
DEFINED = re.compile(
    r"^(?:[-*+] )?(?:\*\*|__)([^*_\n]{2,40}?):?(?:\*\*|__):?[ \t]*(?:[-–—:]|is\b)?[ \t]+(?=\w)"  # **term**: text
    r"|^(\w[^\n]{1,40})\n+:[ \t]+(?=\w)",  # a Markdown definition list
    re.MULTILINE,
)
ENTRY = re.compile(r"^([A-Z][\w’'-]{2,20})\n\n(?=(?:An?|The|One|To|In|Any|That)\b)", re.MULTILINE)
ENTRIES = 5
"""Bare words above paragraphs are a dictionary from this many on; fewer are headings of something else."""


class Definitions(Task):
    """ "What does textwrap.dedent do?": the first sentence of the docstring, of the section or of the entry."""

    max_bytes: int = Field(400, ge=80, description="of question and answer together")

    def examples(self, split: Split, count: int, seed: int, documents: Sequence[Document] = ()) -> list[Example]:
        """Up to `count` terms, from documents in random order; documents beyond the last one needed are not read."""
        random = self.random(split, seed)
        found: dict[tuple[str, str], str] = {}
        for document in random.sample(documents, len(documents)):
            if len(found) >= 4 * count:
                break
            for kind, term, text in definitions(document):
                found.setdefault((kind, term), text)
        made: dict[str, Example] = {}
        for (kind, term), text in random.sample(sorted(found.items()), len(found)):
            example = Example(random.choice(PHRASINGS[kind]).format(term), text, kind)
            if size(example.question + text) <= self.max_bytes:
                made.setdefault(example.question, example)
        return list(made.values())[:count]

    def score(self, example: Example, reply: str) -> float:
        """The F1 of the reply's words; 1.0 for the definition itself."""
        return word_overlap(example.answer, reply)


def definitions(document: Document) -> Iterator[tuple[str, str, str]]:
    """(kind, term, first sentence) of everything that the document defines.

    >>> list(definitions(Document("box.py", "'A box.'\\ndef lid():\\n    'Lift the lid. Slowly.'\\n", "", "")))
    [('module', 'box', 'A box.'), ('function', 'box.lid', 'Lift the lid.')]
    """
    tree = syntax_tree(document)
    found = _written(document) if tree is None else _documented(tree, readable_name(document))
    for kind, term, text in found:
        if size(text) >= 6 and size(term) <= 60:
            yield kind, term, text


def _documented(tree: ast.Module, module: str) -> Iterator[tuple[str, str, str]]:
    """Docstrings of a module, its functions and classes, and of the methods of those; private names are left out."""
    pending: list[tuple[str, str, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]
    pending = [("module", module, tree)]
    while pending:
        kind, name, node = pending.pop(0)
        text = first_sentence(ast.get_docstring(node) or "")
        if text:
            yield kind, name, text
        for child in node.body if kind in ("module", "class") else ():
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) and child.name[0] != "_":
                inner = "class" if isinstance(child, ast.ClassDef) else "function"
                pending.append((inner, f"{name}.{child.name}", child))


def _written(document: Document) -> Iterator[tuple[str, str, str]]:
    """Headings and glossary entries of prose."""
    text = document.text
    patterns = [("heading", HEADING), ("heading", UNDERLINED), ("glossary", DEFINED)]
    if len(ENTRY.findall(text)) >= ENTRIES:
        patterns.append(("glossary", ENTRY))
    for kind, pattern in patterns:
        for match in pattern.finditer(text):
            term = next(part for part in match.groups() if part).strip("`*_ ")
            sentence = first_sentence(text[match.end() : match.end() + 1000])
            if re.search(r"[^\W\d_]{2}", term):
                yield kind, term, sentence
