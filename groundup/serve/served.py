"""A model that is served: its dialogue, its worker, and what a request becomes on its way to the engine."""

import asyncio
import secrets
import time
from collections.abc import AsyncGenerator, Callable, Sequence
from dataclasses import replace
from functools import partial
from random import Random
from typing import Any, TypeVar

from torch import Tensor

from groundup.corpus.conversation import with_tools
from groundup.dialogue import Dialogue
from groundup.errors import DataError
from groundup.infer.embedding import embed
from groundup.infer.engine import Engine, Event
from groundup.infer.grammar import ANY_OBJECT, Grammar, Grammars
from groundup.infer.schedule import Request
from groundup.infer.text import Detokenizer
from groundup.serve.guard import Limits
from groundup.serve.replies import Piece
from groundup.serve.telemetry import Telemetry
from groundup.serve.toolbox import Toolbox
from groundup.serve.wire import ApiError, ChatRequest, CompletionRequest, Generation, Ids, ResponseFormat, talk_of
from groundup.serve.worker import FullError, Worker
from groundup.tokenizer.special import END_OF_TEXT, END_OF_TURN

T = TypeVar("T")

MOST_REQUESTS = 64  # replies to one HTTP request: prompts times n
EMBEDDED_ROWS = 16  # texts that are embedded in one go, between two steps of the engine


class Served:
    """One model behind the server. `start` and `stop` go around all else; `dialogue.engine` is the worker's alone."""

    def __init__(self, name: str, dialogue: Dialogue, limits: Limits, telemetry: Telemetry) -> None:
        self.name, self.dialogue, self.created = name, dialogue, int(time.time())
        self.table = dialogue.chat.tokenizer.token_bytes
        self.special = dialogue.chat.stop_ids
        self._limits, self._telemetry = limits, telemetry
        end = dialogue.chat.tokenizer.special[END_OF_TURN]
        self._grammars = Grammars(self.table, dialogue.chat.tokenizer.encode, self.special, end)
        self._worker = Worker(dialogue.engine, waiting=limits.waiting)
        self.start = self._worker.start
        telemetry.open.labels(name).set_function(lambda: self._worker.open)

    def stop(self) -> None:
        """Cancel what still runs and end the thread. Raises RuntimeError when it does not end."""
        self._telemetry.open.remove(self.name)
        self._worker.stop()

    @property
    def length(self) -> int:
        """The context, in tokens."""
        return self.dialogue.engine.length

    def card(self) -> dict[str, Any]:
        """What `/v1/models` says of it."""
        card = {"id": self.name, "object": "model", "created": self.created, "owned_by": "groundup"}
        return {**card, "max_model_len": self.length}

    def chat_requests(self, asked: ChatRequest, tools: Toolbox | None = None) -> list[Request]:
        """What the engine is asked, once for each choice. Raises ApiError, and ConfigError for an option."""
        if len(asked.messages) > self._limits.messages:
            message = f"the chat has {len(asked.messages)} messages; send at most {self._limits.messages}"
            raise ApiError(400, message, param="messages")
        most = self.length if asked.most_tokens() is None else asked.most_tokens()
        options = asked.options() | {"top": asked.top_logprobs or 0}
        tools = tools or Toolbox()
        talk = with_tools(talk_of(asked.messages), tools.definitions())
        try:
            base = self.dialogue.request(talk, max_tokens=most or 1, tools=tools.may, **options)
        except DataError as error:
            raise ApiError(400, str(error), param="messages", code="context_length_exceeded") from None
        if (forced := tools.forced()) is None:
            return self._several(asked, [base])
        prompt = [*base.prompt, self.dialogue.chat.call_id]
        called = replace(base, prompt=prompt, max_tokens=min(base.max_tokens, self.length - len(prompt)))
        return self._several(asked, [called], self._grammars.json(forced, spaced=True))

    def completion_requests(self, asked: CompletionRequest) -> list[Request]:
        """What the engine is asked, the choices of each prompt together. Raises as `chat_requests` does."""
        most = asked.max_tokens or self.length
        options = asked.options() | {"top": asked.logprobs or 0, "stop": self.special}
        prompts = [self.encode(prompt) for prompt in asked.prompts()]
        for ids in prompts:
            self._check(ids, "prompt")
        bases = [Request(ids, max_tokens=min(most, self.length - len(ids)), **options) for ids in prompts]
        return self._several(asked, bases)

    def encode(self, text: "str | Ids") -> list[int]:
        """The ids of a text that begins a document, none of them but the first special; ids stay what they are."""
        tokenizer = self.dialogue.chat.tokenizer
        return [tokenizer.special[END_OF_TEXT], *tokenizer.encode(text)] if isinstance(text, str) else list(text)

    def deadline(self) -> float:
        """When a reply that begins now is cut, by the clock of the event loop."""
        return asyncio.get_running_loop().time() + self._limits.request_seconds

    async def pieces(self, requests: Sequence[Request], until: float | None = None) -> AsyncGenerator[Piece, None]:
        """The replies as they come. Whoever stops listening must close the generator: that cancels what still runs.

        A reply that is not done at `until` (else `deadline`) is cut. Raises ApiError when the queue is full, or the
        engine fails.
        """
        inbox: asyncio.Queue[tuple[int, Event | Exception]] = asyncio.Queue()
        voices = [_Voice(self.table, request, self.dialogue.chat.call_id) for request in requests]
        clock = _Clock(self._telemetry, self.name, len(requests))
        try:
            job = self._worker.submit(requests, lambda number, event: inbox.put_nowait((number, event)))
        except FullError as error:
            raise self._full(error.seconds) from None
        left = set(range(len(requests)))
        late = self.deadline() if until is None else until
        try:
            while left:
                try:
                    async with asyncio.timeout_at(late):
                        number, event = await inbox.get()
                except TimeoutError:
                    if not clock.any_token:
                        raise self._full(30) from None
                    for number in sorted(left):
                        yield Piece(number, voices[number].close(), None, "length")
                    return
                if isinstance(event, Exception):
                    self._telemetry.failure(event)
                    raise ApiError(500, f"the engine failed ({type(event).__name__}); the server's log says more")
                clock.token(number)
                text, spoken = voices[number].add(event.token)
                if event.done:
                    left.discard(number)
                    text += voices[number].close()
                    yield Piece(number, text, event, "stop" if event.stopped else "length", spoken)
                else:
                    yield Piece(number, text, event, None, spoken)
        finally:
            if left:
                self._worker.cancel(job)
                self._telemetry.abandoned.labels(self.name).inc()

    async def embed(self, texts: Sequence[Sequence[int]]) -> list[list[float]]:
        """A vector for each row of ids. Raises ApiError for one that is too long, and when the queue is full."""
        for ids in texts:
            self._check(ids, "input", reply=0)
        vectors: list[list[float]] = []
        for start in range(0, len(texts), EMBEDDED_ROWS):
            part = texts[start : start + EMBEDDED_ROWS]
            vectors += (await self.call(partial(_embed, texts=part))).tolist()
        return vectors

    async def call(self, work: Callable[[Engine], T]) -> T:
        """What `work` returns, or raises, given the engine, in its thread. Raises ApiError when the queue is full."""
        try:
            return await self._worker.call(work)
        except FullError as error:
            raise self._full(error.seconds) from None

    def _several(self, asked: Generation, bases: Sequence[Request], grammar: Grammar | None = None) -> list[Request]:
        """Each request `n` times, each with a seed and a grammar of its own. Raises ApiError."""
        if len(bases) * asked.n > MOST_REQUESTS:
            raise ApiError(400, f"{len(bases) * asked.n} replies in one request; ask for at most {MOST_REQUESTS}")
        seed = secrets.randbits(48) if asked.seed is None else asked.seed
        grammar = grammar or self._grammar(asked.response_format)
        requests = []
        for index, base in enumerate(base for base in bases for _ in range(asked.n)):
            own = Random(f"{seed} {index}").getrandbits(48)
            requests.append(replace(base, seed=own, guide=grammar and grammar.copy()))
        return requests

    def _grammar(self, form: ResponseFormat | None) -> Grammar | None:
        """What the reply must keep to, if anything."""
        if form is None or form.type == "text":
            return None
        if form.type == "regex":
            return self._grammars.regex(form.regex or "")
        return self._grammars.json(ANY_OBJECT if form.json_schema is None else form.json_schema.schema_)

    def _check(self, ids: Sequence[int], param: str, reply: int = 1) -> None:
        """Raises ApiError for ids that are no tokens, or that leave no room for `reply` tokens."""
        n, V = len(ids), len(self.table)
        if n + reply > self.length:
            message = f"{n} tokens do not fit in the context of {self.length}; send a shorter text"
            raise ApiError(400, message, param=param, code="context_length_exceeded")
        if not all(0 <= token < V for token in ids):
            raise ApiError(400, f"{param} has ids outside 0..{V - 1}; use ids of this model's tokenizer", param=param)

    def _full(self, seconds: int) -> ApiError:
        self._telemetry.refused.labels(self.name).inc()
        message = f"the server is busy; try again in {seconds} s"
        return ApiError(429, message, code="rate_limit_exceeded", retry=seconds)


def _embed(engine: Engine, texts: Sequence[Sequence[int]]) -> Tensor:
    return embed(engine.model, texts)


class _Voice:
    """The text of one reply; silent from where the call of a tool begins."""

    def __init__(self, table: Sequence[bytes], request: Request, mark: int) -> None:
        self._text, self._mark = Detokenizer(table, request.stop_strings), mark
        self._silent = request.prompt[-1] == mark

    def add(self, token: int) -> tuple[str, bool]:
        """The text that became certain with this token, and whether the token is part of the text."""
        if self._silent:
            return "", False
        self._silent = token == self._mark
        return (self._text.close(), False) if self._silent else (self._text.add(token), True)

    def close(self) -> str:
        """The rest, once there are no more tokens."""
        return "" if self._silent else self._text.close()


class _Clock:
    """Times the tokens of one job."""

    def __init__(self, telemetry: Telemetry, model: str, n: int) -> None:
        self._first, self._gap = telemetry.first_token.labels(model), telemetry.token_gap.labels(model)
        self._began = time.monotonic()
        self._last: list[float | None] = [None] * n

    @property
    def any_token(self) -> bool:
        """Something came."""
        return any(last is not None for last in self._last)

    def token(self, number: int) -> None:
        """A token of a choice came."""
        now, last = time.monotonic(), self._last[number]
        (self._first if last is None else self._gap).observe(now - (self._began if last is None else last))
        self._last[number] = now
