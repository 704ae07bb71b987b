"""What a run ends with on the screen: its results, a sample conversation, and a sentence on what to expect."""

from rich.console import Console
from rich.padding import Padding

from groundup.store import Store


def print_results(screen: Console, store: Store, seconds: float) -> None:
    """The results of a finished run."""
    from groundup.report.gather import gather
    from groundup.report.results import Result, expectation, parameters_of, results
    from groundup.report.units import duration

    def line(row: Result) -> None:
        chance = "" if row.chance is None else f"chance {row.text(row.chance)}"
        screen.print(f"  {row.label:<28} [bold]{row.text(row.value):>8}[/bold]   {row.interval:<17}  {chance}")
        beside = "; ".join(part for part in (row.measured_on, *row.beside) if part)
        screen.print(Padding(f"[dim]{beside}[/dim]", (0, 0, 0, 4)))

    view = gather(store.root)
    facts, found = store.facts(), results(view)
    if found:
        screen.print("[bold]results[/bold]   with 95 % intervals")
    for row in found:
        line(row)
    talk = facts.get("eval", {}).get("conversation", [])
    if talk:
        screen.print("\n[bold]a conversation with it[/bold]")
        for message in talk[:4]:
            who = "[cyan]you[/cyan]  " if message["role"] == "user" else "[green]model[/green]"
            screen.print(f"  {who} ", end="")
            screen.print(message["content"], markup=False)
    screen.print(f"\n{expectation(parameters_of(view))}")
    screen.print(f"[bold]done in {duration(seconds)}[/bold]   talk to it:  groundup chat {store.name}")
    screen.print(f"                the report:  {store.root / 'report.html'}", soft_wrap=True)
