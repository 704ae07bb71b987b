"""a run, whole: stages done, stale (and what made them so) or to do; every number; where each setting came from

groundup show mine
groundup show mine --json
"""

import argparse
from typing import TYPE_CHECKING, Any

from groundup.cli import print_json

if TYPE_CHECKING:
    from groundup.store import Store


def add(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument("name", help="the run")
    parser.add_argument("--json", action="store_true", help="machine-readable")


def run(args: argparse.Namespace) -> int:
    """Show one run."""
    from groundup.config import leaves, read_toml
    from groundup.pipeline import status
    from groundup.store import Store

    store = Store.open(args.runs, args.name)
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
    settings = {key: {"value": value, "from": origin.get(key, "default")} for key, value in leaves(tree).items()}
    if args.json:
        print_json({"run": args.name, "stages": stages, "settings": settings})
    else:
        _print(args.name, stages, settings)
    return 0


def _given(store: "Store") -> list[dict[str, Any]]:
    """What no stage made: the model that the run was imported with, if it was."""
    given = store.current().get("import")
    if given is None:
        return []
    facts = dict(given.facts)
    row = {"stage": "import", "state": "done", "because": "", "seconds": given.seconds}
    return [{**row, "folder": str(given.path), "facts": facts}]


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
