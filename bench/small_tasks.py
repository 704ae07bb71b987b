"""Which benchmarks tell small models apart, and what that costs: the evidence for the task set `small`.

    python bench/small_tasks.py RUN RUN ... --data DIR [--runs DIR] [--tasks NAME,...] [--limit 500] [--seconds 300]

RUNs are finished runs of different size or length of training, the weakest first; the weights are those of `--stage`
(pretrain). Every benchmark that is told by likelihood is put to each of them (kept in the runs as `groundup eval
--tasks` keeps it). For each benchmark and each pair of neighbours the difference is paired by items; a benchmark is
worth the geometric mean of its z-scores, 0 where one of them has the wrong sign, and its share of a minute costs what
it took on the largest run. Prints a table, then the set: the benchmarks that are worth most for their time, as long
as the whole fits in `--seconds` and each separates every pair at z >= 2.
"""

import argparse
import json
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from math import prod
from pathlib import Path
from typing import Any

from groundup.config import Folder, read_toml
from groundup.errors import DataError
from groundup.eval.compare import difference
from groundup.eval.interval import Interval
from groundup.events import SILENT
from groundup.plan.machine import settle
from groundup.recipe import Recipe
from groundup.report.gather import gather
from groundup.stages.benchmarks import Exam, measure
from groundup.stages.results import device_of
from groundup.store import Store
from groundup.tasks.published._base import MultipleChoice, Texts
from groundup.tasks.published._records import LocalRecords
from groundup.tasks.published._sets import Entry, entries

CERTAIN = 2.0
"""Standard errors by which each pair must be apart."""


@dataclass
class Row:
    """One benchmark: z-scores of neighbours by score and by bits of the right answer, and seconds on the last run."""

    name: str
    scores: list[float]
    z_score: list[float]
    z_bits: list[float]
    seconds: float

    @property
    def worth(self) -> float:
        """How far it tells all neighbours apart, by whichever of its two figures does so better."""
        return max(mean(self.z_score), mean(self.z_bits))

    @property
    def separates(self) -> bool:
        """It tells every pair apart."""
        return any(z and min(z) >= CERTAIN for z in (self.z_score, self.z_bits))


def mean(z: list[float]) -> float:
    """The geometric mean; 0 where one has the wrong sign, or there is none."""
    return prod(z) ** (1 / len(z)) if z and min(z) > 0 else 0.0


def z_of(told: Interval | None, sign: int) -> float:
    """By how many standard errors an interval is clear of zero in the expected direction."""
    if told is None or told.high == told.low:
        return 0.0
    return sign * told.value / ((told.high - told.low) / 3.92)


def put(store: Store, stage: str, entry: Entry, records: LocalRecords) -> tuple[dict[str, Any], float]:
    """What a benchmark found of a run, and the seconds it took (0 where it was known)."""
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    began = time.perf_counter()
    with store.locked():
        measure(store, recipe, stage, Exam([entry], records), device_of(store), SILENT)
    return gather(store.root).benchmarks[stage][entry.key], time.perf_counter() - began


def row_of(entry: Entry, stores: list[Store], stage: str, records: LocalRecords) -> Row:
    """One benchmark on every run."""
    found = [put(store, stage, entry, records) for store in stores]
    told = [
        difference(first["items"], second["items"])
        for (first, _), (second, _) in pairwise(found)
    ]  # fmt: skip
    bits = [z_of(each.bits, -1) for each in told if each.bits is not None]
    scores = [z_of(each.score, 1) for each in told if each.score is not None]
    return Row(entry.key, [each["facts"]["score"] for each, _ in found], scores, bits, found[-1][1])


def chosen(rows: list[Row], seconds: float) -> list[Row]:
    """Those that separate every pair, the most worth for their time first, while there is time."""
    kept: list[Row] = []
    for row in sorted(rows, key=lambda row: -row.worth / max(row.seconds, 0.1)):
        if row.separates and sum(each.seconds for each in kept) + row.seconds <= seconds:
            kept.append(row)
    return kept


def main() -> None:
    """Measure, print the table and the set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="RUN")
    parser.add_argument("--runs", type=Path, default=Path("runs"))
    parser.add_argument("--data", type=Path, action="append", required=True)
    parser.add_argument("--stage", default="pretrain")
    parser.add_argument("--tasks", help="else every one that is told by likelihood and has records in --data")
    parser.add_argument("--limit", type=int, default=500)
    parser.add_argument("--seconds", type=float, default=300.0)
    args = parser.parse_args()
    if len(args.names) < 2:
        parser.error("two runs or more are needed to be told apart")
    settle()
    folder = Folder("tasks.published")
    told = [name for name in folder.choices() if issubclass(folder.find(name), MultipleChoice | Texts)]
    stores, records = [Store.open(args.runs, name) for name in args.names], LocalRecords(tuple(args.data))
    rows = []
    print(f"{'task':<16} {'scores':<28} {'z by score':<22} {'z by bits':<22} {'worth':>6} {'s':>6}")
    for entry in entries(args.tasks or ",".join(told), limit=args.limit):
        try:
            row = row_of(entry, stores, args.stage, records)
        except DataError as error:
            print(f"{entry.key:<16} left out: {error}", file=sys.stderr)
            continue
        rows.append(row)
        columns = [" ".join(f"{value:.3f}" for value in row.scores)]
        columns += [" ".join(f"{value:+.1f}" for value in z) for z in (row.z_score, row.z_bits)]
        mark = "*" if row.separates else " "
        print(
            f"{mark}{row.name:<15} {columns[0]:<28} {columns[1]:<22} {columns[2]:<22} {row.worth:>6.1f} "
            f"{row.seconds:>6.1f}", flush=True,
        )  # fmt: skip
    print("\nsmall:", ", ".join(row.name for row in chosen(rows, args.seconds)) or "none separates every pair")
    json.dump([vars(row) | {"worth": row.worth} for row in rows], sys.stderr)


if __name__ == "__main__":
    main()
