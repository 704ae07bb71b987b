"""What the corpus commands print."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from groundup.cli._screen import short

if TYPE_CHECKING:
    from groundup.corpus.cost import Cluster, Cost
    from groundup.corpus.trial import Trial

MEGABYTE = 1e6
SHOWN = 8
# Of a removed document's text.
CHARACTERS = 240


def print_facts(screen: Console, facts: Mapping[str, Any]) -> None:
    """The removal funnel, what each step took in their order, and what a corpus holds then."""
    total = facts["documents"] + facts["held_out_documents"]
    size = facts["bytes"] + facts["held_out_bytes"]
    table = _table("documents", "MB", "", title="what each step took")
    for row in facts["funnel"]:
        sign = 1 if row is facts["funnel"][0] else -1
        table.add_row(short(sign * row["documents"]), f"{sign * row['bytes'] / MEGABYTE + 0:,.2f}", row["step"])
    table.add_row(short(total), f"{size / MEGABYTE:,.2f}", "kept", style="bold")
    screen.print(table)
    if facts["removed"]:
        most = sorted(facts["removed"].items(), key=lambda item: -item[1])
        screen.print(f"  reasons: {', '.join(f'{name} {short(count)}' for name, count in most)}", markup=False)
    told = [("held out", facts["held_out_documents"]), ("repaired", facts["repaired"]), ("masked", facts["masked"])]
    screen.print("  " + ", ".join(f"{name} {short(count)}" for name, count in told))
    for name in ("languages", "domains"):
        if facts[name]:
            most = [f"{key} {short(count)}" for key, count in list(facts[name].items())[:SHOWN]]
            screen.print(f"  {name}: {', '.join(most)}", markup=False)


def print_trial(screen: Console, trial: "Trial") -> None:
    """What filters would do, reason by reason, with examples."""
    more = "" if trial.whole else "; there are more"
    screen.print(f"{short(trial.documents)} documents, {trial.bytes / MEGABYTE:,.2f} MB were looked at{more}")
    for outcome in trial.ordered():
        share = outcome.documents / max(1, trial.documents)
        screen.print(
            f"[bold]{outcome.filter}: {outcome.reason}[/bold]  {short(outcome.documents)} documents, {share:.1%}, "
            f"{outcome.bytes / MEGABYTE:,.2f} MB"
        )
        for example in outcome.examples:
            measured = f"{short(example['value'])}, bar {short(example['threshold'])}" if "value" in example else ""
            screen.print(f"  [cyan]{escape(example['id'])}[/cyan]  {measured}", soft_wrap=True)
            screen.print(f"    [dim]{escape(example['text'])}[/dim]", soft_wrap=True)
            if "after" in example:
                screen.print(f"    {escape(example['after'])}", soft_wrap=True)
    if not trial.outcomes:
        screen.print("  nothing would be dropped or changed")


def print_cost(screen: Console, cluster: "Cluster", found: "Cost") -> None:
    """Each pass with the sum that gives its time, and what the whole needs."""
    for name, (seconds, told) in found.passes.items():
        screen.print(f"  {name:<8} {told} = {seconds:,.0f} s", soft_wrap=True, highlight=False)
    hours = found.seconds / 3600
    screen.print(f"  [bold]{hours:,.1f} hours[/bold]", highlight=False)
    if cluster.price:
        told = f"{hours:,.1f} hours × {cluster.nodes:,} nodes × {cluster.price:g}"
        screen.print(f"  {told} = [bold]{found.money:,.0f}[/bold]", highlight=False)
    screen.print(
        f"  memory of the parent {found.parent_bytes / 1e9:,.0f} GB, disk between the passes "
        f"{found.work_bytes / 1e12:,.1f} TB",
        highlight=False,
    )


def print_removed(screen: Console, rows: Iterable[Mapping[str, Any]]) -> None:
    """Removed documents: why, by which value over which bar, and how they begin."""
    for row in rows:
        numbers = f"{short(row['value'])}, bar {short(row['threshold'])}" if row["threshold"] or row["value"] else ""
        copy = f"copy of {row['duplicate_of']}" if row["duplicate_of"] else ""
        told = "  ".join(filter(None, (numbers, copy, row["detail"])))
        screen.print(f"[bold]{row['reason']}[/bold]  [cyan]{escape(row['id'])}[/cyan]  {escape(told)}", soft_wrap=True)
        text = " ".join((row["text"] or "")[: 2 * CHARACTERS].split())[:CHARACTERS]
        if text:
            screen.print(f"  [dim]{escape(text)}[/dim]", soft_wrap=True)


def _table(*columns: str, title: str) -> Table:
    table = Table(title=title, title_justify="left", box=None, pad_edge=False, header_style="dim")
    for column in columns:
        table.add_column(column, justify="right" if column else "left")
    return table
