"""The three passes, with Parquet between: what a user's data goes through before anything learns from it.

    1  judge    per batch of shards, in worker processes: read, repair, filter; a row for EVERY document
    2  relate   on Daft, over rows without texts: copies, the held-out split, near copies across it
    3  publish  per batch: documents/ and removed/, sorted by id

A batch is published whole or not at all, so a build that was killed goes on where it was. What is written does not
depend on the number of workers, to the last byte.
"""

import json
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal, cast

from groundup.config import fingerprint
from groundup.corpus.crew import Crew, crew, usable_cores
from groundup.corpus.dedup import Decisions, relate
from groundup.corpus.document import Document, Filter, Unreadable
from groundup.corpus.judge import Batch, judge_batch
from groundup.corpus.publish import Publication, publish_batch, read_documents
from groundup.corpus.settings import Corpus
from groundup.corpus.sources._base import Opened, open_specs
from groundup.corpus.tables import room_on
from groundup.corpus.tally import Tally, examples_of, facts_of
from groundup.errors import DataError
from groundup.events import SILENT, Reporter

Engine = Literal["native", "ray"]
# Changed when the same input would give other documents.
VERSION = 4
# Input bytes in a batch: enough batches to keep workers busy, few enough files.
BATCH_BYTES, BATCHES = (1 << 20, 64 << 20), 64
# No document is worth more time than this; a page that hangs the HTML reader is left out.
ITEM_SECONDS = 60.0


def build(
    specs: Sequence[str],
    *,
    settings: Corpus,
    out: Path,
    workers: int | None = None,
    progress: Reporter = SILENT,
    item_seconds: float = ITEM_SECONDS,
    engine: Engine = "native",
) -> dict[str, Any]:
    """Turn every `--data` into `out/documents`, `out/removed` and `out/facts.json`; returns the facts.

    Beside them `out/examples.json` holds up to twenty removed documents for each reason, as they begin.
    `workers` is the number of processes, by default that of the cores it may use; the engine `ray` takes what its
    cluster has. A document that crashes its worker, or keeps it for `item_seconds`, is removed as `crashed` or
    `timed_out`. Raises DataError when there is no data, or too little to learn from and to measure on; ConfigError or
    DataError when a filter lacks a file that it needs; ResourceError when the disk is full or workers keep dying;
    UnsupportedError where Ray is not installed.
    """
    opened = open_specs(specs, settings.extract, progress=progress)
    earlier = open_specs(settings.dedup.earlier) if settings.dedup.earlier else []
    filters = cast(Sequence[Filter], settings.filters)
    for each in filters:
        each.check()
    files = [[file, Path(file).expanduser().stat().st_mtime_ns] for each in filters for file in each.files()]
    work = out / "work" / fingerprint([VERSION, inputs(opened), inputs(earlier), settings.tree(), files])
    with room_on(out), _crew(engine, workers or usable_cores(), item_seconds) as hands:
        _clear(out, keep=work)
        template = Batch(0, (), (), settings, work)
        batches = _batches(opened, template)
        old = _batches(earlier, replace(template, earlier=True), first=len(batches))
        _judge(hands, [*batches, *old], progress)
        with progress.task("copies and split") as bar:
            decisions = relate([batch.path for batch in (*batches, *old)], settings, hands)
            bar.advance()
        tally = _publish(hands, batches, decisions, work, progress)
        facts = facts_of(opened, settings, tally)
        for name in ("documents", "removed"):
            (work / name).rename(out / name)
        for name, value in (("examples", examples_of(tally)), ("facts", facts)):
            (out / f"{name}.json").write_text(json.dumps(value, indent=1, ensure_ascii=False), encoding="utf-8")
        shutil.rmtree(out / "work")
    return facts


def _crew(engine: Engine, workers: int, item_seconds: float) -> AbstractContextManager[Crew]:
    if engine == "native":
        return crew(workers, item_seconds)
    from groundup.corpus.cluster import ray_crew

    return ray_crew(item_seconds)


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


def _batches(opened: Sequence[Opened], template: Batch, first: int = 0) -> list[Batch]:
    """Shards in batches of equal size, in the order given, numbered from `first`; else as the template says.

    Depends on the input alone, never on the workers.
    """
    if not opened:
        return []
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
        replace(
            template,
            number=number,
            pieces=tuple(group),
            skipped=() if number > first else skipped,
            path=template.path / f"{number:05d}.parquet",
        )
        for number, group in enumerate(groups, first)
    ]


def _judge(hands: Crew, batches: Sequence[Batch], progress: Reporter) -> None:
    """Pass 1 over the batches that a killed build has not left behind."""
    missing = [batch for batch in batches if not batch.path.exists()]
    sizes = [sum(shard.bytes for _, shard in batch.pieces) for batch in missing]
    judged, kept, start = 0, 0, time.monotonic()
    with progress.task("read and filter", total=sum(sizes), unit="bytes") as bar:
        for number, counts in hands.run(judge_batch, missing):
            judged, kept = judged + counts.judged, kept + counts.kept
            rate, dropped = judged / (time.monotonic() - start), 1 - kept / max(1, judged)
            bar.advance(sizes[number], **{"documents/s": rate, "dropped": dropped})


def _publish(hands: Crew, batches: Sequence[Batch], decisions: Decisions, work: Path, progress: Reporter) -> Tally:
    """Pass 3."""
    for name in ("documents", "removed"):
        (work / name).mkdir()
    plans = [
        Publication(
            batch.path,
            part,
            work / "documents" / batch.path.name,
            work / "removed" / batch.path.name,
            batch.settings.dedup.spans,
        )
        for batch, part in zip(batches, decisions.by_batch(len(batches)), strict=True)
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
