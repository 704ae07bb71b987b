"""a run, whole: stages done, stale (and what made them so) or to do; every number; where each setting came from

groundup show mine
groundup show mine --json
groundup show mine --removed --reason near_duplicate --sample 5
groundup show mine --removed --grep lottery
"""

import argparse
from typing import TYPE_CHECKING, Any

from groundup.cli import print_json

if TYPE_CHECKING:
    from pathlib import Path

    from groundup.store import Store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("--json", action="store_true", help="machine-readable")
    add_ledger_arguments(parser.add_argument_group("what was removed from its text"))


def add_ledger_arguments(parser: "argparse._ArgumentGroup | argparse.ArgumentParser") -> None:
    """The arguments that ask for removed documents; `corpus removed` has them too."""
    parser.add_argument("--removed", action="store_true", help="the documents that were removed, and why")
    parser.add_argument("--reason", default="", help="removed for this reason (or one that begins so)")
    parser.add_argument("--source", default="", help="from this --data")
    parser.add_argument("--grep", default="", metavar="TEXT", help="with this in the id or the text")
    parser.add_argument(
        "--sample", type=int, default=20, metavar="N", help="so many of them, drawn evenly (20; 0: all)"
    )


def print_ledger(folder: "Path", args: argparse.Namespace) -> int:
    """The removed documents that the arguments ask for. Raises DataError as `ledger.removed` does."""
    from groundup.cli._corpus import print_removed
    from groundup.cli._screen import console
    from groundup.corpus.ledger import removed

    rows = removed(folder, args.reason, args.source, args.grep, args.sample)
    if args.json:
        print_json(rows)
    else:
        print_removed(console(), rows)
    return 0


def run(args: argparse.Namespace) -> int:
    """Show one run."""
    from groundup.config import leaves, read_toml
    from groundup.pipeline import status
    from groundup.store import Store

    store = Store.open(args.runs, args.name)
    if args.removed or args.reason or args.source or args.grep:
        return print_ledger(_corpus(store), args)
    if not (store.root / "recipe.toml").is_file():
        print(f"run {args.name!r} has no recipe yet: `groundup run --name {args.name}` makes one")
        return 0
    tree = read_toml(store.root / "recipe.toml")
    origin = store.read_json("origins.json")
    stages = _given(store)
    stages += [
        {
            "stage": entry.stage.name,
            "state": entry.state,
            "because": entry.because,
            "seconds": entry.artifact.seconds if entry.artifact else None,
            "folder": str(entry.artifact.path) if entry.artifact else None,
            "facts": dict(entry.artifact.facts) if entry.artifact else {},
        }
        for entry in status(store, tree)
    ]
    stages += _benchmarks(store)
    settings = {key: {"value": value, "from": origin.get(key, "default")} for key, value in leaves(tree).items()}
    if args.json:
        print_json({"run": args.name, "stages": stages, "settings": settings})
    else:
        _print(args.name, stages, settings)
    return 0


def _given(store: "Store") -> list[dict[str, Any]]:
    """What no stage made: the model that the run began with, and those that judge or teach it, if there are any."""
    current = store.current()
    return [
        {"stage": kind, "state": "done", "because": "", "seconds": current[kind].seconds,
         "folder": str(current[kind].path), "facts": dict(current[kind].facts)}
        for kind in ("import", "reward", "teacher") if kind in current
    ]  # fmt: skip


def _benchmarks(store: "Store") -> list[dict[str, Any]]:
    """What published benchmarks found of the weights as they are now, a row for each stage that was asked."""
    from groundup.report.gather import benchmarks_file, gather

    row = {"state": "done", "because": "", "seconds": None}
    return [
        {
            "stage": f"benchmarks of {stage}",
            **row,
            "folder": str(store.root / benchmarks_file(stage)),
            "facts": {key: _scores(kept["facts"]) for key, kept in tasks.items()},
        }
        for stage, tasks in gather(store.root).benchmarks.items()
    ]


def _scores(facts: dict[str, Any]) -> dict[str, Any]:
    return {name: facts[name] for name in ("score", "low", "high", "chance", "n", "form")}


def _corpus(store: "Store") -> "Path":
    """The folder of the run's corpus. Raises DataError where it has none yet."""
    from groundup.errors import DataError

    made = store.current().get("corpus")
    if made is None:
        raise DataError(f"run {store.name!r} has no corpus yet; `groundup run {store.name}` makes it")
    return made.path / "corpus"


def _print(name: str, stages: list[dict[str, Any]], settings: dict[str, dict[str, Any]]) -> None:
    from groundup.cli._screen import console, facts_table

    screen = console()
    screen.print(f"[bold]{name}[/bold]")
    for entry in stages:
        mark = {"done": "[green]done [/green]", "stale": "[yellow]stale[/yellow]", "to do": "[dim]to do[/dim]"}[
            entry["state"]
        ]
        seconds = f"{entry['seconds']:.1f} s" if entry["seconds"] is not None else ""
        screen.print(f"  {mark}  {entry['stage']:<10} {seconds:>9}  {entry['because']}")
        if entry["folder"]:
            screen.print(f"[dim]         {entry['folder']}[/dim]", highlight=False, soft_wrap=True)
    for entry in stages:
        if entry["facts"]:
            screen.print(facts_table(entry["stage"], entry["facts"]))
    screen.print("[bold]settings[/bold]")
    for key, setting in settings.items():
        screen.print(f"  {key:<32} {setting['value']!s:<28} [dim]{setting['from']}[/dim]", soft_wrap=True)
