"""The ledger of a corpus: every document that was removed, with the reason, the value and the bar that it missed."""

import re
from collections.abc import Iterator
from pathlib import Path
from random import Random
from typing import Any

from pyarrow import compute, parquet

from groundup.errors import DataError, nearest

Row = dict[str, Any]


def removed(
    folder: Path, reason: str = "", source: str = "", grep: str = "", sample: int = 0, seed: int = 0
) -> list[Row]:
    """Rows of what was removed from the corpus in a folder, in the order of their ids.

    With `reason` and `source`, those alone (a reason also by its beginning: `language` for `language_de`); with `grep`,
    those whose id or text holds it, whatever the case; with `sample`, so many of them, drawn evenly. A row has the
    columns of `tables.REMOVED`. Raises DataError for a folder without a corpus, and for a reason that nothing has.
    """
    if not (folder / "documents").is_dir():
        raise DataError(f"{folder}: there is no corpus in this folder; build it with groundup corpus build")
    if reason:
        known = reasons(folder)
        if not any(name.startswith(reason) for name in known):
            raise DataError(f"nothing was removed for the reason {reason!r}; {nearest(reason, known)}")
    rows: list[Row] = []
    draw = Random(seed)
    for seen, row in enumerate(_rows(folder, reason, source, grep), 1):
        if not sample or len(rows) < sample:
            rows.append(row)
        elif (place := draw.randrange(seen)) < sample:  # reservoir sampling (Vitter 1985, algorithm R)
            rows[place] = row
    return sorted(rows, key=lambda row: str(row["id"]))


def reasons(folder: Path) -> dict[str, int]:
    """How many documents were removed for each reason."""
    counts: dict[str, int] = {}
    for path in sorted((folder / "removed").glob("*.parquet")):
        for entry in parquet.read_table(path, columns=["reason"])["reason"].value_counts().to_pylist():
            counts[entry["values"]] = counts.get(entry["values"], 0) + entry["counts"]
    return dict(sorted(counts.items()))


def _rows(folder: Path, reason: str, source: str, grep: str) -> Iterator[Row]:
    """The rows that match, a row group in memory."""
    for path in sorted((folder / "removed").glob("*.parquet")):
        with parquet.ParquetFile(path) as file:
            for group in range(file.num_row_groups):
                table = file.read_row_group(group)
                if reason:
                    table = table.filter(compute.starts_with(table["reason"], reason))
                if source:
                    table = table.filter(compute.equal(table["source"], source))
                if grep:
                    here = [
                        compute.match_substring_regex(table[name], f"(?i){re.escape(grep)}") for name in ("id", "text")
                    ]
                    table = table.filter(compute.or_kleene(*here))
                yield from table.to_pylist()
