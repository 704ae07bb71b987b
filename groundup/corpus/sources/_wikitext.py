"""Wikitext to prose (mwparserfromhell): what a reader sees, without boxes, tables, notes, pictures and categories."""

import re
from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

# Elements whose content is no prose, and those whose content is kept as it stands.
LEFT_OUT = {"ref", "references", "gallery", "math", "chem", "table", "timeline", "score", "imagemap", "templatestyles"}
VERBATIM = {"pre", "source", "syntaxhighlight", "nowiki"}
# Templates that stand for a piece of a sentence, and their parameters that make it up. All others are boxes and notes.
INLINE = {"lang": ("2",), "nowrap": ("1",), "nobr": ("1",), "abbr": ("1",), "convert": ("1", "2"), "cvt": ("1", "2")}
# Where a page ends for a reader of prose: lists of literature and links. Whole headings, in small letters.
TAIL = frozenset({"references", "external links", "further reading", "notes", "see also", "bibliography", "sources"})
BLANK_LINES = re.compile(r"[ \t]*\n(?:[ \t]*\n)+")
EMPTY_BRACKETS = re.compile(r" ?\([\s,;:]*\)")


def prose(text: str, namespaces: frozenset[str] = frozenset()) -> str:
    """The prose of a page. Links into `namespaces` (small letters: "file", "category" ...) are left out.

    >>> prose("The ''tide''{{fact}} rises<ref>See.</ref> with the [[Moon|moon]].\\n== References ==\\n* A book.")
    'The tide rises with the moon.'
    """
    import mwparserfromhell

    pieces = _pieces(_before_tail(mwparserfromhell.parse(text).nodes), namespaces)
    runs = [(kept, "".join(run)) for kept, run in groupby(pieces, key=lambda piece: isinstance(piece, _Verbatim))]
    return "".join(run if kept else _tidied(run) for kept, run in runs).strip()


class _Verbatim(str):
    """A piece that stays as it is: code."""


def _tidied(text: str) -> str:
    """Prose without the brackets and blank lines that what was left out has left."""
    return BLANK_LINES.sub("\n\n", EMPTY_BRACKETS.sub("", text.replace("\xa0", " ")))


def _before_tail(nodes: Iterable[Any]) -> Iterator[Any]:
    """The nodes before the first heading of the page's tail; the sections after it are of its kind."""
    for node in nodes:
        if type(node).__name__ == "Heading" and str(node.title).strip().lower() in TAIL:
            return
        yield node


def _pieces(nodes: Iterable[Any], namespaces: frozenset[str]) -> Iterator[str]:
    """The text of nodes, piece by piece. What has no text for a reader gives none."""
    for node in nodes:
        kind = type(node).__name__
        if kind == "Text":
            yield str(node.value)
        elif kind == "HTMLEntity":
            yield str(node.normalize())
        elif kind == "Heading":
            yield from ("\n", *_pieces(node.title.nodes, namespaces), "\n")
        elif kind == "Wikilink":
            yield from _link(node, namespaces)
        elif kind == "ExternalLink" and node.title is not None:
            yield from _pieces(node.title.nodes, namespaces)
        elif kind == "Template":
            yield " ".join(_parameters(node, namespaces))
        elif kind == "Tag":
            yield from _tag(node, namespaces)


def _link(node: Any, namespaces: frozenset[str]) -> Iterator[str]:
    title = str(node.title).strip()
    space, colon, _ = title.partition(":")
    if colon and space.strip().lower() in namespaces:
        return
    if node.text is None:
        yield title.removeprefix(":")
    else:
        yield from _pieces(node.text.nodes, namespaces)


def _parameters(node: Any, namespaces: frozenset[str]) -> Iterator[str]:
    for name in INLINE.get(str(node.name).strip().lower(), ()):
        if node.has(name):
            yield "".join(_pieces(node.get(name).value.nodes, namespaces)).strip()


def _tag(node: Any, namespaces: frozenset[str]) -> Iterator[str]:
    name = str(node.tag).strip().lower()
    if node.contents is None or node.self_closing:
        yield {"li": "-", "br": "\n"}.get(name, "")  # the mark of a list at the beginning of a line; a line's end
    elif name in VERBATIM:
        yield _Verbatim(node.contents)
    elif name not in LEFT_OUT:
        yield from _pieces(node.contents.nodes, namespaces)
