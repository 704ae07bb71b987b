"""Inside: how surprised a model is at each token of a text, where it looks, what its layers would say, its tokens."""

import asyncio
import base64
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from nicegui import ui

from groundup.errors import GroundupError
from groundup.infer.engine import Engine
from groundup.infer.inside import Guess, Place, attention, lens, read
from groundup.serve.page.picture import picture
from groundup.serve.page.session import SPEAKERS, Session, button, html, section, select
from groundup.serve.page.tokens import Words, lens_table, pieces, surprise
from groundup.serve.served import Served

MOST_TOKENS = 256
"""Of a text that are looked at: an attention map has a pixel for each pair."""

BEGINNING = "The little dog ran to the door. He was happy to see his friend, and they went out to play."


class InsideTab:
    """The tab: a text, and four ways to look at what a model makes of it. The model works in its engine's thread."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._stage = ""
        self._ids: list[int] = []
        self._layer = 0

    async def build(self) -> None:
        """Make the elements."""
        with ui.element("div").classes("toolbar"):
            self._stages = select("Stage", {}, "", self._choose_stage)
            self._run = button("Look inside", self._look, strong=True)
            self._note = ui.label("").classes("dim").props("role=status")
        self._text = ui.textarea("Text", value=BEGINNING).props("outlined autogrow").classes("source")
        with section(
            "Surprisal", "bits that each token costs; point at one, or go there with Tab, for what was expected"
        ):
            self._surprise = html("")
            html('<span class="scale"><i></i>expected <b></b> not at all</span>', "key")
        with section("Attention", "how much each token takes from those before it"):
            with ui.element("div").classes("toolbar"):
                self._layers = select("Layer", {}, "", self._choose_layer)
            self._maps = html("")
        with section("Logit lens", "what each layer would say, as if those behind it were not there"):
            self._lens = html("")
        with section("Tokens", "how the tokenizer cuts a text; what spells a control token stays text"):
            self._play = ui.textarea("Try the tokenizer", value="Hello, world! <|end_of_text|> naïve 日本語 1234567")
            self._play.props("outlined autogrow debounce=150").on_value_change(self._cut)
            self._pieces = html("")
        await self.refresh()

    async def refresh(self) -> None:
        """The stages of the run, at first the base model; what was looked at in another run is looked at in this."""
        found = await asyncio.to_thread(lambda: list(self._session.run.artifacts))
        stages = {stage: name for stage, name in SPEAKERS.items() if stage in found}
        old, self._stage = self._stage, self._stage if self._stage in stages else next(reversed(stages), "")
        self._stages.set_options(stages, value=self._stage or None)
        if not stages:
            self._note.set_text("This run has left no model yet.")
            return
        if not old or self._ids:
            await self._look()
            await self._cut()

    async def _choose_stage(self, stage: str) -> None:
        if stage and stage != self._stage:
            self._stage = stage
            await self._look()

    async def _choose_layer(self, layer: str) -> None:
        if layer and int(layer) != self._layer:
            self._layer = int(layer)
            await self._show_attention()

    async def _look(self) -> None:
        """Read the text with the model, and show all that is seen."""
        text, self._note.text = self._text.value or "", "reading…"
        try:
            async with self._session.desk.pool.use(self._session.name, self._stage) as model:
                encoded = await asyncio.to_thread(model.encode, text)
                self._ids = ids = encoded[: min(MOST_TOKENS, model.length)]
                places, layers = await model.call(lambda engine: _inside(engine, ids))
                words = words_of(model)
                self._surprise.set_content(surprise(words, ids[0], places))
                self._lens.set_content(lens_table(words, ids, layers))
                depth = len(layers) - 1
                self._layer = min(self._layer, depth - 1)
                names = {str(number): f"{number + 1} of {depth}" for number in range(depth)}
                self._layers.set_options(names, value=str(self._layer))
                self._note.set_text(_summary(places, text, len(encoded) > len(ids)))
                await self._draw_attention(model)
        except Exception as error:
            self._fail(error)

    async def _show_attention(self) -> None:
        try:
            async with self._session.desk.pool.use(self._session.name, self._stage) as model:
                await self._draw_attention(model)
        except Exception as error:
            self._fail(error)

    async def _draw_attention(self, model: Served) -> None:
        ids, layer = self._ids, self._layer
        try:
            maps = await model.call(lambda engine: attention(engine.model, ids, layer).numpy())
        except GroundupError as error:  # a model without attention
            self._maps.set_content(f'<p class="nothing">{escape(str(error))}</p>')
            return
        self._maps.set_content(await asyncio.to_thread(heads, words_of(model), ids, maps))

    async def _cut(self) -> None:
        """The playground: as it is typed."""
        text = self._play.value or ""
        try:
            async with self._session.desk.pool.use(self._session.name, self._stage) as model:
                ids = await asyncio.to_thread(model.dialogue.chat.tokenizer.encode, text)
                n_bytes = len(text.encode())
                figures = f"{len(ids):,} tokens, {n_bytes:,} bytes" + (
                    f", {n_bytes / len(ids):.2f} each" if ids else ""
                )
                vocabulary = f"vocabulary {len(model.table):,}"
                shown = pieces(words_of(model), ids[: 4 * MOST_TOKENS])
                self._pieces.set_content(f'{shown}<p class="dim">{figures}; {vocabulary}</p>')
        except Exception as error:
            self._fail(error)

    def _fail(self, error: Exception) -> None:
        self._note.set_text(self._session.desk.explain(error))


def words_of(model: Served) -> Words:
    """What the tokens of a model are called."""
    special = model.dialogue.chat.tokenizer.special
    return Words(model.table, {token: name for name, token in special.items()})


def heads(words: Words, ids: Sequence[int], maps: "np.ndarray[Any, Any]") -> str:
    """The maps of a layer `(H, T, T)`, and the text, in which the token under the pointer shows where it looks."""
    largest = maps / np.maximum(maps.max(-1, keepdims=True), 1e-9)  # each row from 0 to 1, so that faint ones are seen
    buttons = "".join(
        f'<button type="button" class="head" data-head="{number}" aria-pressed="{str(number == 0).lower()}">'
        f'<i style="mask-image:url({picture(maps[number] ** 0.5)})"></i>head {number + 1}</button>'
        for number in range(len(maps))
    )
    data = base64.b64encode((largest * 255).astype(np.uint8).tobytes()).decode()
    spans = "".join(
        f'<span class="tok" tabindex="0" role="button" data-at="{place}">{words.shown(token)}</span>'
        for place, token in enumerate(ids)
    )
    return (
        f'<div class="heads" data-n="{len(ids)}" data-maps="{data}"><div class="choices" role="group" '
        f'aria-label="Heads">{buttons}</div><div class="text" role="group" aria-label="Attention of a token">{spans}'
        "</div></div>"
    )


def _inside(engine: Engine, ids: list[int]) -> tuple[list[Place], list[list[Guess]]]:
    return read(engine.model, ids), lens(engine.model, ids)


def _summary(places: Sequence[Place], text: str, cut: bool) -> str:
    total = sum(place.surprisal for place in places)
    likeliest = sum(place.rank == 1 for place in places)
    shown = f"; the first {len(places) + 1} tokens of the text" if cut else ""
    per_byte = "" if cut else f", {total / max(1, len(text.encode())):.2f} bits per byte"
    return f"{len(places)} tokens, {total:.0f} bits{per_byte}; {likeliest} were the likeliest{shown}"
