"""Texts of two kinds for a classifier: from folders of the one and the other, or from records with a label."""

from collections.abc import Sequence
from itertools import islice

from groundup.corpus.document import Document
from groundup.corpus.reading import documents_of, records_of
from groundup.corpus.repair import repair
from groundup.corpus.sources._record import text_field
from groundup.errors import DataError

# Of each kind. More than a linear classifier can use, and what a small machine can hold.
MOST_TEXTS = 100_000


def texts_of(specs: Sequence[str], most: int = MOST_TEXTS) -> list[str]:
    """The first texts of some data, repaired as a corpus's are. Raises DataError for data that cannot be opened."""
    return [document.text for document in islice(filter(_has_text, documents_of(specs)), most)]


def labelled(path: str, field: str, value: str) -> tuple[list[str], list[bool]]:
    """The texts of a JSONL file, and of each whether its `field` is `value`. Raises DataError for what is no record."""
    texts, labels = [], []
    for number, row in records_of(path):
        fields = row if isinstance(row, dict) else {}
        known = {key: isinstance(item, str) and key != field for key, item in fields.items()}
        text = text_field(known)
        if text is None or field not in fields:
            raise DataError(
                f"{path}: line {number}: needs a text and {field!r}; it has {', '.join(known) or 'no fields'}"
            )
        texts.append(repair(fields[text])[0])
        labels.append(str(fields[field]) == value)
    return texts, labels


def _has_text(document: Document) -> bool:
    return bool(document.text.strip())
