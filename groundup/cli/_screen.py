"""Tables that the commands print."""

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table

if TYPE_CHECKING:
    from groundup.plan.forecast import Forecast


def console(stderr: bool = False) -> Console:
    """The screen: standard output, or standard error where the output is for a program."""
    return Console(stderr=stderr, highlight=False)


def short(value: Any) -> str:
    """A number as people read it: 4.2 M, 1,234, 0.0031."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return str(value)
    for size, letter in ((1e12, "T"), (1e9, "G"), (1e6, "M")):
        if abs(value) >= size:
            return f"{value / size:.2f} {letter}"
    if isinstance(value, int) or value == int(value):
        return f"{int(value):,}"
    return f"{value:.4g}"


def forecast_table(forecast: "Forecast", price_per_hour: float | None) -> Table:
    """What a run would make and cost."""
    return lines_table("forecast", forecast.lines(price_per_hour))


def lines_table(title: str, lines: Iterable[tuple[str, str]]) -> Table:
    """Labels and what there is to say of each."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="bold")
    table.add_column()
    for label, text in lines:
        table.add_row(f"  {label}", text)
    return table


def facts_table(title: str, facts: Mapping[str, Any]) -> Table:
    """The facts of one artifact; nested ones are written dotted, long lists by their length."""
    table = Table(title=title, title_justify="left", show_header=False, box=None, pad_edge=False)
    table.add_column(style="dim")
    table.add_column(overflow="fold")
    for label, value in _flat(facts):
        table.add_row(f"  {label}", short(value))
    return table


def _flat(facts: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    rows: list[tuple[str, Any]] = []
    for key, value in facts.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{key}.")
        elif isinstance(value, list | tuple) and len(value) > 4:
            rows.append((f"{prefix}{key}", f"{len(value)} of them"))
        else:
            rows.append((f"{prefix}{key}", value))
    return rows


def scores_table(found: Mapping[str, Mapping[str, Any]]) -> Table:
    """What published benchmarks found: the score that counts, its interval, what guessing gives, how many items."""
    from groundup.report.results import CLEAN

    table = Table(title="benchmarks, with 95 % intervals", title_justify="left", box=None, pad_edge=False)
    for heading in ("  task", "score", "interval", "chance", "items", "measure"):
        table.add_column(heading, justify="left" if heading in ("  task", "measure") else "right")
    for key, facts in found.items():
        ends = f"{facts['low']:.3f} to {facts['high']:.3f}"
        chance = "" if facts["chance"] is None else f"{facts['chance']:.3f}"
        table.add_row(f"  {key}", f"{facts['score']:.3f}", ends, chance, f"{facts['n']:,}", facts["form"])
        for part, meaning in CLEAN.items():
            if (some := facts.get(part)) and some["n"]:
                ends = f"{some['low']:.3f} to {some['high']:.3f}"
                table.add_row("", f"{some['value']:.3f}", ends, "", f"{some['n']:,}", f"items {meaning}")
    return table
