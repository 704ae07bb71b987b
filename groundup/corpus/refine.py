"""The three passes, with Parquet between: what a user's data goes through before anything learns from it.

    1  judge    per batch of shards, in worker processes: read, repair, filter; a row for EVERY document
    2  relate   on Daft, over rows without texts: copies, the held-out split, near copies across it
    3  publish  per batch: documents/ and removed/, sorted by id

A batch is published whole or not at all, so a build that was killed goes on where it was. What is written does not
depend on the number of workers, to the last byte.
"""

import json
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from groundup.config import fingerprint
from groundup.corpus.crew import Crew, crew
from groundup.corpus.dedup import relate
from groundup.corpus.document import Document, Filter, Unreadable
from groundup.corpus.judge import Batch, judge_batch
from groundup.corpus.publish import HELD_OUT, TRAIN, Publication, Tally, publish_batch, read_documents
from groundup.corpus.sources._base import Opened, open_specs
from groundup.corpus.split import HeldOut
from groundup.corpus.tables import room_on
from groundup.errors import DataError
from groundup.events import SILENT, Reporter

# Changed when the same input would give other documents.
VERSION = 1
# Input bytes in a batch: enough batches to keep workers busy, few enough files.
BATCH_BYTES, BATCHES = (1 << 20, 64 << 20), 64
# No document is worth more time than this; a page that hangs the HTML reader is left out.
ITEM_SECONDS = 60.0
SHOWN_DETAILS = 20


def build(
    specs: Sequence[str],
    *,
    filters: Sequence[Filter],
    held_out: HeldOut,
    out: Path,
    workers: int | None = None,
    progress: Reporter = SILENT,
    item_seconds: float = ITEM_SECONDS,
) -> dict[str, Any]:
    """Turn every `--data` into `out/documents`, `out/removed` and `out/facts.json`; returns the facts.

    `workers` is the number of processes, by default that of the cores. A document that crashes its worker, or keeps it
    for `item_seconds`, is removed as `crashed` or `timed_out`. Raises DataError when there is no data, or too little to
    learn from and to measure on; ResourceError when the disk is full or workers keep dying.
    """
    opened = open_specs(specs)
    key = fingerprint([VERSION, inputs(opened), [[each.name, each.tree()] for each in filters], held_out.tree()])
    work = out / "work" / key
    with room_on(out), crew(workers or os.cpu_count() or 1, item_seconds) as hands:
        _clear(out, keep=work)
        batches = _batches(opened, tuple(filters), held_out, work)
        _judge(hands, batches, progress)
        tally = _publish(hands, batches, held_out, work, progress)
        facts = _facts(opened, tally)
        for name in ("documents", "removed"):
            (work / name).rename(out / name)
        (out / "facts.json").write_text(json.dumps(facts, indent=1, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(out / "work")
    return facts


def documents(folder: Path, split: str | None = None) -> Iterator[Document]:
    """The documents of a built corpus in the order of their ids: those of one split ("train", "held_out"), or all.

    Streams: of each file only a few megabytes are in memory. Raises DataError when the folder holds no corpus.
    """
    if not (folder / "documents").is_dir():
        raise DataError(f"{folder}: there is no corpus in this folder; build it with groundup run")
    return read_documents(folder / "documents", split)


def inputs(opened: Sequence[Opened]) -> list[Any]:
    """What the corpus is made from, as plain values for a fingerprint: every file's path, size and time, in order."""
    return [
        [each.label, each.weight, source.name, file.path, file.bytes, file.mtime_ns]
        for each in opened
        for source in each.sources
        for file in source.manifest()
    ]


def _clear(out: Path, keep: Path) -> None:
    """Leave nothing in the folder but what a killed build of the same input has left."""
    for name in ("documents", "removed"):
        shutil.rmtree(out / name, ignore_errors=True)
        shutil.rmtree(keep / name, ignore_errors=True)
    for other in (out / "work").glob("*"):
        if other != keep:
            shutil.rmtree(other)
    for leftover in keep.glob("*.tmp"):
        leftover.unlink()
    keep.mkdir(parents=True, exist_ok=True)


def _batches(opened: Sequence[Opened], filters: tuple[Filter, ...], held_out: HeldOut, work: Path) -> list[Batch]:
    """Shards in batches of equal size, in the order given. Depends on the input alone, never on the workers."""
    pieces = [
        (reader, shard)
        for each in opened
        for source in each.sources
        for reader in [source.reader()]
        for shard in source.shards()
    ]
    least, most = BATCH_BYTES
    limit = min(most, max(least, sum(shard.bytes for _, shard in pieces) // BATCHES))
    groups: list[list[Any]] = [[]]
    size = 0
    for source, shard in pieces:
        if groups[-1] and size + shard.bytes > limit:
            groups.append([])
            size = 0
        groups[-1].append((source, shard))
        size += shard.bytes
    skipped: tuple[tuple[str, Unreadable], ...] = tuple((each.label, skip) for each in opened for skip in each.skipped)
    return [
        Batch(number, tuple(group), () if number else skipped, filters, held_out, work / f"{number:05d}.parquet")
        for number, group in enumerate(groups)
    ]


def _judge(hands: Crew, batches: Sequence[Batch], progress: Reporter) -> None:
    """Pass 1 over the batches that a killed build has not left behind."""
    missing = [batch for batch in batches if not batch.path.exists()]
    sizes = [sum(shard.bytes for _, shard in batch.pieces) for batch in missing]
    with progress.task("read and filter", total=sum(sizes), unit="bytes") as bar:
        for number, _ in hands.run(judge_batch, missing):
            bar.advance(sizes[number])


def _publish(hands: Crew, batches: Sequence[Batch], held_out: HeldOut, work: Path, progress: Reporter) -> Tally:
    """Passes 2 and 3."""
    with progress.task("copies and split") as bar:
        decisions = relate([batch.path for batch in batches], held_out)
        bar.advance()
    for name in ("documents", "removed"):
        (work / name).mkdir()
    plans = [
        Publication(
            batch.path,
            decisions.of_batch(batch.number),
            work / "documents" / batch.path.name,
            work / "removed" / batch.path.name,
        )
        for batch in batches
    ]
    tallies: dict[int, Tally] = {}
    with progress.task("write documents", total=len(plans), unit="files") as bar:
        for number, tally in hands.run(publish_batch, plans):
            tallies[number] = tally
            bar.advance()
    total = Tally()
    for number in sorted(tallies):
        total.add(tallies[number])
    return total


def _facts(opened: Sequence[Opened], tally: Tally) -> dict[str, Any]:
    """The numbers that the report prints."""

    def of(counter: Any, split: str, label: str | None = None) -> int:
        return sum(count for (source, key), count in counter.items() if key == split and label in (None, source))

    removed: dict[str, int] = {}
    removals = sorted(tally.removed.items())
    for (_, reason), count in removals:
        removed[reason] = removed.get(reason, 0) + count
    sources = [
        {
            "label": each.label,
            "spec": each.spec,
            "weight": each.weight,
            "documents": of(tally.documents, TRAIN, each.label),
            "bytes": of(tally.bytes, TRAIN, each.label),
            "held_out_documents": of(tally.documents, HELD_OUT, each.label),
            "held_out_bytes": of(tally.bytes, HELD_OUT, each.label),
            "removed": {reason: count for (source, reason), count in removals if source == each.label},
        }
        | {name: value for source in each.sources for name, value in source.facts().items()}
        for each in opened
    ]
    return {
        "documents": of(tally.documents, TRAIN),
        "bytes": of(tally.bytes, TRAIN),
        "held_out_documents": of(tally.documents, HELD_OUT),
        "held_out_bytes": of(tally.bytes, HELD_OUT),
        "repaired": tally.repaired,
        "removed": removed,
        "unreadable": tally.details[:SHOWN_DETAILS],
        "sources": sources,
    }
