"""Long passages that stand in the corpus more than once are cut out of all places but the first (Lee et al. 2022).

A passage is a run of n words. The suffix array of Lee et al. needs nine bytes of memory for each byte of text; here the
same runs are found in memory that does not grow with it. In each run of n words the run of n/2 with the smallest hash
is its print (winnowing: Schleimer, Wilkerson and Aiken 2003): the same passage has the same print wherever it stands.
Only runs whose print occurs twice are compared. Prints and runs are sorted into parts by their hash, file by file, and
then each part by itself is compared over all files, so that no worker holds more than one file or one part.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from groundup.corpus.crew import Beat, Crew, Job
from groundup.corpus.near import Keys
from groundup.corpus.tables import BATCH_BITS, Rows, aside
from groundup.corpus.words import Hashes, covered, edges, places, words

# A document of which less is left is removed as a whole; Gopher keeps none below it.
FEWEST_WORDS = 50
# Prints and windows that a worker compares at a time: 30 and 50 bytes each. A print stands for this much text, or more.
PRINTS_AT_ONCE, WINDOWS_AT_ONCE = 8_000_000, 4_000_000
BYTES_OF_A_PRINT = 64
PRINTS = pa.schema([("hash", pa.uint64())])
WINDOWS = pa.schema([("hash", pa.uint64()), ("key", pa.int64()), ("start", pa.int32())])
CUTS = pa.schema([("key", pa.int64()), ("start", pa.int32())])


@dataclass(frozen=True, slots=True)
class Search:
    """One file of pass 1 to look through, the documents that are gone, and the file to write, in so many parts.

    For windows also the file with the prints that occur twice, and the words of a window.
    """

    judged: Path
    gone: Keys
    parts: int
    out: Path
    prints: Path | None = None
    n: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """One part of the hashes in some files, and the file to write; for windows also the keys of what is never cut."""

    files: tuple[Path, ...]
    part: int
    out: Path
    first: Path | None = None


def prints(text: str, n: int) -> Hashes:
    """The prints of all runs of n words of a text, one that several runs in a row share once."""
    grams = words(text).grams(n // 2)
    return grams[_single(_print_places(grams, n))]


def find_prints(job: Job, _: Beat) -> None:
    """Write the prints of the documents of a `Search`."""
    plan: Search = job.payload
    found = [np.empty(0, np.uint64)]
    with parquet.ParquetFile(plan.judged) as file:
        for batch in file.iter_batches(columns=["key", "kept", "prints"]):
            left = batch.filter(pa.array(_left(batch, plan.gone)))
            found.append(left["prints"].flatten().to_numpy())
    _write_parts(plan, PRINTS, hash=np.concatenate(found))


def compare_prints(job: Job, _: Beat) -> int:
    """Save the prints of a `Comparison` that occur more than once, sorted; how often they do in all."""
    plan: Comparison = job.payload
    ordered = np.sort(_read_part(plan.files, plan.part)["hash"].to_numpy())
    starts = np.flatnonzero(np.diff(ordered, prepend=~ordered[:1]))
    counts = np.diff(starts, append=len(ordered))
    with aside(plan.out) as place, place.open("wb") as out:
        np.save(out, ordered[starts[counts > 1]])
    return int(counts[counts > 1].sum())


def find_windows(job: Job, _: Beat) -> None:
    """Write every run of n words whose print is repeated in the documents of a `Search`."""
    plan: Search = job.payload
    assert plan.prints is not None
    repeated = np.load(plan.prints, mmap_mode="r")
    found = [(np.empty(0, np.int64), np.empty(0, np.int32), np.empty(0, np.uint64))]
    with parquet.ParquetFile(plan.judged) as file:
        for group in range(file.num_row_groups):
            light = file.read_row_group(group, ["key", "kept"])
            keys, left = light["key"].to_numpy(), np.flatnonzero(_left(light, plan.gone))
            texts = file.read_row_group(group, ["text"])["text"] if len(left) else []
            for place in left.tolist():
                starts, hashes = _windows(str(texts[place]), repeated, plan.n)
                found.append((np.full(len(starts), keys[place]), starts, hashes))
    keys, starts, hashes = (np.concatenate(column) for column in zip(*found, strict=True))
    _write_parts(plan, WINDOWS, hash=hashes, key=keys, start=starts)


def compare_windows(job: Job, _: Beat) -> None:
    """Write the windows of a `Comparison` that stood before: key and first word, a row group for each file in order.

    A window counts as the first where its document is never cut, else by the order of the keys.
    """
    plan: Comparison = job.payload
    assert plan.first is not None
    table = _read_part(plan.files, plan.part)
    hashes, keys, starts = (table[name].to_numpy() for name in WINDOWS.names)
    whole = np.isin(keys, np.load(plan.first))
    order = np.concatenate([np.flatnonzero(whole), np.flatnonzero(~whole)])  # each part in the order of the keys
    order = order[np.argsort(hashes[order], kind="stable")]
    again = np.zeros(len(order), bool)
    again[order[1:]] = np.diff(hashes[order]) == 0
    keys, starts = keys[again], starts[again]
    edges = np.searchsorted(keys, np.arange(len(plan.files) + 1) << BATCH_BITS).tolist()
    with Rows(plan.out, CUTS, compressed=False) as rows:
        for low, high in pairwise(edges):
            rows.extend(key=keys[low:high], start=starts[low:high])


def find_cuts(
    paths: Sequence[Path], n_bytes: int, gone: Sequence[int], first: Sequence[int], n: int, hands: Crew
) -> Path:
    """Find all repeated runs of n words in the files of pass 1, which hold so many bytes of text and bear their number.

    `gone` are the keys of documents that are left out, `first` of those that are never cut in favour of another. The
    folder from which `read_cuts` reads the runs is beside the files.
    """
    work = paths[0].parent
    for name in ("prints", "windows", "cuts"):
        (work / name).mkdir(exist_ok=True)
    dropped = np.array(sorted(gone), np.int64)
    edges = np.searchsorted(dropped, np.arange(len(paths) + 1) << BATCH_BITS).tolist()
    parts = 1 + n_bytes // BYTES_OF_A_PRINT // PRINTS_AT_ONCE
    searches = [
        Search(path, dropped[low:high], parts, work / "prints" / path.name)
        for path, (low, high) in zip(paths, pairwise(edges), strict=True)
    ]
    list(hands.run(find_prints, searches))
    files = tuple(search.out for search in searches)
    found = [Comparison(files, part, work / "prints" / f"{part:05d}.npy") for part in range(parts)]
    count = sum(count for _, count in hands.run(compare_prints, found))
    np.save(work / "prints.npy", np.concatenate([np.load(each.out) for each in found]))
    np.save(work / "first.npy", np.array(sorted(first), np.int64))
    # A print is that of (n - n/2 + 2) / 2 windows in a row on average.
    parts = 1 + count * (n - n // 2 + 2) // 2 // WINDOWS_AT_ONCE
    searches = [
        replace(each, parts=parts, out=work / "windows" / each.out.name, prints=work / "prints.npy", n=n)
        for each in searches
    ]
    list(hands.run(find_windows, searches))
    files = tuple(search.out for search in searches)
    out = work / "cuts"
    found = [Comparison(files, part, out / f"{part:05d}.parquet", work / "first.npy") for part in range(parts)]
    list(hands.run(compare_windows, found))
    return out


def read_cuts(folder: Path, number: int) -> tuple[Keys, NDArray[np.int32]]:
    """The runs to cut in the documents of one file of pass 1: keys and first words, in order."""
    table = _read_part(sorted(folder.glob("*.parquet")), number)
    keys, starts = (table[name].to_numpy() for name in CUTS.names)
    order = np.lexsort((starts, keys))
    return keys[order], starts[order]


def cut(text: str, starts: NDArray[np.int32], n: int) -> tuple[str, str]:
    """What is left of a text without the runs of `n` words that begin at these words, and what was cut, parts by lines.

    >>> cut("One two. Three four five, six", np.array([1], np.int32), 3)
    ('One five, six', 'two. Three four ')
    """
    begins, _ = places(text)
    data = text.encode()
    marked = np.zeros(len(begins) - n + 1, bool)
    marked[starts] = True
    bounds = np.append(begins, len(data))[edges(covered(marked, n))].tolist()
    left, gone, last = [], [], 0
    for start, end in zip(bounds[::2], bounds[1::2], strict=True):
        left.append(data[last:start])
        gone.append(data[start:end])
        last = end
    return b"".join([*left, data[last:]]).decode(), b"\n".join(gone).decode()


def _left(rows: Any, gone: Keys) -> NDArray[np.bool_]:
    """Which rows of a file of pass 1 are documents that are left."""
    kept = rows["kept"].to_numpy(zero_copy_only=False) if isinstance(rows, pa.RecordBatch) else rows["kept"].to_numpy()
    left: NDArray[np.bool_] = kept & ~np.isin(rows["key"].to_numpy(), gone)
    return left


def _write_parts(plan: Search, schema: pa.Schema, **columns: NDArray[Any]) -> None:
    """Write columns with a `hash` among them, a row group for each part: parts in the order of the hashes."""
    part = (columns["hash"] >> np.uint64(32)) * np.uint64(plan.parts) >> np.uint64(32)
    with Rows(plan.out, schema, compressed=False) as rows:
        for number in range(plan.parts):
            here = part == number
            rows.extend(**{name: column[here] for name, column in columns.items()})


def _read_part(files: Sequence[Path], part: int) -> pa.Table:
    """The row groups of one part, file by file."""
    return pa.concat_tables([parquet.ParquetFile(path).read_row_group(part) for path in files])


def _windows(text: str, repeated: Hashes, n: int) -> tuple[NDArray[np.int32], Hashes]:
    """The start and the hash of every run of n words whose print is repeated."""
    split = words(text)
    grams = split.grams(n // 2)
    at = _print_places(grams, n)
    if not len(repeated) or not len(at):
        return np.empty(0, np.int32), np.empty(0, np.uint64)
    chosen = _single(at)
    hashes = grams[chosen]
    hit = np.zeros(len(grams), bool)
    hit[chosen] = repeated[np.minimum(np.searchsorted(repeated, hashes), len(repeated) - 1)] == hashes
    starts = np.flatnonzero(hit[at]).astype(np.int32)
    return starts, split.grams(n)[starts]


def _print_places(grams: Hashes, n: int) -> NDArray[np.int64]:
    """Where, among the runs of n/2 words, the print of each run of n words is: the smallest, the first of equals."""
    width = n - n // 2 + 1
    if len(grams) < width:
        return np.empty(0, np.int64)
    # The last bits of each hash give way to its place, so that the smallest of a window is found with it, by doubling.
    mask = np.uint64((1 << len(grams).bit_length()) - 1)
    lowest, reach = (grams & ~mask) | np.arange(len(grams), dtype=np.uint64), 1
    while reach < width:
        step = min(reach, width - reach)
        lowest = np.minimum(lowest[:-step], lowest[step:])
        reach += step
    return (lowest & mask).astype(np.int64)


def _single(at: NDArray[np.int64]) -> NDArray[np.int64]:
    """The places in order, each once."""
    return at[np.diff(at, prepend=-1) != 0]
