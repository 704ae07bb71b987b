"""measure a run's model again, and make its report anew

Settings may be changed for this measurement and stay with the run.

  groundup eval mine
  groundup eval mine eval.functions=128
"""

import argparse
import shutil


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("words", nargs="*", metavar="eval.FIELD=VALUE", help="settings of the evaluation")
    parser.add_argument("--json", action="store_true", help="machine-readable results on standard output")


def run(args: argparse.Namespace) -> int:
    """Drop the last measurement and make it again.

    Raises ConfigError for a setting outside `eval`, and StoreError for a run without a finished model.
    """
    from groundup.cli.run import run as make
    from groundup.config import merge, parse_pairs, read_toml
    from groundup.errors import ConfigError, StoreError
    from groundup.recipe import Recipe
    from groundup.store import Store

    wrong = [word for word in args.words if not word.startswith("eval.")]
    if wrong:
        raise ConfigError(f"{wrong[0]!r}: eval takes eval.FIELD=VALUE only; `groundup run {args.name}` takes the rest")
    store = Store.open(args.runs, args.name)
    missing = [stage for stage in ("pretrain", "sft", "grpo") if stage not in store.current()]
    if missing:
        raise StoreError(f"run {args.name!r} has no {missing[0]} yet; `groundup run {args.name}` goes on")
    Recipe.from_tree(merge(read_toml(store.root / "recipe.toml"), parse_pairs(args.words)))  # before anything goes
    with store.locked():
        for kind in ("eval", "report"):
            for artifact in store.all(kind):
                shutil.rmtree(artifact.path)
    return make(
        argparse.Namespace(
            words=[args.name, *args.words], runs=args.runs, json=args.json, quiet=False,
            data=None, chat=None, minutes=None, name=None, price_per_hour=None,
        )
    )  # fmt: skip
