"""Pass 3: write what is kept and what is removed, each sorted by id; and read back what is kept."""

import heapq
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pyarrow import compute, parquet

from groundup.corpus.crew import Beat, Job
from groundup.corpus.dedup import Decisions, Drop
from groundup.corpus.document import Document
from groundup.corpus.spans import FEWEST_WORDS, cut, read_cuts
from groundup.corpus.tables import DOCUMENTS, JUDGED, LABELS, REMOVED, SPANS, Rows
from groundup.corpus.tally import HELD_OUT, TRAIN, Tally
from groundup.corpus.words import words

# Columns of pass 1 that only pass 2 reads.
COMPARED = ("content", "copy", "bands", "minima", "prints")


@dataclass(frozen=True, slots=True)
class Publication:
    """One batch to publish: the file of pass 1, what pass 2 decided on it, and the two files to write.

    `spans` is the number of words of a passage that is cut.
    """

    judged: Path
    decisions: Decisions
    documents: Path
    removed: Path
    spans: int = 0


def publish_batch(job: Job, beat: Beat) -> Tally:
    """Write the two files of a `Publication`, sorted by id; a file without rows is not written."""
    plan: Publication = job.payload
    rows = parquet.read_table(plan.judged, columns=[name for name in JUDGED.names if name not in COMPARED]).to_pylist()
    for row in rows:
        row["id"] = plan.decisions.names.get(row["key"], row["id"])
        row |= {"duplicate_of": None, **_drop(plan.decisions.drops.get(row["key"]))}
    rows += list(_cut(rows, plan))
    rows.sort(key=lambda row: (row["id"], row["key"]))
    kept = [row for row in rows if row["kept"]]
    removed = [row for row in rows if not row["kept"]]
    tally = Tally()
    if kept:
        with Rows(plan.documents, DOCUMENTS) as file:
            for row in kept:
                split = HELD_OUT if row["key"] in plan.decisions.held_out else TRAIN
                file.add(row["bytes"], **row, split=split)
                tally.keep(row, split)
    if removed:
        with Rows(plan.removed, REMOVED) as file:
            for row in removed:
                file.add(row["bytes"], **row)
                tally.remove(row)
    return tally


def _drop(drop: Drop | None) -> dict[str, Any]:
    """The columns that pass 2 fills for a document that it removed."""
    return {} if drop is None else {"kept": False, **asdict(drop)}


def _cut(rows: list[dict[str, Any]], plan: Publication) -> Iterator[dict[str, Any]]:
    """Cut passages that stand elsewhere out of the rows; a new row for what was cut from each.

    A document of which little is left is marked as removed instead.
    """
    if plan.decisions.cuts is None:
        return
    keys, starts = read_cuts(plan.decisions.cuts, int(plan.judged.stem))
    for row in rows:
        low, high = np.searchsorted(keys, [row["key"], row["key"] + 1])
        if not row["kept"] or low == high:
            continue
        left, gone = cut(row["text"], starts[low:high], plan.spans)
        size = len(gone.encode())
        why = {"kept": False, "step": SPANS, "reason": "duplicate_span", "threshold": float(plan.spans)}
        if len(words(left).hashes) < FEWEST_WORDS:
            row |= {**why, "value": float(size)}
        else:
            named = {"id": f"{row['id']}#cut", "bytes": size, "read_bytes": None, "text": gone}
            yield {**row, **why, **named, "value": float(size)}
            row |= {"text": left, "bytes": len(left.encode())}


def read_documents(folder: Path, split: str | None = None) -> Iterator[Document]:
    """The documents in the files of a folder in the order of their ids, a row group of each file in memory."""
    streams = [_read_file(path, split) for path in sorted(folder.glob("*.parquet"))]
    yield from heapq.merge(*streams, key=lambda document: document.id)


def _read_file(path: Path, split: str | None) -> Iterator[Document]:
    with parquet.ParquetFile(path) as file:
        labels = [name for name, _ in LABELS if name in file.schema_arrow.names]  # an older corpus has fewer
        columns = ["id", "text", "source", "path", *labels]
        for group in range(file.num_row_groups):
            here = compute.equal(file.read_row_group(group, ["split"])["split"], split) if split else None
            if here is not None and not compute.any(here).as_py():
                continue
            table = file.read_row_group(group, columns)
            table = table.filter(here) if here is not None else table
            for values in zip(*(table[name].to_pylist() for name in columns), strict=True):
                yield Document(**dict(zip(columns, values, strict=True)))
