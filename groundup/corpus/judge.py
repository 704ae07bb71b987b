"""Pass 1: read a batch of shards, repair each document, judge it, and write a row on it, whatever became of it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np

from groundup.corpus.crew import Beat, Fault, Job
from groundup.corpus.document import KEPT, Document, Filter, Found, Raw, Shard, Source, Unreadable, Verdict
from groundup.corpus.minhash import bands, minima, runs
from groundup.corpus.repair import repair
from groundup.corpus.settings import Corpus
from groundup.corpus.spans import prints
from groundup.corpus.tables import BATCH_BITS, JUDGED, LABELS, Rows

# Bytes of a row group: pass 2 reads single texts again.
RANDOM_BYTES = 512 << 10
# Ranks documents that are not pinned to the held-out split behind all that are, and an earlier corpus before all.
BEHIND = 1 << 62


@dataclass(frozen=True, slots=True)
class Batch:
    """What one worker reads at a time and publishes as one file: shards with their sources, and earlier skips.

    The documents of an `earlier` corpus are compared with and published no more.
    """

    number: int
    pieces: tuple[tuple[Source, Shard], ...]
    skipped: tuple[tuple[str, Unreadable], ...]
    settings: Corpus
    path: Path
    earlier: bool = False


@dataclass(slots=True)
class Counts:
    """What became of a batch: documents that were judged, how many of them were kept."""

    judged: int = 0
    kept: int = 0


def judge_batch(job: Job, beat: Beat) -> Counts:
    """Write the file of a `Batch`. Items are counted through the batch; those with a fault are stepped over."""
    batch: Batch = job.payload
    counts = Counts()
    with Rows(batch.path, JUDGED, RANDOM_BYTES) as rows:
        place = batch.number << BATCH_BITS
        for label, problem in batch.skipped:
            _add_unreadable(rows, place, label, problem)
            place += 1
        for item, (source, found) in enumerate(_items(batch, job.faults, beat)):
            if isinstance(found, Raw):
                beat.at(item, "judging")
                found = found.blank if item in job.faults else found.taken()
            if isinstance(found, Unreadable):
                _add_unreadable(rows, place, source.label, found)
            else:
                beat.at(item, "judging")
                counts.judged += 1
                counts.kept += _add_document(rows, place, source, found, batch, job.faults.get(item))
            place += 1
    return counts


def _items(batch: Batch, faults: dict[int, Fault], beat: Beat) -> Iterator[tuple[Source, Found]]:
    """Everything in the batch, each item announced before it is read; a shard ends at a fault of reading."""
    item = 0
    for source, shard in batch.pieces:
        found = source.read(shard)
        while True:
            fault = faults.get(item)
            if fault is not None and fault.phase == "reading":
                yield source, _lost(shard, fault.reason, "its reader was lost there; leave the rest of it out")
                item += 1
                break
            beat.at(item, "reading")
            try:
                read = next(found, None)
            except Exception as error:
                yield source, _lost(shard, "reader_error", f"{type(error).__name__}: {error}")
                item += 1
                break
            if read is None:
                break
            yield source, read
            item += 1


def _lost(shard: Shard, reason: str, why: str) -> Unreadable:
    return Unreadable(shard.id, shard.path, reason, f"{shard.path}: {why}")


def _add_unreadable(rows: Rows, place: int, label: str, problem: Unreadable) -> None:
    rows.add(
        len(problem.detail),
        key=place,
        rank=place,
        id=_clean(problem.id),
        source=label,
        path=_clean(problem.path),
        kept=False,
        reason=problem.reason,
        value=0.0,
        threshold=0.0,
        detail=_clean(problem.detail),
        repaired=False,
        masked=0,
        earlier=False,
        bytes=0,
        text="",
    )


def _add_document(
    rows: Rows, place: int, source: Source, document: Document, batch: Batch, fault: Fault | None
) -> bool:
    """Judge the document and add its row; whether it is kept."""
    settings = batch.settings
    document, verdict = _judged(document, () if batch.earlier else cast(Sequence[Filter], settings.filters), fault)
    document = replace(document, id=_clean(document.id), path=_clean(document.path), text=_clean(document.text))
    encoded = document.text.encode()
    pinned = None if batch.earlier else settings.held_out.pinned(source, document.id)
    salt = "" if settings.dedup.across else document.source
    compared = verdict.kept and settings.dedup.near > 0
    signature = minima(runs(document.text), settings.dedup.near) if compared else np.empty(0, np.uint32)
    rows.add(
        len(encoded),
        key=place,
        rank=place - BEHIND if batch.earlier else place if pinned else place + BEHIND,
        id=document.id,
        source=document.source,
        path=document.path,
        kept=verdict.kept,
        reason=verdict.reason,
        value=verdict.value,
        threshold=verdict.threshold,
        detail=verdict.detail,
        repaired=document.repaired,
        pinned=pinned,
        bytes=len(encoded),
        content=_digest(document.text),
        earlier=batch.earlier,
        copy=_digest(f"{salt}\0{' '.join(document.text.lower().split())}") if verdict.kept else None,
        bands=bands(signature, settings.dedup.near, salt) if compared else None,
        minima=signature.astype(np.uint8).tobytes(),
        prints=prints(document.text, settings.dedup.spans) if verdict.kept and settings.dedup.spans else None,
        text=document.text,
        **{name: getattr(document, name) for name, _ in LABELS},
    )
    return verdict.kept


def _judged(document: Document, filters: Sequence[Filter], fault: Fault | None) -> tuple[Document, Verdict]:
    """The document as the filters leave it, and the first drop in their order."""
    if fault is not None:
        return replace(document, text=""), Verdict(False, fault.reason)
    try:
        text, mojibake = repair(document.text)
        document = replace(document, text=text, repaired=document.repaired or mojibake)
        for each in filters:
            verdict = each.judge(document)
            document = verdict.document or document
            if not verdict.kept:
                return document, verdict
    except Exception as error:
        return document, Verdict(False, "filter_error", detail=f"{type(error).__name__}: {error}")
    return document, KEPT


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


def _clean(text: str) -> str:
    """The text with lone surrogates (paths that are no UTF-8) replaced, so that it can be written."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
