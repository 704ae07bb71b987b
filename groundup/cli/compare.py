"""two models on the same benchmark items: paired differences, with intervals

Each is a run, or RUN:STAGE. What `groundup eval --tasks` found of both is compared, item by item; B minus A. A
difference is marked * when its 95 % interval is clear of zero.

  groundup compare mine other
  groundup compare mine:sft mine:grpo --tasks arc_easy
"""

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from groundup.cli import print_json

if TYPE_CHECKING:
    from groundup.eval.compare import Difference


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("first", metavar="A", help="RUN or RUN:STAGE (else the last stage that was measured)")
    parser.add_argument("second", metavar="B", help="RUN or RUN:STAGE")
    parser.add_argument("--tasks", metavar="NAME,...", help="only these (else all that both were asked)")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Compare. Raises DataError where nothing was asked of both."""
    from groundup.errors import DataError, nearest
    from groundup.eval.compare import difference

    first, second = (_measured(args.runs, word) for word in (args.first, args.second))
    both = [key for key in first if key in second]
    wanted = both if args.tasks is None else [word.strip() for word in args.tasks.split(",")]
    unknown = [key for key in wanted if key not in both]
    if unknown:
        raise DataError(f"{unknown[0]!r} was not asked of both; {nearest(unknown[0], both)}")
    if not wanted:
        raise DataError(
            f"no benchmark was put to both {args.first} and {args.second}; `groundup eval RUN --tasks small` does so"
        )
    found = {key: difference(first[key]["items"], second[key]["items"]) for key in wanted}
    if args.json:
        print_json({"first": args.first, "second": args.second, "tasks": _facts(found, first, second)})
    else:
        _print(found, first, second)
    return 0


def _measured(runs: Path, word: str) -> dict[str, Any]:
    """What benchmarks found of a run's stage. Raises StoreError where none was put to it."""
    from groundup.errors import StoreError
    from groundup.report.gather import gather
    from groundup.stages.results import CHAT_STAGES
    from groundup.store import Store

    name, _, stage = word.partition(":")
    store = Store.open(runs, name)
    kept = gather(store.root).benchmarks
    wanted = [stage] if stage else list(CHAT_STAGES)
    found = next((kept[each] for each in wanted if each in kept), None)
    if found is None:
        raise StoreError(
            f"run {name!r}: no benchmark was put to its {stage or 'model'} as it is now; "
            f"`groundup eval {name} --tasks small{f' --stage {stage}' if stage else ''}` does so"
        )
    return found


def _facts(found: "dict[str, Difference]", first: dict[str, Any], second: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        key: {"first": first[key]["facts"]["score"], "second": second[key]["facts"]["score"], **each.facts()}
        for key, each in found.items()
    }


def _print(found: "dict[str, Difference]", first: dict[str, Any], second: dict[str, Any]) -> None:
    from rich.table import Table

    from groundup.cli._screen import console

    table = Table(title="B minus A, with 95 % intervals", title_justify="left", box=None, pad_edge=False)
    for heading in ("  task", "A", "B", "difference", "bits per byte", "items"):
        table.add_column(heading, justify="left" if heading == "  task" else "right")
    for key, each in found.items():
        scores = (f"{kept[key]['facts']['score']:.3f}" for kept in (first, second))
        told = (
            f"{part.value:+.3f} [{part.low:+.3f}, {part.high:+.3f}]" if part else "" for part in (each.score, each.bits)
        )
        mark = "*" if each.certain else " "
        table.add_row(f"{mark} {key}", *scores, *told, f"{each.n:,}")
    console().print(table, markup=False)
