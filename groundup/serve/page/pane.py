"""One model that is talked to: its settings, its side of the talk, and the replies as they stream in."""

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from nicegui import background_tasks, ui
from nicegui.element import Element

from groundup.corpus.conversation import Conversation, Message
from groundup.infer.schedule import Request
from groundup.report.units import count
from groundup.serve.page.session import SPEAKERS, Session
from groundup.serve.replies import Piece
from groundup.serve.served import Served
from groundup.serve.wire import ChatMessage, ChatRequest, CompletionRequest

FLUSH_SECONDS = 0.06
"""Between two updates of a reply on the screen: sixteen a second look smooth."""

LEAST_ROOM = 64
"""Tokens that a reply is left at least: older turns are forgotten for it."""


@dataclass
class Settings:
    """How replies are drawn."""

    temperature: float = 0.7
    top_p: float = 0.95
    top_k: int = 0
    """0 is no limit."""
    repetition_penalty: float = 1.0
    max_tokens: int = 200
    seed: int = 1
    """Each time that a question is asked again counts one up."""
    system: str = ""

    def options(self, tries: int) -> dict[str, Any]:
        """The fields of a request."""
        return {
            "temperature": self.temperature,
            "top_p": self.top_p,
            "top_k": self.top_k or None,
            "repetition_penalty": self.repetition_penalty,
            "max_tokens": self.max_tokens,
            "seed": self.seed + tries,
        }


@dataclass(eq=False)
class Turn:
    """One question, and what is known of its reply in one pane."""

    asked: str
    said: str = ""
    tries: int = 0
    told: str = ""
    """How the reply goes, or went."""
    bubble: ui.label | None = None
    note: ui.label | None = None

    def show(self, nothing: str = "…") -> None:
        """Put the reply on the screen as it is now, and `nothing` where there is none."""
        if self.bubble is not None:
            self.bubble.set_text(self.said or nothing)

    def tell(self, told: str) -> None:
        """Say how it goes."""
        self.told = told
        if self.note is not None:
            self.note.set_text(told)


@dataclass(eq=False)
class Pane:
    """One model, and its side of the talk."""

    session: Session
    settings: Settings
    run: str
    stage: str
    turns: list[Turn] = field(default_factory=list)
    task: "asyncio.Task[None] | None" = None
    box: Element | None = None

    @property
    def busy(self) -> bool:
        """It is speaking."""
        return self.task is not None and not self.task.done()

    @property
    def title(self) -> str:
        """What is talked to."""
        return f"{self.run} · {SPEAKERS[self.stage]}"

    def ask(self, turn: Turn) -> None:
        """Begin to answer a turn."""
        self.stop()
        self.task = background_tasks.create(self._answer(turn), name="reply")

    def stop(self) -> None:
        """Say no more."""
        if self.busy and self.task is not None:
            self.task.cancel()

    async def _answer(self, turn: Turn) -> None:
        turn.said, began, first, shown, n, end = "", time.monotonic(), 0.0, 0.0, 0, ""
        turn.show()
        turn.tell("opening the model")
        try:
            async with self._pieces(turn) as pieces:
                turn.tell("reading")
                async for piece in pieces:
                    n += piece.event is not None
                    turn.said += piece.text
                    now = time.monotonic()
                    first = first or now
                    if now - shown >= FLUSH_SECONDS:
                        shown = now
                        turn.show()
                    end = " · cut at its longest" if piece.finish == "length" else ""
            turn.tell(f"{n} tokens · {count(n / max(time.monotonic() - first, 1e-6))} per second{end}")
        except asyncio.CancelledError:
            turn.tell(f"stopped after {time.monotonic() - began:.1f} s")
            raise
        except Exception as error:
            turn.tell(self.session.desk.explain(error))
        finally:
            turn.show("(silence)")

    @asynccontextmanager
    async def _pieces(self, turn: Turn) -> AsyncIterator[AsyncGenerator[Piece, None]]:
        async with self.session.desk.pool.use(self.run, self.stage) as model:
            asked = await asyncio.to_thread(self._requests, model, turn)
            async with aclosing(model.pieces(asked)) as pieces:
                yield pieces

    def _requests(self, model: Served, turn: Turn) -> Sequence[Request]:
        """A base model goes on from the text; the others answer the talk so far, as much of it as the context holds."""
        options = self.settings.options(turn.tries)
        if self.stage == "pretrain":
            return model.completion_requests(CompletionRequest(model=model.name, prompt=turn.asked, **options))
        talk: Conversation = (Message("system", self.settings.system),) if self.settings.system else ()
        for before in self.turns[: self.turns.index(turn)]:
            talk += (Message("user", before.asked), Message("assistant", before.said)) if before.said else ()
        talk = model.dialogue.fit((*talk, Message("user", turn.asked)), min(LEAST_ROOM, model.length // 4))
        messages = [ChatMessage(role=message.role, content=message.content) for message in talk]
        return model.chat_requests(ChatRequest(model=model.name, messages=messages, **options))
