"""The documents of a corpus, kept and removed, a page at a time: of a file only the row groups that the page shows."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pyarrow import compute, parquet

MOST_LETTERS = 20_000
"""Of one document that are shown."""


@dataclass(frozen=True)
class Spot:
    """Where a document is: a file of the folder, a row group of it, a row."""

    file: str
    group: int
    row: int


@dataclass(frozen=True)
class Leaf:
    """One page of documents: what is known of each beside its text, and where it is; `total` match in all."""

    rows: list[tuple[Spot, dict[str, Any]]]
    total: int


class Shelf:
    """The Parquet files of one folder of a corpus, in the order of their names."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    @cached_property
    def _files(self) -> list[Path]:
        return sorted(self._folder.glob("*.parquet"))

    @property
    def n_documents(self) -> int:
        """How many there are: the files say so at their end."""
        return sum(parquet.read_metadata(path).num_rows for path in self._files)

    def values(self, column: str) -> Counter[str]:
        """How often each value of a column is there, from this column alone."""
        found: Counter[str] = Counter()
        for path in self._files:
            with parquet.ParquetFile(path) as file:
                if column in file.schema_arrow.names:
                    for group in range(file.num_row_groups):
                        counted = file.read_row_group(group, [column])[column].value_counts()
                        found.update({str(each["values"]): each["counts"] for each in counted.to_pylist()})
        return found

    def leaf(self, start: int, rows: int, where: Mapping[str, str]) -> Leaf:
        """Documents `start` to `start + rows` of those whose columns have these values. Their texts are not read."""
        shown: list[tuple[Spot, dict[str, Any]]] = []
        total = 0
        for path, group, matches, names in self._matches(where):
            first, total = total, total + len(matches)
            wanted = matches[max(0, start - first) : max(0, start + rows - first)]
            if wanted:
                with parquet.ParquetFile(path) as file:
                    table = file.read_row_group(group, [name for name in names if name != "text"]).take(wanted)
                spots = (Spot(path.name, group, row) for row in wanted)
                shown += zip(spots, table.to_pylist(), strict=True)
        return Leaf(shown, total)

    def text(self, spot: Spot) -> tuple[str, bool]:
        """The beginning of a document's text, and whether it is cut there; nothing for a spot where there is none."""
        path = next((path for path in self._files if path.name == spot.file), None)
        if path is None:
            return "", False
        with parquet.ParquetFile(path) as file:
            column = file.read_row_group(spot.group, ["text"])["text"]
            text = str(column[spot.row].as_py() or "")
        return text[:MOST_LETTERS], len(text) > MOST_LETTERS

    def _matches(self, where: Mapping[str, str]) -> Iterator[tuple[Path, int, list[int], list[str]]]:
        """For each row group: the rows that match, found in the columns that are asked for alone."""
        for path in self._files:
            with parquet.ParquetFile(path) as file:
                names = file.schema_arrow.names
                for group in range(file.num_row_groups):
                    table = file.read_row_group(group, [name for name in where if name in names])
                    keep = list(range(file.metadata.row_group(group).num_rows))
                    for name in table.column_names:
                        same = compute.equal(table[name], where[name]).to_pylist()
                        keep = [row for row in keep if same[row]]
                    yield path, group, keep, names
