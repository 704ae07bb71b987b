"""raw text to a chatbot, in the minutes you give

words:
  NAME             a run that exists: go on with it, or do nothing if it is done
  RECIPE.toml      settings from a file
  SECTION.FIELD=V  one setting, e.g. model.layers=8 train.optim=adamw eval.functions=0

The forecast comes first. Kill it at any moment: the same command goes on from there. Run it again when it is
done and it does nothing; change a setting and only what depends on it is made again. A finished run that is
given --minutes is taken up before its learning rate fell, and trained for that long again.

Under torchrun all ranks train together, split as [parallel] says; the first one does the rest (docs/parallel.md).

  groundup run --data ~/my-texts --minutes 30 --name mine
  groundup run --data books/=3 --data 'notes/*.md' --chat talks.jsonl
  groundup run mine --minutes 60
  torchrun --nproc-per-node 4 -m groundup run mine parallel.tensor=2
"""

import argparse
import os
from typing import TYPE_CHECKING

from groundup.cli import print_json

if TYPE_CHECKING:
    from groundup.cli._order import Order
    from groundup.mesh import Mesh
    from groundup.store import Store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_recipe_arguments(parser)
    parser.add_argument("--quiet", action="store_true", help="no forecast, no bars")


def add_recipe_arguments(parser: argparse.ArgumentParser) -> None:
    """The arguments that `run` and `plan` share."""
    parser.add_argument("words", nargs="*", metavar="WORD", help="a run's name, a recipe file, SECTION.FIELD=VALUE")
    parser.add_argument(
        "--data",
        action="append",
        metavar="PATH[=WEIGHT]",
        help="text: folder, file, glob, URL, hub:OWNER/NAME ... or python",
    )
    parser.add_argument("--chat", action="append", metavar="FILE", help="conversations (JSONL)")
    parser.add_argument("--minutes", type=float, help="for the whole command (10 when nothing else says how long)")
    parser.add_argument("--name", help="the run's name (else from the data)")
    parser.add_argument(
        "--price-per-hour", type=float, metavar="MONEY", help="of this machine; the forecast shows cost"
    )
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Forecast, then every stage that is not done."""
    from groundup.cli._order import Order

    if int(os.environ.get("WORLD_SIZE", "1")) > 1:
        from groundup.cli._ranks import together

        return together(lambda mesh: make(Order.read(args), args, mesh))
    return make(Order.read(args), args)


def make(order: "Order", args: argparse.Namespace, mesh: "Mesh | None" = None) -> int:
    """Make what is to be made; of several ranks the first does, and the others follow it."""
    from groundup.config import merge
    from groundup.pipeline import todo

    frozen = order.frozen()
    store = order.store()
    with store.locked():
        if frozen is not None and not todo(store, merge(frozen, order.user_tree())):
            return nothing_to_do(store, args)
        from groundup.cli._work import work

        return work(order, store, frozen, args, mesh)


def nothing_to_do(store: "Store", args: argparse.Namespace) -> int:
    """Say so."""
    if args.json:
        print_json({"run": store.name, "done": [], "facts": store.facts()})
    else:
        print(f"run {store.name!r} is done and nothing changed: nothing to do")
        print(f"  talk to it: groundup chat {store.name}    look at it: {store.root / 'report.html'}")
    return 0
