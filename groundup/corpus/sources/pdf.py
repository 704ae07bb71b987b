"""PDF: a file is a document; its lines are joined to paragraphs, and what repeats at the edges of pages is left out."""

import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import ClassVar

from groundup.corpus.document import Document, Found, Raw, Shard, Unreadable
from groundup.corpus.sources._base import DOCUMENT_BYTES, FileSource

# What PDFium puts where a line was broken inside a word.
SOFT_HYPHEN = re.compile("[\u00ad\ufffe\x02]\\s*\n?")
HYPHEN = re.compile(r"(?<=[a-z])-\n(?=[a-z])")
# A line that goes on in the next: it ends inside a sentence, and the next begins with a small letter or in brackets.
GOES_ON = re.compile(r"(?<=[^\n.!?:])[ \t]*\n(?=[a-zà-ÿ(\[])")
DIGITS = re.compile(r"\d+")
# A first or last line is a running head when it stands on this share of the pages, of three at least.
REPEATED, PAGES = 0.5, 3


class Pdf(FileSource):
    """Reads the text of PDF files (PDFium). Scanned pages hold no text; they give none."""

    suffixes: ClassVar[frozenset[str]] = frozenset({".pdf"})
    divisible: ClassVar[bool] = False

    label: str
    files: tuple[tuple[str, str], ...]

    def read(self, shard: Shard) -> Iterator[Found]:
        """The one document of the file; one that asks for a password is skipped as `password`."""
        import pypdfium2

        try:
            pypdfium2.PdfDocument(shard.path).close()
        except (pypdfium2.PdfiumError, OSError) as error:
            locked = "password" in str(error).lower()
            what = "it asks for a password; give one without" if locked else f"not a whole PDF file: {error}"
            reason = "password" if locked else "broken_file"
            yield Unreadable(shard.id, shard.path, reason, f"{shard.path}: {what}")
        else:
            yield Raw(Document(shard.id, "", self.label, shard.path), lambda: joined(list(pages(shard.path))))


def pages(path: str) -> Iterator[str]:
    """The text of each page, lines as they stand on it. Stops where a document may not be longer."""
    import pypdfium2

    size = 0
    with pypdfium2.PdfDocument(path) as file:
        for page in file:
            text = page.get_textpage().get_text_bounded().replace("\r\n", "\n")
            page.close()
            size += len(text)
            if size > DOCUMENT_BYTES:
                return
            yield text


def joined(texts: Sequence[str]) -> str:
    """Pages as prose: without running heads and page numbers, words and sentences put together again.

    >>> joined(["The tide rises and\\nfalls twice a day.\\nThe moon draws it."])
    'The tide rises and falls twice a day.\\nThe moon draws it.'
    """
    heads = Counter(edge for text in texts for edge in _edges(text))
    least = max(PAGES, REPEATED * len(texts))
    repeated = {edge for edge, count in heads.items() if count >= least}
    text = "\n".join(_without(text.strip("\n"), repeated) for text in texts)
    return GOES_ON.sub(" ", HYPHEN.sub("", SOFT_HYPHEN.sub("", text))).strip()


def _edges(text: str) -> set[str]:
    """The first and the last line of a page, numbers left out."""
    found = text.strip("\n").split("\n")
    return {_mark(found[0]), _mark(found[-1])}


def _mark(line: str) -> str:
    return DIGITS.sub("0", line.strip())


def _without(text: str, repeated: set[str]) -> str:
    found = text.split("\n")
    if found and _mark(found[0]) in repeated:
        found = found[1:]
    if found and _mark(found[-1]) in repeated:
        found = found[:-1]
    return "\n".join(found)
