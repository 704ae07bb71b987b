"""Training: a run as it goes, or several compared; the curves, what it writes, what happened."""

import asyncio
import time
from html import escape

from nicegui import ui

from groundup.report.gather import Run
from groundup.report.page import moments
from groundup.report.units import duration
from groundup.serve.page import watch
from groundup.serve.page.session import Session, html, section, select, tiles

REFRESH_SECONDS = 2.0
MOST_SHARE = 0.1
"""Of the time that may go into reading: a look that took long makes the next one wait."""

MOST_COMPARED = 4
MOST_EVENTS = 40


class TrainingTab:
    """The tab. A look at the files happens in a thread; what has not changed is not sent again."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stage = ""
        self._others: list[str] = []
        self._shown: dict[str, str] = {}
        self._next = 0.0
        self._looking = False

    async def build(self) -> None:
        """Make the elements."""
        with ui.element("div").classes("toolbar"):
            self._stages = select("Stage", {stage: stage for stage in watch.TRAINED}, "", self._choose_stage)
            self._compare = ui.select([], label="Compare with", multiple=True, on_change=self._choose_others)
            self._compare.props("outlined dense options-dense use-chips").classes("select wide")
        self._parts = {name: html("", classes) for name, classes in (("state", "state"), ("tiles", ""))}
        with section("Curves"):
            self._parts["curves"] = html("", "plots")
        with section("What it writes", "samples from the same beginning, as training goes on"):
            self._parts["samples"] = html("")
        with section("Events"):
            self._parts["events"] = html("")
        ui.timer(REFRESH_SECONDS / 4, self._tick)
        await self.refresh()

    async def refresh(self) -> None:
        """Look now. A run is shown at the stage that it is in."""
        names = [run.name for run in await self._session.desk.all_runs() if run.name != self._session.name]
        self._others = [name for name in self._others if name in names]
        self._compare.set_options(names, value=self._others)
        self._stage = await asyncio.to_thread(watch.stage_of, self._session.run)
        self._stages.set_value(self._stage)
        await self._look()

    async def _choose_stage(self, stage: str) -> None:
        if stage and stage != self._stage:
            self._stage = stage
            await self._look()

    async def _choose_others(self) -> None:
        chosen = [*self._compare.value][: MOST_COMPARED - 1]
        if chosen != self._others:
            self._others = chosen
            self._compare.set_value(chosen)
            await self._look()

    async def _tick(self) -> None:
        if self._session.tab == "Training" and time.monotonic() >= self._next and not self._looking:
            await self._look()

    async def _look(self) -> None:
        if not self._stage:
            return
        self._looking, began = True, time.monotonic()
        try:
            drawn = await asyncio.to_thread(self._draw)
        finally:
            self._looking = False
            took = time.monotonic() - began
            self._next = time.monotonic() + max(REFRESH_SECONDS, took / MOST_SHARE)
        for name, text in drawn.items():
            if self._shown.get(name) != text:
                self._parts[name].set_content(text)
        self._shown = drawn

    def _draw(self) -> dict[str, str]:
        """The markup of each part."""
        run, stage = self._session.run, self._stage
        fresh = time.time() - run.touched < watch.LIVE_SECONDS
        process = watch.holder(run.root) if fresh else None
        rows = watch.numbers(run, stage)
        runs = [run, *(Run(run.root.parent / name) for name in self._others)]
        return {
            "state": _state(run, process is not None),
            "tiles": f'<ul class="tiles small">{tiles(watch.figures_now(run, stage, rows, process))}</ul>',
            "curves": _curves(runs, stage) or _none(f"No step of {stage} yet."),
            "samples": _samples(run, stage)
            or _none("Nothing yet. A base model writes twelve times while it is trained."),
            "events": _events(run, stage, rows) or _none("Nothing yet."),
        }


def _none(text: str) -> str:
    return f'<p class="nothing">{escape(text)}</p>'


def _state(run: Run, live: bool) -> str:
    """The stages as a line: what is done and in what time, where it is, what it expects still."""
    expected = run.forecast.get("seconds", {})
    stages = watch.stages_of(run)
    now = next((stage for stage in stages if stage not in run.artifacts), "") if live else ""
    if live and not now:
        now = watch.stage_of(run)
    steps = []
    for stage in stages:
        artifact = run.artifacts.get(stage)
        kind = "now" if stage == now else "done" if artifact else "todo"
        seconds = artifact.seconds if artifact and kind == "done" else expected.get(stage)
        about = "" if seconds is None else duration(seconds) if kind == "done" else f"about {duration(seconds)}"
        current = ' aria-current="step"' if kind == "now" else ""
        steps.append(f'<li class="{kind}"{current}><b>{stage}</b><span>{about}</span></li>')
    word = '<span class="live">running</span>' if live else '<span class="rests">not running</span>'
    return (
        f'<p class="who-now"><b>{escape(run.name)}</b> {word}</p><ol class="steps" tabindex="0">{"".join(steps)}</ol>'
    )


def _curves(runs: list[Run], stage: str) -> str:
    drawn = []
    for title, names, svg in watch.curves(runs, stage):
        legend = "".join(f'<span class="s{index}">{escape(name)}</span>' for index, name in enumerate(names))
        drawn.append(f'<figure><figcaption>{title}<span class="names">{legend}</span></figcaption>{svg}</figure>')
    return "".join(drawn)


def _samples(run: Run, stage: str) -> str:
    rows = []
    for moment in moments([row for row in run.samples if row.get("stage") == stage]):
        texts = "".join(
            f"<pre><mark>{escape(str(row.get('prompt') or ''))}</mark>{escape(row['text'])}</pre>" for row in moment
        )
        rows.append(f'<li><p class="when">step <b>{moment[0]["step"]:,}</b></p>{texts}</li>')
    return f'<ol class="moments">{"".join(rows)}</ol>' if rows else ""


def _events(run: Run, stage: str, rows: list[dict[str, object]]) -> str:
    notices = [
        f'<li><b class="kind notice">notice</b><span>{time.strftime("%H:%M", time.localtime(row["time"]))}</span>'
        f"<p>{escape(str(row['text']))}</p></li>"
        for row in reversed(run.notices)
        if isinstance(row.get("time"), int | float)
    ]
    found = [
        f'<li><b class="kind {kind}">{kind}</b><span>{f"step {step}" if step else ""}</span><p>{escape(text)}</p></li>'
        for kind, step, text in watch.events(run, stage, rows)
    ]
    shown = (notices + found)[:MOST_EVENTS]
    return f'<ol class="events">{"".join(shown)}</ol>' if shown else ""
