"""WikiText-2: perplexity a word of the test articles, as published (Merity et al. 2016, 1609.07843)."""

import re
from collections.abc import Iterator
from typing import ClassVar

from groundup.tasks.published._base import Passage, Texts
from groundup.tasks.published._records import Place, Record

HEADING = re.compile(r"^ = [^=].*[^=] = $", re.MULTILINE)

SPACED = (
    ("s '", "s'"), (" @-@ ", "-"), (" @,@ ", ","), (" @.@ ", "."),
    (" : ", ": "), (" ; ", "; "), (" . ", ". "), (" ! ", "! "), (" ? ", "? "), (" , ", ", "),
)  # fmt: skip
"""What the data's own tokenization put apart, and as people write it."""
PAIRED = (
    r"\((\s*)([^\)]*?)\s*\)",
    r"\[(\s*)([^\]]*?)\s*\]",
    r"\{(\s*)([^}]*?)\s*\}",
    r'"(\s*)([^"]*?)\s*"',
    r"'(\s*)([^']*?)\s*'",
)
LAST = (
    ("= = = =", "===="), ("= = =", "==="), ("= =", "=="), (" ° ", "°"), (" \n", "\n"), ("\n ", "\n"),
    (" N ", " 1 "), (" 's", "'s"),
)  # fmt: skip


class Wikitext2(Texts):
    """Whole articles of Wikipedia: bits per byte, and perplexity a word, both of the text as it was published."""

    place: ClassVar[Place] = Place("wikitext2", "EleutherAI/wikitext_document_level", "wikitext-2-raw-v1")

    def passages(self, record: Record) -> Iterator[Passage]:
        """The article of a record, or all those of a file. What is read is written as people write; what is counted,
        bytes and words (white space begins a new one), is the text as it was published."""
        for page in [record["page"]] if "page" in record else _articles(record["text"]):
            yield Passage("", written(page), len(page.encode()), len(re.split(r"\s+", page)))


def written(page: str) -> str:
    """An article without the marks of its tokenization, by the rules of the harness.

    >>> written(' = Alice = \\n a well @-@ known ( red ) fox , " so " \\n')
    ' = Alice =\\na well-known (red) fox, "so"\\n'
    """
    for apart, joined in SPACED:
        page = page.replace(apart, joined)
    for pair in PAIRED:
        page = re.sub(pair, lambda found: f"{found[0][0]}{found[2]}{found[0][-1]}", page)
    for apart, joined in LAST:
        page = page.replace(apart, joined)
    return page


def _articles(text: str) -> list[str]:
    """A file cut before each heading of the first level but the first."""
    starts = [0, *[found.start() for found in HEADING.finditer(text)][1:]]
    return [text[start:stop] for start, stop in zip(starts, [*starts[1:], len(text)], strict=True)]
