"""Chat: one question to one or several models side by side, streamed; stop, edit, ask again, settings."""

import asyncio
from collections.abc import Callable
from functools import partial
from html import escape
from typing import Any

from nicegui import ui

from groundup.serve.page.pane import Pane, Settings, Turn
from groundup.serve.page.session import SPEAKERS, Session, button, html, select

MOST_PANES = 4


class ChatTab:
    """The tab: panes side by side above one line to write in."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._settings = Settings()
        self._panes: list[Pane] = []
        self._known: dict[str, list[str]] = {}

    async def build(self) -> None:
        """Make the elements."""
        with ui.element("div").classes("chat-tab"):
            with ui.element("div").classes("toolbar"):
                button("Compare", self._compare)
                button("Base, SFT and GRPO", self._all_stages)
                button("New talk", self._forget)
                ui.space()
                self._toggle = button("Settings", self._show_settings)
            self._build_settings()
            self._grid = ui.element("div").classes("panes")
            with ui.element("form").classes("composer") as form:
                form.on("submit", self._send, js_handler="(e) => { e.preventDefault(); emit(); }")
                self._line = ui.textarea(placeholder="Ask something").props(
                    'outlined autogrow autofocus aria-label="Your message"'
                )
                self._line.on("keydown.enter", self._send, js_handler=_SEND_ON_ENTER)
                self._go = ui.button("Send", color=None).props("unelevated no-caps type=submit").classes("strong")
                self._halt = button("Stop", self._stop)
        ui.timer(0.2, self._watch)
        ui.context.client.on_delete(self._stop)
        await self.refresh()

    async def refresh(self) -> None:
        """Another run was chosen: a talk that has not begun goes to it."""
        runs = await self._session.desk.all_runs()
        known = await asyncio.to_thread(lambda: {run.name: [s for s in SPEAKERS if s in run.artifacts] for run in runs})
        self._known = {name: stages for name, stages in known.items() if stages}
        if not any(pane.turns for pane in self._panes):
            stages = self._known.get(self._session.name) or next(iter(self._known.values()), [])
            name = self._session.name if self._session.name in self._known else next(iter(self._known), "")
            self._panes = [self._pane(name, stages[0])] if stages else []
        self._draw()

    def _pane(self, run: str, stage: str) -> Pane:
        return Pane(self._session, self._settings, run, stage)

    def _build_settings(self) -> None:
        """The knobs, hidden until they are asked for."""
        with ui.element("div").classes("settings") as self._knobs:
            for label, name, low, high, step in (
                ("Temperature", "temperature", 0, 2, 0.05),
                ("Top p", "top_p", 0.05, 1, 0.05),
                ("Top k, 0 is all", "top_k", 0, 1000, 1),
                ("Repetition penalty", "repetition_penalty", 0.5, 2, 0.05),
                ("Longest reply, tokens", "max_tokens", 1, 4096, 1),
                ("Seed", "seed", 0, 2**31, 1),
            ):
                number = ui.number(label, min=low, max=high, step=step, on_change=self._setter(name, low, high))
                number.set_value(getattr(self._settings, name))
                number.props("outlined dense")
            system = ui.textarea("System message", on_change=self._setter("system"))
            system.props("outlined dense autogrow").classes("wide")
        self._knobs.set_visibility(False)

    def _setter(self, name: str, low: float = 0.0, high: float = 0.0) -> Callable[[Any], None]:
        """What takes a new value of a setting; one that is none leaves the old."""

        def take(event: Any) -> None:
            kind = type(getattr(self._settings, name))
            if event.value is None:
                return
            setattr(self._settings, name, kind(min(max(event.value, low), high)) if kind is not str else event.value)

        return take

    def _show_settings(self) -> None:
        self._knobs.set_visibility(not self._knobs.visible)

    def _compare(self) -> None:
        """One more pane: the next stage of the last one's run that is not shown yet."""
        if not self._panes or len(self._panes) >= MOST_PANES:
            ui.notify(f"At most {MOST_PANES} side by side.")
            return
        last = self._panes[-1]
        shown = {(pane.run, pane.stage) for pane in self._panes}
        every = [(last.run, stage) for stage in self._known[last.run]]
        every += [(run, stages[0]) for run, stages in self._known.items()]
        self._add(*next((pair for pair in every if pair not in shown), every[0]))

    def _all_stages(self) -> None:
        """The stages of one run, in the order in which they were made."""
        if not self._panes:
            return
        run = self._panes[0].run
        for stage in reversed([s for s in self._known[run] if s in ("pretrain", "sft", "grpo")]):
            if not any((pane.run, pane.stage) == (run, stage) for pane in self._panes):
                self._add(run, stage)
        self._panes.sort(key=lambda pane: (pane.run != run, -[*SPEAKERS].index(pane.stage)))
        self._draw()

    def _add(self, run: str, stage: str) -> None:
        """A pane that is asked what the others were."""
        pane = self._pane(run, stage)
        pane.turns = [Turn(turn.asked) for turn in self._panes[0].turns]
        self._panes.append(pane)
        self._draw()
        if pane.turns:
            pane.ask(pane.turns[-1])

    def _drop(self, pane: Pane) -> None:
        pane.stop()
        self._panes.remove(pane)
        self._draw()

    def _forget(self) -> None:
        """Begin anew."""
        self._stop()
        for pane in self._panes:
            pane.turns.clear()
        self._draw()

    def _change(self, pane: Pane, chosen: str) -> None:
        """Another model in a pane; it answers the last question."""
        pane.stop()
        pane.run, _, pane.stage = chosen.rpartition("/")
        pane.turns = [Turn(turn.asked) for turn in pane.turns]
        self._draw()
        if pane.turns:
            pane.ask(pane.turns[-1])

    def _send(self) -> None:
        """Ask every pane what is in the line."""
        text = (self._line.value or "").strip()
        if not text or not self._panes:
            return
        self._line.set_value("")
        for pane in self._panes:
            pane.stop()
            turn = Turn(text)
            pane.turns.append(turn)
            self._draw_turn(pane, turn)
            pane.ask(turn)
        ui.run_javascript("groundup.follow()")

    def _edit(self, index: int) -> None:
        """Take a question back into the line; it and all that came after it are forgotten."""
        self._line.set_value(self._panes[0].turns[index].asked)
        for pane in self._panes:
            pane.stop()
            del pane.turns[index:]
        self._draw()
        self._line.run_method("focus")

    def _again(self, pane: Pane, turn: Turn) -> None:
        """Answer anew with the next seed; what came after is forgotten."""
        pane.stop()
        index = pane.turns.index(turn)
        if index + 1 < len(pane.turns):
            for each in self._panes:
                each.stop()
                del each.turns[index + 1 :]
            self._draw()
        turn.tries += 1
        pane.ask(turn)

    def _stop(self) -> None:
        for pane in self._panes:
            pane.stop()

    def _watch(self) -> None:
        """The button that can be pressed is the one that is seen."""
        busy = any(pane.busy for pane in self._panes)
        self._go.set_visibility(not busy)
        self._halt.set_visibility(busy)

    def _draw(self) -> None:
        """All panes anew."""
        self._grid.clear()
        self._grid.classes(remove="n1 n2 n3 n4", add=f"n{len(self._panes)}")
        choices = {f"{run}/{s}": f"{run} · {SPEAKERS[s]}" for run, stages in self._known.items() for s in stages}
        with self._grid:
            if not self._panes:
                html("No stage of any run has left a model yet. Look at <b>Training</b> for how far it is.", "nothing")
            for pane in self._panes:
                self._draw_pane(pane, choices)

    def _draw_pane(self, pane: Pane, choices: dict[str, str]) -> None:
        with ui.element("section").classes("pane") as section:
            section.props["aria-label"] = pane.title
            with ui.element("div").classes("pane-head"):
                chosen = f"{pane.run}/{pane.stage}"
                select("Model", choices | {chosen: pane.title}, chosen, partial(self._change, pane))
                if len(self._panes) > 1:
                    button("×", lambda: self._drop(pane), label=f"Close {pane.title}")
            pane.box = ui.element("ol").classes("talk").props('tabindex=0 aria-label="The talk"')
            with pane.box:
                if not pane.turns:
                    hint = "goes on from your text" if pane.stage == "pretrain" else "answers"
                    html(f"<b>{escape(pane.run)}</b> {hint}.", "hint", tag="li")
            for turn in pane.turns:
                self._draw_turn(pane, turn)

    def _draw_turn(self, pane: Pane, turn: Turn) -> None:
        assert pane.box is not None
        index = pane.turns.index(turn)
        if index == 0:
            pane.box.clear()
        with pane.box:
            with ui.element("li").classes("user"):
                ui.label(turn.asked).classes("bubble")
                with ui.element("div").classes("under"):
                    button("Edit", lambda: self._edit(index))
            with ui.element("li").classes("model"):
                turn.bubble = ui.label(turn.said or "…").classes("bubble")
                with ui.element("div").classes("under"):
                    turn.note = ui.label(turn.told).classes("dim")
                    button("Again", lambda: self._again(pane, turn))


_SEND_ON_ENTER = "(e) => { if (!e.shiftKey && !e.isComposing) { e.preventDefault(); emit(); } }"
