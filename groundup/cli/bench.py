"""our speed and the peers', in turn, on this machine: medians, spread, ratio

words:
  ROW              a row to measure; `groundup bench` alone lists them
  ROW.FIELD=VALUE  a setting of a row, e.g. train.shape=b train.steps=10 tokenizer.megabytes=20

Every contestant is a process of its own, and each round holds all of them once, in another order; ratios are taken
within a round, above 1 is ours. Peers are held only where they are asked for: a library gets an environment of its own,
made once; of a repository you give your checkout. Each row prints its floor, the best that this machine could do going
by what is measured of it, and the share of it that each contestant reached.

  groundup bench train startup --peer nanogpt=~/nanoGPT
  groundup bench tokenizer --peer tiktoken --peer tokenizers --json speed.json --plot speed.html
"""

import argparse
import importlib
import json
import sys
from pathlib import Path
from typing import Any

from groundup.errors import StoreError


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("words", nargs="*", metavar="ROW", help="rows, and ROW.FIELD=VALUE")
    parser.add_argument("--peer", action="append", default=[], metavar="NAME[=PATH]", help="also measure this one")
    parser.add_argument("--repeats", type=int, default=5, metavar="N", help="rounds of each contest (5)")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every number to a file")
    parser.add_argument("--plot", type=Path, metavar="FILE", help="write a page with a chart of each contest")
    parser.add_argument(
        "--cache", type=Path, default=Path("~/.cache/groundup/bench"), metavar="DIR", help="peers' environments, logs"
    )


def run(args: argparse.Namespace) -> int:
    """List the rows, or measure those that are asked for. Raises ConfigError for fewer rounds than one."""
    from groundup.cli._screen import console
    from groundup.errors import ConfigError
    from groundup.events import Events

    bench = benchmark()
    rows = bench.read(args.words)
    if args.repeats < 1:
        raise ConfigError(f"--repeats {args.repeats}: at least one round is needed")
    if not rows:
        for name in bench.names():
            print(f"{name:<14} {bench.summary(name)}")
        return 0
    cache = args.cache.expanduser().absolute()
    screen = console(stderr=True)
    events = Events(None, screen)
    results = bench.run(rows, args.peer, args.repeats, cache / "environments", cache / "logs", events)
    for result in results:
        print(bench.table(result.contest, result))
    if args.json is not None:
        args.json.write_text(json.dumps(bench.facts(results, args.repeats), indent=1) + "\n", encoding="utf-8")
    if args.plot is not None:
        args.plot.write_text(bench.plot(results), encoding="utf-8")
    return 0


def benchmark() -> Any:
    """The module that holds contests; it stands beside the package, in a checkout. Raises StoreError elsewhere."""
    root = Path(__file__).parents[2]
    if not (root / "bench" / "run.py").is_file():
        raise StoreError(
            "bench: the benchmarks are in groundup's repository and not in the installed package; "
            "clone it and run `groundup bench` there"
        )
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    return importlib.import_module("bench.run")
