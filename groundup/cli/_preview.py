"""Examples as the model will see them: every token, coloured by its weight."""

from collections.abc import Iterable, Sequence
from itertools import islice

from rich.console import Console
from rich.text import Text

from groundup.cli._adapt import Adaptation
from groundup.cli._screen import console
from groundup.corpus.conversation import Message
from groundup.recipe import Recipe
from groundup.stages.examples import Examples
from groundup.stages.results import tokenizer_folder
from groundup.tokenizer._base import Tokenizer, load
from groundup.tokenizer.chat import Chat

SHOWN = 10

IDLE, GOOD, BAD, SPECIAL = "dim", "green", "red", "cyan"
OPEN, CLOSE = "⟦", "⟧"
"""Around what has weight, where there are no colours."""


def preview(wanted: Adaptation, recipe: Recipe, found: Examples) -> None:
    """Print the first examples of the training part, cut where the model's context ends."""
    screen = console()
    chat, length = Chat(load(tokenizer_folder(wanted.parent))), int(recipe.model.tree()["length"])
    facts = found.facts()
    screen.print(f"{facts['examples']:,} examples to learn from, {facts['held_out_examples']:,} held out")
    screen.print(f"[{GOOD}]learned from[/] [{BAD}]learned to avoid[/] [{IDLE}]read only[/] [{SPECIAL}]special[/]")
    for number, sequences in enumerate(islice(_rendered(chat, found), SHOWN), 1):
        screen.print(f"[bold]{number}[/bold]")
        for ids, weights, good in sequences:
            cut = f" cut: {len(ids):,} tokens, the context holds {length:,}" if len(ids) > length + 1 else ""
            _show(screen, chat.tokenizer, ids[: length + 1], weights, GOOD if good else BAD)
            if cut:
                screen.print(cut, style="yellow")


Sequenced = tuple[Sequence[int], Sequence[float], bool]
"""Ids, the weight of each, and whether they are to be learned or avoided."""


def _rendered(chat: Chat, found: Examples) -> Iterable[list[Sequenced]]:
    """What each example is to the model."""
    items = found.formed("train")[:SHOWN]
    if found.wanted in ("labels", "numbers"):
        items = [(Message("user", item.text),) for item in items]
    if found.wanted not in ("pairs", "verdicts"):
        return [[(ids, weights, True)] for ids, weights in chat.render_batch(items)]
    from groundup.train.feeds.preferences import pair_units, verdict_units

    units = pair_units(items, chat) if found.wanted == "pairs" else verdict_units(items, chat)
    return [
        [(ids[:-1].tolist(), list(weights[:-1]), verdict > 0) for (ids, weights), verdict in zip(*each, strict=True)]
        for each in ((unit.replies, unit.verdicts) for unit in units)
    ]


def _show(screen: Console, tokenizer: Tokenizer, ids: Sequence[int], weights: Sequence[float], style: str) -> None:
    names = {number: name for name, number in tokenizer.special.items()}
    line, plain, open_ = Text(), screen.color_system is None, False
    for number, weight in zip(ids, weights, strict=False):
        if plain and bool(weight) != open_:
            line.append(CLOSE if open_ else OPEN)
            open_ = not open_
        text = names.get(number) or tokenizer.token_bytes[number].decode("utf-8", errors="replace")
        known = SPECIAL if number in names else style
        line.append(text, style=(known if weight else f"{IDLE} {SPECIAL}" if number in names else IDLE))
    line.append(CLOSE if open_ else "")
    screen.print(line, soft_wrap=True)
