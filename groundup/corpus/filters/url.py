"""Documents from addresses that are not wanted: a list of domains, and words in the address."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urlsplit

from groundup.corpus.document import KEPT, Document, Filter, Verdict
from groundup.errors import DataError


class Url(Filter):
    """Drops documents whose `url` is on a block-list; documents without one are kept.

    `domains` cover what lies below them; `file` holds more, one a line, as the UT1 lists that FineWeb and RefinedWeb
    use. `words` are looked for between the punctuation marks of the address.

    >>> page = Document("a", "text", "s", "p", url="https://shop.example.com/casino/win")
    >>> Url(domains=("example.com",)).judge(page).reason, Url(words=("casino",)).judge(page).reason
    ('url_domain', 'url_word')
    """

    domains: tuple[str, ...] = ()
    file: str = ""
    words: tuple[str, ...] = ()

    def files(self) -> tuple[str, ...]:
        """The `file`, where one is named."""
        return (self.file,) if self.file else ()

    def check(self) -> None:
        """Raises DataError when the file of domains cannot be read."""
        if self.file:
            try:
                _listed(self.file)
            except (OSError, UnicodeDecodeError) as error:
                raise DataError(f"url.file: {self.file}: {error}; give a text file with one domain a line") from None

    def judge(self, document: Document) -> Verdict:
        """Drop with `url_domain` or `url_word`; the value is 1."""
        if not document.url:
            return KEPT
        parts = urlsplit(document.url if "//" in document.url else f"//{document.url}")
        labels = (parts.hostname or "").split(".")
        above = [".".join(labels[start:]) for start in range(len(labels))]
        blocked = set(self.domains) | (_listed(self.file) if self.file else frozenset())
        if not blocked.isdisjoint(above):
            return Verdict(False, "url_domain", 1.0, 0.0)
        if self.words and not set(self.words).isdisjoint(re.split(r"[\W_]+", document.url.lower())):
            return Verdict(False, "url_word", 1.0, 0.0)
        return KEPT


@cache
def _listed(file: str) -> frozenset[str]:
    rows = Path(file).expanduser().read_text(encoding="utf-8").split("\n")
    return frozenset(row for line in rows if (row := line.strip().lower()) and not row.startswith("#"))
