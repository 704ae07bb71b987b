"""Texts of named classes, from a table: CSV, TSV or JSONL, plain or compressed."""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from groundup.corpus.document import Unreadable
from groundup.corpus.streams import decode, whole
from groundup.errors import DataError

FILE_BYTES = 1 << 30
"""Of a table, which is read at once."""

TEXTS = ("text", "sentence", "comment", "content", "review", "message", "question", "tweet", "body")
LABELS = ("label", "class", "category", "target", "sentiment", "y")
DELIMITERS: Mapping[str, str] = {".csv": ",", ".tsv": "\t"}


@dataclass(frozen=True, slots=True)
class Labelled:
    """A text, and the class that it was put in."""

    text: str
    label: str


def is_table(path: Path) -> bool:
    """Whether the name says that the file is a CSV or TSV, compressed or not."""
    return bool(DELIMITERS.keys() & set(path.suffixes))


def read_classes(path: Path) -> Iterator[Labelled | Unreadable]:
    """The labelled texts of a table. Its first row, or each JSON record, names the columns.

    The text is the column `text` (or one that is called alike), the label the column `label` (or alike), else the only
    other one. A row without either comes as `Unreadable`. Raises DataError for a file that cannot be opened, has no
    such columns, or no usable row.
    """
    if not path.is_file():
        raise DataError(f"{path}: there is no such file; give a table of texts and labels")
    columns: tuple[str, str] | None = None
    usable, first_bad = 0, ""
    for number, row in _rows(path):
        columns = columns or _columns(row, path)
        text, label = (str(row[name]).strip() if row.get(name) is not None else "" for name in columns)
        if text and label:
            usable += 1
            yield Labelled(text, label)
        else:
            detail = f"{path}: line {number}: no {columns[1] if text else columns[0]}"
            first_bad = first_bad or detail
            yield Unreadable(f"{path.name}:{number}", str(path), "broken_record", detail)
    if not usable:
        raise DataError(f"{first_bad or f'{path}: the file is empty'}; no row of the file is usable")


def _rows(path: Path) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Numbered rows by column. Raises DataError."""
    data = whole(path, path.name, FILE_BYTES)
    if isinstance(data, Unreadable):
        raise DataError(data.detail)
    text = decode(data)[0]
    if is_table(path):
        delimiter = next(DELIMITERS[suffix] for suffix in path.suffixes if suffix in DELIMITERS)
        table = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
        yield from ((table.line_num, row) for row in table)
        return
    for number, line in enumerate(text.splitlines(), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError) as error:
                raise DataError(f"{path}: line {number}: not JSON ({error})") from None
            yield number, row if isinstance(row, dict) else {}


def _columns(row: Mapping[str, Any], path: Path) -> tuple[str, str]:
    """Names of the columns of text and label. Raises DataError with those there are."""
    names = {str(name).lower(): str(name) for name in row if name is not None}
    text = next((names[name] for name in TEXTS if name in names), None)
    others = [name for name in names.values() if name != text]
    label = next((names[name] for name in LABELS if name in names), others[0] if len(others) == 1 else None)
    if text is None or label is None:
        raise DataError(
            f"{path}: the columns are {', '.join(names.values()) or 'none'}; call that of the texts 'text' and that of "
            "the labels 'label'"
        )
    return text, label
