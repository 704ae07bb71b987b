"""What one browser window has in hand, and the small pieces that all tabs are made of."""

import asyncio
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any, Protocol

from nicegui import ui
from nicegui.element import Element

from groundup.errors import GroundupError
from groundup.report.gather import Run, all_runs, gather
from groundup.serve.page.pool import Opener, Pool
from groundup.serve.telemetry import Telemetry
from groundup.serve.wire import ApiError

SPEAKERS = {"adapt": "adapted", "grpo": "GRPO", "sft": "SFT", "pretrain": "base", "import": "as imported"}
"""The stages that leave a model, the last one first, as the page calls them."""

Exporter = Callable[[str, str, str, Mapping[str, str]], Mapping[str, Any]]
"""Run, stage, format and its settings -> what was written where, and how it was checked."""


@dataclass(frozen=True)
class Actions:
    """What the page can have done, handed in by the command line. All of it blocks: call it in a thread."""

    open_model: Opener
    export: Exporter


@dataclass(frozen=True)
class Desk:
    """What all windows share."""

    runs: Path
    actions: Actions
    pool: Pool
    telemetry: Telemetry

    def explain(self, error: Exception) -> str:
        """What a person is told of an error; one that is ours is logged, and told as such."""
        if isinstance(error, GroundupError | ApiError):
            return str(error)
        self.telemetry.failure(error)
        return "That failed, and it is our mistake; the server's log says where."

    async def all_runs(self) -> list[Run]:
        """Every run, the newest first."""
        return await asyncio.to_thread(all_runs, self.runs)


class Tab(Protocol):
    """One of the five. It is built in its panel when it is first looked at."""

    async def build(self) -> None:
        """Make the elements."""

    async def refresh(self) -> None:
        """It is looked at again, or another run was chosen."""


@dataclass
class Session:
    """One window: which run it is about, and which tab is looked at."""

    desk: Desk
    choose: Callable[[str], Awaitable[None]]
    """Make another run the one that the window is about."""
    name: str = ""
    tab: str = ""
    """What is looked at."""

    @property
    def run(self) -> Run:
        """The run as it lies on disk now. Its files are read when it is asked, so ask in a thread."""
        return gather(self.desk.runs / self.name)


def html(text: str, classes: str = "", tag: str = "div") -> ui.html:
    """Markup of our own making, in which every text is escaped."""
    return ui.html(text, sanitize=False, tag=tag).classes(classes)


def nothing(told: str) -> ui.html:
    """What stands where there is nothing yet, and how to get it."""
    return html(told, "nothing")


def section(title: str, note: str = "") -> Element:
    """A part of a tab with its heading; a context for what it holds."""
    part = ui.element("section").classes("part")
    with part:
        html(f"{escape(title)}{f'<small>{escape(note)}</small>' if note else ''}", tag="h2")
    return part


def tiles(pairs: Iterable[tuple[str, str]]) -> str:
    """Figures in a row: each a text and what it is."""
    return "".join(f"<li><b>{escape(value)}</b><span>{escape(label)}</span></li>" for value, label in pairs)


def table(head: Iterable[str], rows: Iterable[Iterable[str]], classes: str = "") -> str:
    """A table; its cells are markup."""
    heads = "".join(f'<th scope="col">{cell}</th>' for cell in head)
    body = "".join(f"<tr>{''.join(f'<td>{cell}</td>' for cell in row)}</tr>" for row in rows)
    inner = f'<table class="{classes}"><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table>'
    return f'<div class="scroll" tabindex="0" role="region" aria-label="Table">{inner}</div>'


def definitions(pairs: Iterable[tuple[str, str]]) -> str:
    """What is known of a thing: names, and what they are."""
    rows = (f"<div><dt>{escape(name.replace('_', ' '))}</dt><dd>{escape(text)}</dd></div>" for name, text in pairs)
    return f'<dl class="facts">{"".join(rows)}</dl>'


def select(label: str, options: Mapping[str, str], value: str, on_change: Callable[[str], Any]) -> ui.select:
    """A choice out of few."""
    made = ui.select(
        dict(options),
        label=label,
        value=value if value in options else None,
        on_change=lambda event: on_change(event.value),
    )
    return made.props("outlined dense options-dense").classes("select")


def button(text: str, on_click: Callable[[], Any], *, strong: bool = False, label: str = "") -> ui.button:
    """A button; `label` says what it does where its text does not."""
    made = ui.button(text, on_click=lambda: on_click(), color=None).props("unelevated no-caps no-wrap")
    if label:
        made.props["aria-label"] = label
    return made.classes("strong" if strong else "quiet")
