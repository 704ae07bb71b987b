"""Pass 1: read a batch of shards, repair each document, judge it, and write a row on it, whatever became of it."""

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from groundup.corpus.crew import Beat, Fault, Job
from groundup.corpus.document import KEPT, Document, Filter, Shard, Source, Unreadable, Verdict
from groundup.corpus.repair import repair
from groundup.corpus.split import HeldOut
from groundup.corpus.tables import BATCH_BITS, JUDGED, Rows
from groundup.corpus.words import Hashes, distinct, words

# Likeness is that of the sets of runs of 5 words, as in Lee et al. 2022 ("Deduplicating training data makes language
# models better"). The sketch of a set is its smallest hashes (MinHash as MIN_s in Broder 1997).
RUN_WORDS = 5
SKETCH_HASHES = 64
# Ranks documents that are not pinned to the held-out split behind all that are.
BEHIND = 1 << 62


@dataclass(frozen=True, slots=True)
class Batch:
    """What one worker reads at a time and publishes as one file: shards with their sources, and earlier skips."""

    number: int
    pieces: tuple[tuple[Source, Shard], ...]
    skipped: tuple[tuple[str, Unreadable], ...]
    filters: tuple[Filter, ...]
    held_out: HeldOut
    path: Path


def judge_batch(job: Job, beat: Beat) -> None:
    """Write the file of a `Batch`. Items are counted through the batch; those with a fault are stepped over."""
    batch: Batch = job.payload
    with Rows(batch.path, JUDGED) as rows:
        place = batch.number << BATCH_BITS
        for label, problem in batch.skipped:
            _add_unreadable(rows, place, label, problem)
            place += 1
        for item, (source, found) in enumerate(_items(batch, job.faults, beat)):
            if isinstance(found, Unreadable):
                _add_unreadable(rows, place, source.label, found)
            else:
                beat.at(item, "judging")
                _add_document(rows, place, source, found, batch, job.faults.get(item))
            place += 1


def _items(batch: Batch, faults: dict[int, Fault], beat: Beat) -> Iterator[tuple[Source, Document | Unreadable]]:
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
        bytes=0,
        text="",
    )


def _add_document(
    rows: Rows, place: int, source: Source, document: Document, batch: Batch, fault: Fault | None
) -> None:
    text, repaired, detail = document.text, document.repaired, ""
    if fault is not None:
        verdict, text = Verdict(False, fault.reason), ""
    else:
        try:
            text, mojibake = repair(text)
            repaired = repaired or mojibake
            verdict = _verdict(Document(document.id, text, document.source, document.path), batch.filters)
        except Exception as error:
            verdict, detail = Verdict(False, "filter_error"), f"{type(error).__name__}: {error}"
            text = _clean(text)
    name = _clean(document.id)
    encoded = text.encode()
    pinned = batch.held_out.pinned(source, name)
    rows.add(
        len(encoded),
        key=place,
        rank=place if pinned else place + BEHIND,
        id=name,
        source=document.source,
        path=_clean(document.path),
        kept=verdict.kept,
        reason=verdict.reason,
        value=verdict.value,
        threshold=verdict.threshold,
        detail=detail,
        repaired=repaired,
        pinned=pinned,
        bytes=len(encoded),
        content=hashlib.blake2b(encoded, digest_size=16).hexdigest(),
        sketch=sketch(text)[:SKETCH_HASHES] if verdict.kept else None,
        text=text,
    )


def _verdict(document: Document, filters: tuple[Filter, ...]) -> Verdict:
    """The first drop, in the order of the filters."""
    return next((verdict for each in filters if not (verdict := each.judge(document)).kept), KEPT)


def sketch(text: str) -> Hashes:
    """The set of a text's runs of five words as sorted hashes; of a shorter text, that of its single words."""
    split = words(text)
    return distinct(split.grams(RUN_WORDS) if len(split.hashes) >= RUN_WORDS else split.hashes)


def _clean(text: str) -> str:
    """The text with lone surrogates (paths that are no UTF-8) replaced, so that it can be written."""
    return text.encode("utf-8", "replace").decode()
