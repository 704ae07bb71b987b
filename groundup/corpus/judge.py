"""Pass 1: read a batch of shards, repair each document, judge it, and write a row on it, whatever became of it."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import numpy as np

from groundup.corpus.crew import Beat, Fault, Job
from groundup.corpus.document import KEPT, Document, Filter, Found, Raw, Shard, Source, Unreadable, Verdict
from groundup.corpus.minhash import bands, minima, runs
from groundup.corpus.repair import repair
from groundup.corpus.settings import Corpus
from groundup.corpus.spans import prints
from groundup.corpus.tables import BATCH_BITS, JUDGED, LABELS, LOST, UNREAD, Rows
from groundup.corpus.words import folded

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
        for item, (piece, found) in enumerate(read_items(batch.pieces, job.faults, beat)):
            source = batch.pieces[piece][0]
            if isinstance(found, Raw):
                beat.at(item, "judging")
                found = found.blank if item in job.faults else found.taken()
            if isinstance(found, Unreadable):
                _add_unreadable(rows, place, source.label, found)
            else:
                beat.at(item, "judging")
                judged = _judged(found, batch, job.faults.get(item))
                counts.judged += 1
                counts.kept += judged.verdict.kept
                _add_document(rows, place, source, judged, batch)
                for cut in judged.cuts:
                    place += 1
                    _add_cut(rows, place, judged.document, cut)
            place += 1
    return counts


def read_items(
    pieces: Sequence[tuple[Source, Shard]], faults: dict[int, Fault], beat: Beat
) -> Iterator[tuple[int, Found]]:
    """Everything in some shards, with the place of its shard among them.

    Each item is announced before it is read; a shard ends at a fault of reading.
    """
    item = 0
    for place, (source, shard) in enumerate(pieces):
        found = source.read(shard)
        while True:
            fault = faults.get(item)
            if fault is not None and fault.phase == "reading":
                yield place, _lost(shard, fault.reason, "its reader was lost there; leave the rest of it out")
                item += 1
                break
            beat.at(item, "reading")
            try:
                read = next(found, None)
            except Exception as error:
                yield place, _lost(shard, "reader_error", f"{type(error).__name__}: {error}")
                item += 1
                break
            if read is None:
                break
            yield place, read
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
        step=UNREAD,
        reason=problem.reason,
        value=0.0,
        threshold=0.0,
        detail=_clean(problem.detail),
        repaired=False,
        masked=0,
        earlier=False,
        bytes=0,
        read_bytes=0,
        text="",
    )


@dataclass(slots=True)
class _Judged:
    """A document as the filters leave it, the first drop in their order, its step, and what was cut before that."""

    document: Document
    read_bytes: int = 0
    verdict: Verdict = KEPT
    step: str = ""
    cuts: list[tuple[str, Verdict]] = field(default_factory=list)

    def dropped(self, verdict: Verdict, step: str) -> "_Judged":
        """The same, with a drop."""
        self.verdict, self.step = verdict, step
        return self


def _judged(document: Document, batch: Batch, fault: Fault | None) -> _Judged:
    """The document after repair and all filters."""
    if fault is not None:
        return _Judged(replace(document, text="")).dropped(Verdict(False, fault.reason), LOST)
    filters = () if batch.earlier else cast(Sequence[Filter], batch.settings.filters)
    judged, step = _Judged(document), "repair"
    try:
        text, mojibake = repair(document.text)
        judged.document = document = replace(document, text=text, repaired=document.repaired or mojibake)
        judged.read_bytes = len(text) if text.isascii() else len(text.encode())
        for each in filters:
            step = each.name
            verdict = each.judge(document)
            judged.document = document = verdict.document or document
            if verdict.cut:
                judged.cuts.append((step, verdict))
            if not verdict.kept:
                return judged.dropped(verdict, step)
    except Exception as error:
        return judged.dropped(Verdict(False, "filter_error", detail=f"{type(error).__name__}: {error}"), step)
    return judged


def _add_document(rows: Rows, place: int, source: Source, judged: _Judged, batch: Batch) -> None:
    """Write the row of a document, with what pass 2 compares it by."""
    settings, document, verdict = batch.settings, judged.document, judged.verdict
    document = replace(document, id=_clean(document.id), path=_clean(document.path))
    try:
        encoded = document.text.encode()
    except UnicodeEncodeError:  # a lone surrogate, which no document has but one that could not be repaired
        document = replace(document, text=_clean(document.text))
        encoded = document.text.encode()
    pinned = None if batch.earlier else settings.held_out.pinned(source, document.id)
    salt = "" if settings.dedup.across else document.source
    compared = verdict.kept and settings.dedup.near > 0
    signature = minima(runs(document.text), settings.dedup.near) if compared else np.empty(0, np.uint32)
    rows.add(
        len(encoded),
        key=place,
        rank=place - BEHIND if batch.earlier else place if pinned else place + BEHIND,
        kept=verdict.kept,
        step=judged.step,
        pinned=pinned,
        bytes=len(encoded),
        read_bytes=judged.read_bytes,
        content=_digest(encoded),
        earlier=batch.earlier,
        copy=_digest(f"{salt}\0".encode() + folded(document.text)) if verdict.kept else None,
        bands=bands(signature, settings.dedup.near, salt) if compared else None,
        minima=signature.astype(np.uint8).tobytes(),
        prints=prints(document.text, settings.dedup.spans) if verdict.kept and settings.dedup.spans else None,
        text=document.text,
        **_known(document, verdict),
    )


def _add_cut(rows: Rows, place: int, document: Document, cut: tuple[str, Verdict]) -> None:
    """Write the row of the passages that a filter cut out of a document."""
    step, verdict = cut
    text = _clean(verdict.cut)
    size = len(text.encode())
    known = {**_known(document, verdict), "id": f"{_clean(document.id)}#cut"}
    rows.add(size, key=place, rank=place, kept=False, step=step, earlier=False, bytes=size, text=text, **known)


def _known(document: Document, verdict: Verdict) -> dict[str, Any]:
    """The columns that say what a document is and what was decided."""
    return {
        "id": document.id,
        "source": document.source,
        "path": _clean(document.path),
        "reason": verdict.reason,
        "value": verdict.value,
        "threshold": verdict.threshold,
        "detail": verdict.detail,
        "repaired": document.repaired,
        **{name: getattr(document, name) for name, _ in LABELS},
    }


def _digest(data: bytes) -> str:
    return hashlib.blake2b(data, digest_size=16).hexdigest()


def _clean(text: str) -> str:
    """The text with lone surrogates (paths that are no UTF-8) replaced, so that it can be written."""
    return text if text.isascii() else text.encode("utf-8", "replace").decode()
