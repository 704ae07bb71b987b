"""Runs: all of them, what came out of one, where it comes from, and its model for other programs."""

import asyncio
from collections.abc import Mapping
from html import escape
from typing import Any

from nicegui import ui

from groundup.config import Folder
from groundup.report import lineage, results
from groundup.report.gather import Run
from groundup.report.units import count, duration
from groundup.serve.entry import PAGE
from groundup.serve.page.session import SPEAKERS, Session, button, definitions, html, section, select, table

KINDS = {
    "huggingface": {"": "as trained", "precision=bf16": "bf16", "precision=fp16": "fp16"},
    "gguf": {"": "f32", "quantize=bf16": "bf16", "quantize=q8_0": "q8_0", "quantize=q4_0": "q4_0"},
    "safetensors": {"": "as trained", "quantize=int8": "int8", "quantize=int4": "int4"},
}
"""What each format can be asked for; others have no choice."""


class RunsTab:
    """The tab."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._busy = False

    async def build(self) -> None:
        """Make the elements."""
        with section("Runs", "the newest first"):
            self._list = html("")
            self._list.on("click", self._pick, js_handler=_PICK)
        with ui.element("div").classes("stack") as self._one:
            self._about = html("", "about")
            with section("Lineage", "each artifact below those that it was made from"):
                self._lineage = html("")
            with section("Export", "checked against the program that will read it before it is handed over"):
                with ui.element("div").classes("toolbar"):
                    self._stages = select("Stage", {}, "", lambda value: None)
                    formats = {name: name for name in Folder("formats").choices()}
                    self._format = select("Format", formats, "huggingface", self._choose_format)
                    self._kind = select("Weights", KINDS["huggingface"], "", lambda value: None)
                    self._go = button("Export", self._export, strong=True)
                self._note = html("", "outcome").props("role=status")
        await self.refresh()

    async def refresh(self) -> None:
        """Read them again."""
        runs = await self._session.desk.all_runs()
        self._list.set_content(await asyncio.to_thread(_table, runs, self._session.name))
        self._one.set_visibility(bool(runs))
        run = next((run for run in runs if run.name == self._session.name), None)
        if run is None:
            return
        self._about.set_content(await asyncio.to_thread(_about, run))
        self._lineage.set_content(await asyncio.to_thread(_lineage, run))
        stages = {stage: name for stage, name in SPEAKERS.items() if stage in run.artifacts}
        self._stages.set_options(stages, value=next(iter(stages), None))
        self._go.set_enabled(bool(stages) and not self._busy)

    async def _pick(self, event: object) -> None:
        """A row of the list: the whole window is about that run now."""
        name = str(getattr(event, "args", ""))
        if name in {run.name for run in await self._session.desk.all_runs()}:
            await self._session.choose(name)

    def _choose_format(self, name: str) -> None:
        kinds = KINDS.get(name, {"": "as trained"})
        self._kind.set_options(kinds, value="")

    async def _export(self) -> None:
        """Have it done in a process of its own, and say what came of it."""
        field, _, value = str(self._kind.value or "").partition("=")
        asked = (self._session.name, str(self._stages.value), str(self._format.value), {field: value} if field else {})
        self._busy = True
        self._go.set_enabled(False)
        self._note.set_content("Writing, reading it again and comparing; this takes a while.")
        try:
            facts = await asyncio.to_thread(self._session.desk.actions.export, *asked)
            self._note.set_content(_outcome(facts))
        except Exception as error:
            self._note.set_content(escape(self._session.desk.explain(error)))
        finally:
            self._busy = False
            self._go.set_enabled(True)


_PICK = "(e) => { const row = e.target.closest('[data-run]'); if (row) emit(row.dataset.run); }"


def _table(runs: list[Run], chosen: str) -> str:
    rows = []
    for run in runs:
        name = escape(run.name)
        bits, parameters = run.headline_bits_per_byte, run.fact("pretrain", "parameters")
        current = ' aria-current="true"' if run.name == chosen else ""
        rows.append(
            [
                f'<button type="button" class="pick" data-run="{name}"{current}>{name}</button>',
                escape(str(run.about.get("created", ""))[:16].replace("T", " ")),
                escape(list(run.artifacts)[-1]) if run.artifacts else "begun",
                count(parameters) if parameters else "–",
                f"{bits:.3f}" if bits else "–",
                duration(run.seconds) if run.seconds else "–",
            ]
        )
    heads = ("Run", "Begun, UTC", "Last stage", "Parameters", "Bits per byte", "Took")
    return table(heads, rows, "runs") if rows else '<p class="nothing">No run yet.</p>'


def _about(run: Run) -> str:
    """What it is, in two sentences, its results, and its report."""
    measured = results.results(run)
    figures = "".join(f"<li><b>{row.text(row.value)}</b><span>{escape(row.label)}</span></li>" for row in measured[:4])
    link = f'<a class="report" href="{PAGE}/report/{run.name}" target="_blank" rel="noopener">Its whole report</a>'
    return (
        f'<h2 class="headline">{escape(results.headline(run))}</h2><p class="lead">{escape(results.story(run))}</p>'
        f'<ul class="tiles small">{figures}</ul><p>{link}</p>'
    )


def _lineage(run: Run) -> str:
    rows = "".join(
        f"<li><p><b>{escape(node.stage)}</b> <code>{node.fingerprint}</code></p><p>{escape(node.summary)}"
        f'<span class="dim">{" · " if node.summary else ""}{node.seconds} · {node.size}</span></p></li>'
        for node in lineage.nodes(run)
    )
    return (
        f'<div class="tree">{lineage.drawing(run)}<ol>{rows}</ol></div>'
        if rows
        else '<p class="nothing">Nothing yet.</p>'
    )


def _outcome(facts: Mapping[str, Any]) -> str:
    """Where an export is, and how it was checked."""
    parity = facts.get("parity", {}).items()
    checked = definitions((name, str(value)) for name, value in parity if not isinstance(value, list | dict))
    return f"<p>It is in <code>{escape(str(facts.get('folder', '')))}</code>.</p>{checked}"
