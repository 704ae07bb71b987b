"""Stretches of a document that a question can quote: sentences of prose, lines of code, readable names.

Lengths are UTF-8 bytes, because a tokenizer's bytes per token turn a context in tokens into a budget in bytes.
"""

import ast
import random
import re
import warnings
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from pathlib import PurePosixPath

from groundup.corpus.document import Document

CODE = re.compile(
    r"\.(pyi?|[jt]sx?|java|c|h|cc|[ch]pp|cs|go|rs|rb|php|pl|lua|sh|sql|swift|kt|scala|r|jl|hs|ml|exs?|erl|clj|lisp|el"
    r"|vim|css|toml|ya?ml|json|ini|cfg|mk)$",
    re.IGNORECASE,
)
SENTENCE = re.compile(
    r"\S.*?(?:"
    r"(?<!\bMr)(?<!\bMrs)(?<!\bMs)(?<!\bDr)(?<!\bSt)(?<!\b[A-Z])[.!?…]+[\"”’')\]*_]*(?=\s+[^\sa-z])"
    r"|[。！？]+[”」』]*"
    r"|(?=\s*\n\s*\n)|(?=\s*\Z))",
    re.DOTALL,
)
LINE = re.compile(r"^.*\S.*$", re.MULTILINE)
WORD = re.compile(r"[^\W\d_][\w’'-]*[^\W_]")
COUNTED = 24_000
"""Characters of a document whose words are counted, in pieces spread over all of it."""


MORE = "Quote another passage from the same text:"
N_SNIPPETS = 4
"""Of a document: several short ones tell more about it than a long one of the same size."""
MIN_PAGE = 200
"""Bytes below which a page would often hold no whole sentence."""


def size(text: str) -> int:
    """Length in UTF-8 bytes."""
    return len(text.encode("utf-8", "surrogatepass"))


def is_code(document: Document) -> bool:
    """Whether the document is source code: its units are lines, not sentences."""
    return bool(CODE.search(document.id) or CODE.search(document.path))


@dataclass(frozen=True)
class Page:
    """A stretch of a document, cut into units: sentences of prose, lines of code."""

    text: str
    code: bool = False

    @cached_property
    def spans(self) -> list[tuple[int, int]]:
        """Start and end of each unit in `text`, in characters."""
        return [match.span() for match in (LINE if self.code else SENTENCE).finditer(self.text)]

    def units(self) -> list[str]:
        """The units, as they stand in the text."""
        return [self.text[start:end] for start, end in self.spans]

    def quote(self, first: int, last: int) -> str:
        """The text from unit `first` to unit `last`, both included, as it stands."""
        return self.text[self.spans[first][0] : self.spans[last][1]]

    def run(self, first: int, max_bytes: int) -> int:
        """The last unit of the longest run from `first` that fits in `max_bytes`; `first - 1` when none fits."""
        last = first - 1
        while last + 1 < len(self.spans) and size(self.quote(first, last + 1)) <= max_bytes:
            last += 1
        return last


def open_at_random(document: Document, random: random.Random, max_bytes: int) -> Page:
    """A page of about four times `max_bytes` from a random place, without the units that the cut would tear."""
    code, length = is_code(document), 4 * max_bytes
    start = random.randrange(max(1, len(document.text) - length // 2))
    page = Page(document.text[start : start + length], code)
    first = 1 if start > 0 else 0
    last = len(page.spans) - (1 if start + length >= len(document.text) else 2)
    return Page(page.quote(first, last) if first <= last else "", code)


def snippets(document: Document, random: random.Random, count: int, max_bytes: int, avoid: str) -> list[str]:
    """`count` short pieces from random places, each from the start of a sentence or line; fewer where there is no room.

    They share no sentence with each other or with the passage `avoid`.
    """
    found: list[str] = []
    for _ in range(4 * count):
        page = open_at_random(document, random, max(max_bytes, MIN_PAGE))
        if len(found) == count or not page.spans:
            break
        start, end = random.choice(page.spans)
        piece = cut(page.text[start : start + max_bytes + 1], max_bytes).rstrip()
        if len(piece) > 20 and not any(page.text[start:end][:20] in other for other in (avoid, *found)):
            found.append(piece)
    return found


def more(document: Document, passage: str, max_bytes: int, random: random.Random) -> str:
    """The request for another passage of a document, of which it shows snippets; `passage` is to be the reply."""
    room = max_bytes - size(passage) - size(MORE)
    pieces = snippets(document, random, N_SNIPPETS, room // N_SNIPPETS - len("\n\n"), passage)
    return "\n\n".join((MORE, *pieces))


def cut(text: str, max_bytes: int) -> str:
    """The beginning of a text, cut at a space where there is one."""
    if size(text) <= max_bytes:
        return text
    short = text.encode("utf-8", "ignore")[:max_bytes].decode("utf-8", "ignore")
    return short[: short.rstrip().rfind(" ")] if " " in short.strip() else short


def words(text: str) -> list[str]:
    """Words and identifiers of two letters and more, as they are written."""
    return WORD.findall(text)


def word_counts(document: Document) -> Counter[str]:
    """How often each word stands in the document (in pieces spread over it, when it is long)."""
    text = document.text
    if len(text) > COUNTED:
        stride, piece = len(text) // 8, COUNTED // 8
        text = "\n".join(text[start : start + piece] for start in range(0, 8 * stride, stride))
    return Counter(words(text))


def readable_name(document: Document) -> str:
    """What a person would call the document: its module, its first heading, or its id made readable.

    In ids such as `author_title_translator/section` (Standard Ebooks) the title is the second field of a part that
    holds hyphens too.

    >>> readable_name(Document("h-g-wells_the-time-machine/chapter-1", "", "", ""))
    'The Time Machine, Chapter 1'
    >>> readable_name(Document("json/decoder.py", "", "", ""))
    'json.decoder'
    >>> readable_name(Document("notes/2024/my_garden.txt", "", "", ""))
    '2024, My Garden'
    """
    parts = [part for part in document.id.replace("\\", "/").split("/") if part not in ("", ".", "..")]
    if document.id.endswith((".py", ".pyi")):
        return ".".join(parts).removesuffix(".pyi").removesuffix(".py").removesuffix(".__init__")
    heading = re.match(r"\s*#\s+(\S[^\n]{0,60}?)\s*#*\s*\n", document.text)
    if heading and not is_code(document):
        return heading[1]
    if is_code(document):
        return "/".join(parts[-2:])
    return ", ".join(_readable(PurePosixPath(part).stem if part == parts[-1] else part) for part in parts[-2:])


def _readable(part: str) -> str:
    """One part of a path as words."""
    fields = part.split("_")
    if "-" in part and len(fields) > 1:
        part = fields[1]
    text = re.sub(r"[-_\s]+", " ", part).strip()
    return text.title() if text.islower() else text


def group(document: Document) -> str:
    """What documents belong together by: the folder (or book) that the id names, else the document itself."""
    return document.id.rpartition("/")[0] or document.id


def first_sentence(text: str) -> str:
    """The first sentence of a text, on one line.

    >>> first_sentence("Split the\\n    string. Return two parts.")
    'Split the string.'
    """
    first = re.split(r"\n\s*\n", text.strip(), maxsplit=1)[0]
    page = Page(" ".join(first.split()))
    return page.quote(0, 0) if page.spans else ""


def syntax_tree(document: Document) -> ast.Module | None:
    """The parsed Python source; None when it is not Python or does not parse."""
    if not document.id.endswith((".py", ".pyi")):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # about the user's source, which is not run
            return ast.parse(document.text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):  # the last: nested too deeply for the parser
        return None
