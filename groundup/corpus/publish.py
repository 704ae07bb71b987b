"""Pass 3: write what is kept and what is removed, each sorted by id; and read back what is kept."""

import heapq
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from pyarrow import compute, parquet

from groundup.corpus.crew import Beat, Job
from groundup.corpus.dedup import Decisions, Drop
from groundup.corpus.document import Document
from groundup.corpus.tables import DOCUMENTS, JUDGED, REMOVED, Rows

HELD_OUT, TRAIN = "held_out", "train"


@dataclass(frozen=True, slots=True)
class Publication:
    """One batch to publish: the file of pass 1, what pass 2 decided on it, and the two files to write."""

    judged: Path
    decisions: Decisions
    documents: Path
    removed: Path


@dataclass(slots=True)
class Tally:
    """What came of some batches: documents and their bytes by (source, split), removals by (source, reason)."""

    documents: Counter[tuple[str, str]] = field(default_factory=Counter)
    bytes: Counter[tuple[str, str]] = field(default_factory=Counter)
    removed: Counter[tuple[str, str]] = field(default_factory=Counter)
    repaired: int = 0
    details: list[str] = field(default_factory=list)

    def add(self, other: "Tally") -> None:
        """Take in another batch's numbers."""
        self.documents.update(other.documents)
        self.bytes.update(other.bytes)
        self.removed.update(other.removed)
        self.repaired += other.repaired
        self.details += other.details


def publish_batch(job: Job, beat: Beat) -> Tally:
    """Write the two files of a `Publication`, sorted by id; a file without rows is not written."""
    plan: Publication = job.payload
    rows = parquet.read_table(plan.judged, columns=[name for name in JUDGED.names if name != "sketch"]).to_pylist()
    for row in rows:
        row["id"] = plan.decisions.names.get(row["key"], row["id"])
    rows.sort(key=lambda row: (row["id"], row["key"]))
    kept = [row for row in rows if row["kept"] and row["key"] not in plan.decisions.drops]
    removed = [row for row in rows if not row["kept"] or row["key"] in plan.decisions.drops]
    tally = Tally(repaired=sum(row["repaired"] for row in kept))
    if kept:
        with Rows(plan.documents, DOCUMENTS) as file:
            for row in kept:
                split = HELD_OUT if row["key"] in plan.decisions.held_out else TRAIN
                file.add(row["bytes"], **row, split=split)
                tally.documents[row["source"], split] += 1
                tally.bytes[row["source"], split] += row["bytes"]
    if removed:
        with Rows(plan.removed, REMOVED) as file:
            for row in removed:
                file.add(row["bytes"], **(row | _drop(plan.decisions.drops.get(row["key"]))))
        for row in removed:
            drop = plan.decisions.drops.get(row["key"])
            tally.removed[row["source"], drop.reason if drop else row["reason"]] += 1
            tally.details += [row["detail"]] if row["detail"] else []
    return tally


def _drop(drop: Drop | None) -> dict[str, Any]:
    """The columns that pass 2 fills for a document that it removed."""
    return {} if drop is None else asdict(drop)


def read_documents(folder: Path, split: str | None = None) -> Iterator[Document]:
    """The documents in the files of a folder in the order of their ids, a row group of each file in memory."""
    streams = [_read_file(path, split) for path in sorted(folder.glob("*.parquet"))]
    yield from heapq.merge(*streams, key=lambda document: document.id)


def _read_file(path: Path, split: str | None) -> Iterator[Document]:
    columns = ["id", "text", "source", "path"]
    with parquet.ParquetFile(path) as file:
        for group in range(file.num_row_groups):
            here = compute.equal(file.read_row_group(group, ["split"])["split"], split) if split else None
            if here is not None and not compute.any(here).as_py():
                continue
            table = file.read_row_group(group, columns)
            table = table.filter(here) if here is not None else table
            for values in zip(*(table[name].to_pylist() for name in columns), strict=True):
                yield Document(*values)
