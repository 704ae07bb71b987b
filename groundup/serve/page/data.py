"""Data: what went in, what was removed and why, and the documents themselves, a page at a time."""

import asyncio
from collections.abc import Mapping
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from groundup.report.corpus import funnel
from groundup.report.gather import Run
from groundup.report.units import count, share, size
from groundup.serve.page.session import Session, button, definitions, html, nothing, section, select, table
from groundup.serve.page.shelf import Leaf, Shelf

PAGE_ROWS = 20
SHELVES = {"documents": "kept", "removed": "removed"}


class DataTab:
    """The tab. Every look into a file happens in a thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._built_for = ""
        self._shelf: Shelf | None = None
        self._kind, self._where = "documents", {"source": "", "split": "", "reason": ""}
        self._start = 0
        self._leaf = Leaf([], 0)

    async def build(self) -> None:
        """Make the elements."""
        self._body = ui.element("div").classes("stack")
        await self.refresh()

    async def refresh(self) -> None:
        """Show the corpus of the run, if it is another one than before."""
        run = self._session.run
        artifact = (await asyncio.to_thread(lambda: run.artifacts)).get("corpus")
        key = f"{run.name} {artifact.fingerprint if artifact else ''}"
        if key == self._built_for:
            return
        self._built_for = key
        self._body.clear()
        with self._body:
            if artifact is None:
                nothing("This run has no corpus yet.")
                return
            with section("Mixture", "what the model learns from, by source"):
                html(_mixture(run))
            with section("Removal", "from what was read to what is learnt from"):
                html(_funnel(run))
            with section("Documents", "kept and removed, with the reasons"):
                self._build_browser(run)
        self._folder = artifact.path / "corpus"
        await self._open("documents")

    def _build_browser(self, run: Run) -> None:
        with ui.element("div").classes("toolbar"):
            self._kinds = select("Show", SHELVES, "documents", self._open)
            self._filters = {
                name: select(name.capitalize(), {}, "", partial(self._filter, name)) for name in self._where
            }
        self._list = html("", "shelf")
        self._list.on("click", self._read, js_handler=_PICK)
        with ui.element("div").classes("toolbar pager"):
            self._back = button("Earlier", lambda: self._turn(-PAGE_ROWS))
            self._at = ui.label("").classes("dim").props("role=status")
            self._on = button("Later", lambda: self._turn(PAGE_ROWS))
        self._document = html("", "document")

    async def _open(self, kind: str) -> None:
        """Take the kept or the removed documents from the shelf."""
        if kind not in SHELVES:
            return
        self._kind, self._start, self._shelf = kind, 0, Shelf(self._folder / kind)
        self._where = dict.fromkeys(self._where, "")
        for name, chosen in self._filters.items():
            values = await asyncio.to_thread(self._shelf.values, name)
            options = {"": "any"} | {value: f"{value.replace('_', ' ')} ({n:,})" for value, n in values.most_common()}
            chosen.set_options(options, value="")
            chosen.set_visibility(len(options) > 2)
        self._document.set_content("")
        await self._draw()

    async def _filter(self, name: str, value: str) -> None:
        if (value or "") != self._where[name]:
            self._where[name], self._start = value or "", 0
            await self._draw()

    async def _turn(self, rows: int) -> None:
        self._start = max(0, self._start + rows)
        await self._draw()

    async def _draw(self) -> None:
        assert self._shelf is not None
        where = {name: value for name, value in self._where.items() if value}
        self._leaf = leaf = await asyncio.to_thread(self._shelf.leaf, self._start, PAGE_ROWS, where)
        self._list.set_content(_rows(leaf, self._kind))
        end = self._start + len(leaf.rows)
        self._at.set_text(f"{self._start + 1:,} to {end:,} of {leaf.total:,}" if leaf.rows else "none")
        self._back.set_enabled(self._start > 0)
        self._on.set_enabled(end < leaf.total)

    async def _read(self, event: Any) -> None:
        """Show the text of the row that was pressed."""
        place = event.args
        if not isinstance(place, int) or not 0 <= place < len(self._leaf.rows):
            return
        assert self._shelf is not None
        spot, row = self._leaf.rows[place]
        text, cut = await asyncio.to_thread(self._shelf.text, spot)
        self._document.set_content(_document(row, text, cut))
        ui.run_javascript("groundup.reveal('.document')")


_PICK = "(e) => { const row = e.target.closest('[data-row]'); if (row) emit(+row.dataset.row); }"


def _mixture(run: Run) -> str:
    """A bar for each source."""
    sources = [each for each in run.fact("corpus", "sources") or [] if isinstance(each, Mapping)]
    whole = sum(float(each.get("bytes", 0)) * float(each.get("weight", 1)) for each in sources) or 1.0
    bars = []
    for each in sources:
        part = float(each.get("bytes", 0)) * float(each.get("weight", 1)) / whole
        about = (
            f"{each.get('documents', 0):,} documents, {size(each.get('bytes', 0))}, weight {each.get('weight', 1):g}"
        )
        bars.append(
            f"<dt>{escape(str(each.get('label', '')))}<small>{about}</small></dt>"
            f'<dd class="ours"><i style="width:{100 * part:.1f}%"></i><b>{share(part)}</b></dd>'
        )
    return f'<dl class="bars">{"".join(bars)}</dl>' if bars else '<p class="nothing">No source.</p>'


def _funnel(run: Run) -> str:
    """From all that was read down to what is learnt from, a bar for each step."""
    facts = run.fact("corpus")
    if not facts.get("funnel"):
        return '<p class="nothing">This corpus was built before its steps were counted.</p>'
    bars = "".join(
        f"<dt>{escape(step.label)}<small>{step.took}</small></dt>"
        f'<dd class="{step.kind}"><i style="width:{100 * step.part:.2f}%"></i><b>{count(step.documents)}</b></dd>'
        for step in funnel(facts)
    )
    return f'<dl class="bars funnel">{bars}</dl>'


def _rows(leaf: Leaf, kind: str) -> str:
    """The page as a table whose first cell is a button."""
    if not leaf.rows:
        return '<p class="nothing">None.</p>'
    cells = []
    for place, (_, row) in enumerate(leaf.rows):
        name = escape(str(row.get("id") or row.get("path") or ""))
        pick = f'<button type="button" class="pick" data-row="{place}">{name}</button>'
        if kind == "documents":
            cells.append([pick, escape(str(row.get("source", ""))), _split(row), size(row.get("bytes") or 0)])
        else:
            cells.append([pick, escape(str(row.get("source", ""))), _reason(row), _why(row)])
    heads = {"documents": ("Document", "Source", "For", "Size"), "removed": ("Document", "Source", "Reason", "Because")}
    return table(heads[kind], cells, "documents")


def _split(row: Mapping[str, Any]) -> str:
    return "evaluation" if row.get("split") == "held_out" else "training"


def _reason(row: Mapping[str, Any]) -> str:
    return f'<b class="kind spike">{escape(str(row.get("reason") or "").replace("_", " "))}</b>'


def _why(row: Mapping[str, Any]) -> str:
    """The number that decided, beside its limit; of a copy the document that was kept instead."""
    if row.get("duplicate_of"):
        return f"copy of {escape(str(row['duplicate_of']))}"
    if row.get("value") is not None and row.get("threshold"):
        return f"{row['value']:.4g}, the limit is {row['threshold']:.4g}"
    return escape(str(row.get("detail") or "it cannot be read"))


def _document(row: Mapping[str, Any], text: str, cut: bool) -> str:
    """One document: what is known of it, and its text."""
    known = [(name, value) for name, value in row.items() if value not in (None, "")]
    facts = definitions((name, f"{value:.4g}" if isinstance(value, float) else str(value)) for name, value in known)
    end = '<p class="dim">… and so on</p>' if cut else ""
    name = escape(str(row.get("id") or row.get("path")))
    return f'<h3 tabindex="-1">{name}</h3>{facts}<pre>{escape(text)}</pre>{end}'
