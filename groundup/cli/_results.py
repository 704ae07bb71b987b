"""What a run ends with on the screen: a table, a sample conversation, and a sentence on what to expect."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table

from groundup.store import Store


def print_results(screen: Console, store: Store, seconds: float) -> None:
    """The results of a finished run."""
    from groundup.report.results import expectation
    from groundup.report.units import duration

    facts = store.facts()
    measured = facts.get("eval", {})
    screen.print(_table(facts))
    talk = measured.get("conversation", [])
    if talk:
        screen.print("\n[bold]a conversation with it[/bold]")
        for message in talk[:4]:
            who = "[cyan]you[/cyan]  " if message["role"] == "user" else "[green]model[/green]"
            screen.print(f"  {who} ", end="")
            screen.print(message["content"], markup=False)
    parameters = facts.get("pretrain", {}).get("parameters", 0)
    screen.print(f"\n{expectation(parameters)}")
    screen.print(f"[bold]done in {duration(seconds)}[/bold]   talk to it:  groundup chat {store.name}")
    screen.print(f"                the report:  {store.root / 'report.html'}", soft_wrap=True)


def _table(facts: Mapping[str, Any]) -> Table:
    table = Table(title="results", title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in ("", "value", "95 % interval", "chance", "beside it"):
        table.add_column(column)
    measured = facts.get("eval", {})
    bits = measured.get("bits_per_byte")
    if bits:
        beside = ", ".join(
            f"{name.replace('_', ' ')} {value:.3f}" for name, value in measured.get("yardsticks", {}).items()
        )
        table.add_row("  bits per byte", f"{bits['value']:.3f}", _interval(bits, 3), f"{bits['chance']:.0f}", beside)
    for name, task in measured.get("tasks", {}).items():
        before = task.get("before")
        beside = f"before GRPO {before['score']:.1%}" if isinstance(before, Mapping) else ""
        chance = "-" if task.get("chance") is None else f"{task['chance']:.0%}"
        table.add_row(f"  {name} ({task['n']})", f"{task['score']:.1%}", _interval(task, None), chance, beside)
    written = measured.get("functions")
    if written:
        beside = f"the real functions {written['real']['value']:.1%}"
        table.add_row(
            f"  functions that parse ({written['n']})", f"{written['score']:.1%}", _interval(written, None), "-", beside
        )
    return table


def _interval(value: Mapping[str, float], digits: int | None) -> str:
    low, high = value["low"], value["high"]
    return f"{low:.1%} to {high:.1%}" if digits is None else f"{low:.{digits}f} to {high:.{digits}f}"
