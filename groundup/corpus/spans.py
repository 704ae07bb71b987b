"""Long passages that stand in the corpus more than once are cut out of all places but the first (Lee et al. 2022).

A passage is a run of n words. The suffix array of Lee et al. needs nine bytes of memory for each byte of text; here the
same runs are found in memory that does not grow with it. Of each document a few runs of n/2 words are chosen so that
two documents with n words in common have chosen the same one (winnowing: Schleimer, Wilkerson and Aiken 2003). Only
around those that were chosen twice are all runs of n words compared.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyarrow import parquet

from groundup.corpus.crew import Beat, Crew, Job
from groundup.corpus.near import ROWS_AT_ONCE, Keys
from groundup.corpus.tables import BATCH_BITS, Rows
from groundup.corpus.words import Hashes, covered, edges, places, words

# A document of which less is left is removed as a whole; Gopher keeps none below it.
FEWEST_WORDS = 50
WINDOWS = pa.schema([("hash", pa.uint64()), ("key", pa.int64()), ("start", pa.int32())])
CUTS = pa.schema([("key", pa.int64()), ("start", pa.int32())])


@dataclass(frozen=True, slots=True)
class Search:
    """One file of pass 1 to look through: documents that are gone, the prints that occur twice, and what to write."""

    judged: Path
    gone: Keys
    prints: Path
    n: int
    windows: Path


def prints(text: str, n: int) -> Hashes:
    """The chosen runs of n/2 words of a text: of any n words in a row, the run with the smallest hash."""
    grams = words(text).grams(n // 2)
    width = n - n // 2 + 1
    if len(grams) < width:
        return np.empty(0, np.uint64)
    lowest = np.lib.stride_tricks.sliding_window_view(grams, width).argmin(axis=1)
    return grams[np.unique(lowest + np.arange(len(lowest)))]


def repeated_prints(frame: Any, n_rows: int) -> Hashes:
    """The prints that occur more than once, sorted. `frame` is a Daft frame with a `prints` in each row."""
    import daft

    col: Any = daft.col
    parts = 1 + n_rows // ROWS_AT_ONCE
    found = [np.empty(0, np.uint64)]
    for part in range(parts):
        some = frame.where(col("prints") % parts == part) if parts > 1 else frame
        counts = some.groupby("prints").agg(col("prints").count().alias("count")).where(col("count") > 1)
        found.append(counts.select("prints").to_arrow()["prints"].to_numpy())
    return np.sort(np.concatenate(found))


def find_windows(job: Job, _: Beat) -> int:
    """Write every run of n words around a repeated print, for a `Search`; how many there are."""
    plan: Search = job.payload
    repeated, count = np.load(plan.prints), 0
    with Rows(plan.windows, WINDOWS) as rows, parquet.ParquetFile(plan.judged) as file:
        for group in range(file.num_row_groups):
            light = file.read_row_group(group, ["key", "kept"])
            kept = light["kept"].to_numpy() & ~np.isin(light["key"].to_numpy(), plan.gone)
            if not kept.any():
                continue
            texts = file.read_row_group(group, ["text"])["text"]
            places = np.flatnonzero(kept)
            found = [_windows(str(texts[place]), repeated, plan.n) for place in places.tolist()]
            keys = np.repeat(light["key"].to_numpy()[places], [len(starts) for starts, _ in found])
            if len(keys):
                starts, hashes = (np.concatenate(parts) for parts in zip(*found, strict=True))
                rows.extend(hash=hashes, key=keys, start=starts)
                count += len(keys)
    return count


def repeated_windows(paths: Sequence[Path], n_rows: int, first: Keys, out: Path) -> None:
    """Write, for each file of windows, those that stood before as `out/NAME`: the key and the first word of each.

    A window counts as the first where its document is among the keys `first`, else by the order of the keys.
    """
    parts = 1 + n_rows // ROWS_AT_ONCE
    again: list[pa.Table] = []
    for part in range(parts):
        tables = [parquet.read_table(path) for path in paths]
        columns = [pa.concat_tables(tables)[name].to_numpy() for name in WINDOWS.names]
        here = columns[0] % np.uint64(parts) == part
        values, keys, starts = (column[here] for column in columns)
        whole = np.isin(keys, first)
        order = np.concatenate([np.flatnonzero(whole), np.flatnonzero(~whole)])  # each part in the order of the keys
        order = order[np.argsort(values[order], kind="stable")]
        same = np.diff(values[order], prepend=~values[order][:1]) == 0
        again.append(pa.table({"key": keys[order][same], "start": starts[order][same]}, schema=CUTS))
    cuts = pa.concat_tables(again).sort_by([("key", "ascending"), ("start", "ascending")])
    batches = cuts["key"].to_numpy() >> BATCH_BITS
    out.mkdir(exist_ok=True)
    for path in paths:
        low, high = np.searchsorted(batches, [int(path.stem), int(path.stem) + 1])
        if high > low:
            parquet.write_table(cuts.slice(low, high - low), out / path.name)


def find_cuts(
    paths: Sequence[Path], frame: Any, gone: Sequence[int], first: Sequence[int], n: int, work: Path, hands: Crew
) -> Path:
    """Find all repeated runs of n words in the files of pass 1; the folder with a file of cuts for each that has any.

    `frame` is the Daft frame of the documents that are left; `gone` are the keys of those that are not, `first` of
    those that are never cut in favour of another.
    """
    hashes = frame.select("prints").explode("prints")
    repeated = repeated_prints(hashes, hashes.count_rows())
    np.save(work / "prints.npy", repeated)
    dropped = np.array(sorted(gone), np.int64)
    folder = work / "windows"
    folder.mkdir(exist_ok=True)
    searches = []
    for path in paths:
        number = int(path.stem)
        low, high = np.searchsorted(dropped, [number << BATCH_BITS, (number + 1) << BATCH_BITS])
        searches.append(Search(path, dropped[low:high], work / "prints.npy", n, folder / path.name))
    n_rows = sum(count for _, count in hands.run(find_windows, searches))
    repeated_windows([search.windows for search in searches], n_rows, np.array(sorted(first), np.int64), work / "cuts")
    return work / "cuts"


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


def _windows(text: str, repeated: Hashes, n: int) -> tuple[NDArray[np.int32], Hashes]:
    """The start and the hash of every run of n words that holds a run of n/2 words which is repeated."""
    split = words(text)
    grams, runs = split.grams(n // 2), split.grams(n)
    none = np.empty(0, np.int32), np.empty(0, np.uint64)
    if not len(repeated) or not len(runs):
        return none
    at = np.minimum(np.searchsorted(repeated, grams), len(repeated) - 1)
    hits = np.flatnonzero(repeated[at] == grams)
    if not len(hits):
        return none
    holds = np.zeros(len(runs) + 1, np.int32)  # +1 where the first run with a hit begins, -1 behind the last
    np.add.at(holds, np.maximum(hits - (n - n // 2), 0), 1)
    np.add.at(holds, np.minimum(hits + 1, len(runs)), -1)
    starts = np.flatnonzero(np.cumsum(holds[:-1])).astype(np.int32)
    return starts, runs[starts]
