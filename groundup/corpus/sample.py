"""A few texts from all over a source, read as a build reads them: a page that kills its parser kills a worker."""

from collections.abc import Sequence
from dataclasses import dataclass

from groundup.corpus.crew import IDLE, Beat, Crew, Job
from groundup.corpus.document import Document, Raw, Shard, Source
from groundup.corpus.judge import read_items

SHARDS = 64
# No single document may hold up a forecast for longer.
ITEM_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Look:
    """What to look at: shards with their source, and how much: letters in all, and of one text."""

    pieces: tuple[tuple[Source, Shard], ...]
    room: int
    most: int


@dataclass(frozen=True, slots=True)
class Sample:
    """Texts, and the bytes of text a stored byte where they are taken out of pages, papers and the like, else 0."""

    texts: tuple[str, ...]
    ratio: float


def sample(source: Source, shards: Sequence[Shard], room: int, most: int, hands: Crew) -> Sample:
    """About `room` letters of a source, at most `most` of one text.

    What a file may crash or hang is read by `hands`; a document that does so is left out.
    """
    if room <= 0:
        return Sample((), 0.0)
    chosen = shards[:: max(1, len(shards) // SHARDS)]
    look = Look(tuple((source.reader(), shard) for shard in chosen), room, most)
    if not source.fragile:
        return take(Job(0, look), Beat([IDLE, 0.0, IDLE]))
    found: Sample = next(iter(hands.run(take, [look])))[1]
    return found


def take(job: Job, beat: Beat) -> Sample:
    """The sample of a `Look`; items with a fault are stepped over."""
    look: Look = job.payload
    texts: list[str] = []
    room, out, stored, taken, here = look.room, 0, 0, 0, 0
    for item, (number, found) in enumerate(read_items(look.pieces, job.faults, beat)):
        if number != here:  # what was read to its end tells what such shards hold
            out, stored = out + taken, stored + sum(shard.bytes for _, shard in look.pieces[here:number])
            taken, here = 0, number
        if item in job.faults:
            continue
        document = found
        if isinstance(found, Raw):
            beat.at(item, "judging")
            document = found.taken()
        if isinstance(document, Document):
            texts.append(document.text[: look.most])
            taken += len(document.text) if isinstance(found, Raw) else 0
            room -= len(texts[-1])
        if room <= 0:
            break
    else:
        out, stored = out + taken, stored + sum(shard.bytes for _, shard in look.pieces[here:])
    return Sample(tuple(texts), out / max(1, stored))
