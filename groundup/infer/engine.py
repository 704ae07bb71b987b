"""The one generator: chat, evaluation and roll-outs. Token ids in, token ids out.

Continuous batching: requests enter and leave between steps, so that a short reply never waits for a long one. The live
ones sit in the first rows of one cache; when one ends, the last live row moves into its place, and every matmul runs
on live rows only.
"""

import copy
from collections.abc import Generator, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from groundup.errors import ConfigError, UnsupportedError
from groundup.events import SILENT, Reporter
from groundup.infer.sampling import sample, uniforms
from groundup.infer.schedule import Request, Schedule, Ticket
from groundup.models._base import Model


@dataclass(frozen=True)
class Event:
    """One token of one request. `logp` is the model's own, before temperature and cuts; `stopped` if it was a stop."""

    request_id: int
    token: int
    logp: float
    done: bool
    stopped: bool


@dataclass(frozen=True)
class Completion:
    """All that a request got; `ids` include the stop token when it stopped, and not the prompt."""

    ids: list[int]
    logps: list[float]
    stopped: bool


class Engine:
    """Runs requests through a model, up to `rows` at a time, each of up to `length` tokens with its prompt.

    The weights are shared with `model` unless `dtype` asks for a copy in another precision; either way the model's own
    training mode is left alone. After its weights have changed, call `refresh`.
    """

    def __init__(
        self,
        model: Model,
        *,
        rows: int,
        length: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
    ) -> None:
        self._rows = rows
        self._length = length or model.config.length
        self._device = None if device is None else torch.device(device)
        self._dtype = dtype
        self._schedule = Schedule()
        self._live: list[Ticket] = []
        self._tickets: dict[int, Ticket] = {}
        self._submitted = 0
        self._model = self._ready(model)
        self._cache = self._model.new_cache(rows, self._length)

    @property
    def length(self) -> int:
        """The most tokens of a prompt with its reply."""
        return self._length

    @property
    def model(self) -> Model:
        """The model that generates: in the engine's precision, and in evaluation mode."""
        return self._model

    @property
    def busy(self) -> bool:
        """Some request is not done."""
        return bool(self._tickets)

    def submit(self, request: Request) -> int:
        """Queue a request; its id. Raises ConfigError for a prompt that is empty, too long or of another vocabulary."""
        return self._submit(request).id

    def step(self) -> list[Event]:
        """One more token for every live request, and the first for those that find a free row."""
        with torch.inference_mode():
            tickets = self._decode() if self._live else []
            tickets += self._prefill()
        events = [Event(t.id, t.ids[-1], t.logps[-1], t.done, t.stopped) for t in tickets]
        self._retire()
        return events

    def complete(self, requests: Sequence[Request], progress: Reporter = SILENT) -> list[Completion]:
        """Run all requests to their end; completions in the order of the requests.

        Raises ConfigError as `submit` does, before any of them runs.
        """
        for request in requests:
            self._check(request)
        order = sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt))
        queued = {index: self._submit(requests[index]) for index in order}  # alike lengths together: less padding
        tickets = [queued[index] for index in range(len(requests))]
        with progress.task("generating", total=len(tickets), unit="replies") as bar:
            n_done = 0
            while n_done < len(tickets):
                self.step()
                now = sum(ticket.done for ticket in tickets)
                bar.advance(now - n_done)
                n_done = now
        return [Completion(ticket.ids, ticket.logps, ticket.stopped) for ticket in tickets]

    def stream(self, request: Request) -> Generator[Event, None, None]:
        """The tokens of one request as they come; closing the iterator early cancels it."""
        ticket = self._submit(request)
        shown = 0
        try:
            while not ticket.done or shown < len(ticket.ids):
                if shown == len(ticket.ids):
                    self.step()
                last = ticket.done and shown + 1 == len(ticket.ids)
                yield Event(ticket.id, ticket.ids[shown], ticket.logps[shown], last, last and ticket.stopped)
                shown += 1
        finally:
            self.cancel(ticket.id)

    def cancel(self, request_id: int) -> None:
        """Drop a request; one that is done or unknown is left alone."""
        ticket = self._tickets.get(request_id)
        if ticket is None:
            return
        ticket.done = True
        if ticket in self._live:
            self._retire()
        else:
            self._schedule.remove(ticket)
            del self._tickets[request_id]

    def refresh(self, model: Model) -> None:
        """Take the weights of `model`. Raises UnsupportedError while requests run: they remember the old weights."""
        if self.busy:
            raise UnsupportedError(f"{len(self._tickets)} requests are still running; finish or cancel them first")
        before, self._model = self._model, self._ready(model)
        if self._model.config != before.config or self._model.vocab_size != before.vocab_size:
            self._cache = self._model.new_cache(self._rows, self._length)

    def _ready(self, model: Model) -> Model:
        """The model in evaluation mode, here and in this precision: its own weights if that is what they are."""
        weight = model.head_weight
        device, dtype = self._device or weight.device, self._dtype or weight.dtype
        if (device, dtype) == (weight.device, weight.dtype):
            shared = {id(tensor): tensor for tensor in (*model.parameters(), *model.buffers())}
            return copy.deepcopy(model, shared).eval()
        return copy.deepcopy(model).to(device, dtype).requires_grad_(False).eval()

    def _check(self, request: Request) -> None:
        n, V = len(request.prompt), self._model.vocab_size
        if n == 0:
            raise ConfigError("the prompt is empty; begin it with at least one id, such as end of text")
        if n > self._length:
            raise ConfigError(f"the prompt has {n} tokens and the context {self._length}; shorten the prompt")
        if request.max_tokens < 1:
            raise ConfigError(f"max_tokens={request.max_tokens} asks for nothing; use 1 or more")
        if not all(0 <= token < V for token in request.prompt):
            raise ConfigError(f"the prompt has ids outside 0..{V - 1}; encode it with the tokenizer of this model")

    def _submit(self, request: Request) -> Ticket:
        self._check(request)
        room = self._length - len(request.prompt) + 1  # the last token is not read, it needs no place
        ticket = Ticket(self._submitted, request, min(request.max_tokens, room))
        self._submitted += 1
        self._tickets[ticket.id] = ticket
        self._schedule.add(ticket)
        return ticket

    def _decode(self) -> list[Ticket]:
        tokens = torch.tensor([[ticket.ids[-1]] for ticket in self._live], device=self._cache.lengths.device)
        hidden = self._model(tokens, cache=self._cache.slice(0, len(self._live)))
        return self._sample(hidden[:, -1], self._live)

    def _prefill(self) -> list[Ticket]:
        start = len(self._live)
        tickets = self._schedule.admit(self._rows - start)
        if not tickets:
            return []
        counts = torch.tensor([len(ticket.request.prompt) for ticket in tickets])
        tokens = torch.zeros(len(tickets), int(counts.max()), dtype=torch.int64)
        for row, ticket in enumerate(tickets):
            tokens[row, : counts[row]] = torch.tensor(ticket.request.prompt)
        counts, tokens = counts.to(self._cache.lengths.device), tokens.to(self._cache.lengths.device)
        self._cache.clear(start, start + len(tickets))
        hidden = self._model(tokens, cache=self._cache.slice(start, start + len(tickets), counts))
        self._live += tickets
        return self._sample(hidden[torch.arange(len(tickets), device=hidden.device), counts - 1], tickets)

    def _sample(self, hidden: Tensor, tickets: Sequence[Ticket]) -> list[Ticket]:
        numbers = uniforms([ticket.request.seed for ticket in tickets], [len(ticket.ids) for ticket in tickets])
        tokens, logps = sample(self._model.logits(hidden), [ticket.sampling for ticket in tickets], numbers)
        for ticket, token, logp in zip(tickets, tokens.tolist(), logps.tolist(), strict=True):
            ticket.add(token, logp)
        return list(tickets)

    def _retire(self) -> None:
        """Free the rows of tickets that are done; the last live row moves into each hole."""
        for row in range(len(self._live) - 1, -1, -1):
            if self._live[row].done:
                del self._tickets[self._live[row].id]
                last = self._live.pop()
                if row < len(self._live):
                    self._live[row] = last
                    with torch.inference_mode():
                        self._cache.move(len(self._live), row)
