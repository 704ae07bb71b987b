"""The one generator: chat, evaluation and roll-outs. Token ids in, token ids out.

Continuous batching: requests enter and leave between steps, so that a short reply never waits for a long one. The live
ones sit in the first rows of one cache; when one ends, the last live row moves into its place, and every matmul runs
on live rows only. Equal prompts that enter together are read once and their memory copied. A long prompt is read aside,
a chunk a step, so that it never holds up the others.
"""

from collections.abc import Generator, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from groundup.errors import ConfigError, UnsupportedError
from groundup.events import SILENT, Reporter
from groundup.infer.draw import Drawn, draw
from groundup.infer.schedule import CHUNK_TOKENS, PREFILL_TOKENS, Draft, Request, Schedule, Ticket
from groundup.infer.text import Detokenizer
from groundup.layers.cache import Cache
from groundup.models._base import Model, generating

if TYPE_CHECKING:
    from groundup.infer.compiled import Compiled as Programs


@dataclass(frozen=True)
class Event:
    """One token of one request.

    `logp` is the model's own, before penalties, temperature and cuts, and so are those of the alternatives in `top`;
    `stopped` if the reply ended with it by itself, and was not cut.
    """

    request_id: int
    token: int
    logp: float
    done: bool
    stopped: bool
    top: tuple[tuple[int, float], ...] = ()


@dataclass(frozen=True)
class Completion:
    """All that a request got; `ids` include the stop token when it stopped, and not the prompt.

    `tops` are the alternatives of each token where the request asked for them.
    """

    ids: list[int]
    logps: list[float]
    stopped: bool
    tops: list[tuple[tuple[int, float], ...]] = field(default_factory=list)

    @property
    def drawn(self) -> list[bool]:
        """Which of the ids the model drew: all of them."""
        return [True] * len(self.ids)


class Engine:
    """Runs requests through a model, up to `rows` at a time, each of up to `length` tokens with its prompt.

    The weights are shared with `model` unless `dtype` asks for a copy in another precision; either way the model's own
    training mode is left alone. After its weights have changed, call `refresh`. `table` holds the bytes of each id: it
    is needed where requests have stop strings.
    """

    def __init__(
        self,
        model: Model,
        *,
        rows: int,
        length: int | None = None,
        device: torch.device | str | None = None,
        dtype: torch.dtype | None = None,
        table: Sequence[bytes] | None = None,
        draft: Draft | None = None,
        compiled: Reporter | None = None,
    ) -> None:
        """With a `draft` (`infer/speculate.py`) some steps give several tokens.

        Where `compiled` is given, it is told how far the compiler is, and steps of one token then run as programs
        (`infer/compiled.py`). Raises UnsupportedError for a draft with a model that cannot go back, and where there is
        nothing to compile with; ConfigError for a draft of other ids.
        """
        self._rows = rows
        self._table = table
        self._length = length or model.config.length
        self._device = None if device is None else torch.device(device)
        self._dtype = dtype
        self._schedule = Schedule()
        self._live: list[Ticket] = []
        self._tickets: dict[int, Ticket] = {}
        self._submitted = 0
        self._model = generating(model, self._device, self._dtype, packed=True)
        self._cache = self._model.new_cache(rows, self._length)
        self._aside = _Aside()
        self._draft = draft
        if draft is not None:
            draft.check(self._model, self._cache)
        self._compiled: Programs | None = None
        if compiled is not None:
            from groundup.infer.compiled import Compiled

            self._compiled = Compiled(generating(model, self._device, self._dtype, packed=False), self._cache, compiled)

    @property
    def length(self) -> int:
        """The most tokens of a prompt with its reply."""
        return self._length

    @property
    def rows(self) -> int:
        """The most requests that run at a time."""
        return self._rows

    @property
    def model(self) -> Model:
        """The model that generates: in the engine's precision, and in evaluation mode."""
        return self._model

    @property
    def busy(self) -> bool:
        """Some request is not done."""
        return bool(self._tickets)

    def submit(self, request: Request) -> int:
        """Queue a request; its id. Raises ConfigError as `check` does."""
        return self._submit(request).id

    def check(self, request: Request) -> None:
        """Raises ConfigError for a request that cannot run: a prompt that is empty, too long or of other ids.

        Nothing is changed, so any thread may ask.
        """
        n, V = len(request.prompt), self._model.vocab_size
        if n == 0:
            raise ConfigError("the prompt is empty; begin it with at least one id, such as end of text")
        if n > self._length:
            raise ConfigError(f"the prompt has {n} tokens and the context {self._length}; shorten the prompt")
        if request.max_tokens < 1:
            raise ConfigError(f"max_tokens={request.max_tokens} asks for nothing; use 1 or more")
        if not all(0 <= token < V for token in request.prompt):
            raise ConfigError(f"the prompt has ids outside 0..{V - 1}; encode it with the tokenizer of this model")
        if not all(0 <= token < V for token in request.bias):
            raise ConfigError(f"bias has ids outside 0..{V - 1}; use ids of this model's tokenizer")
        if request.stop_strings and self._table is None:
            raise ConfigError("stop_strings need an engine with a table of the ids' bytes; make it with `table=`")

    def step(self) -> list[Event]:
        """One more token for every live request, several where a draft is right, and the first for new ones."""
        return [event for ticket in self._advance() for event in _news(ticket)]

    def complete(self, requests: Sequence[Request], progress: Reporter = SILENT) -> list[Completion]:
        """Run all requests to their end; completions in the order of the requests.

        Raises ConfigError as `submit` does, before any of them runs.
        """
        for request in requests:
            self.check(request)
        order = sorted(range(len(requests)), key=lambda index: -len(requests[index].prompt))
        queued = {index: self._submit(requests[index]) for index in order}  # alike lengths together: less padding
        tickets = [queued[index] for index in range(len(requests))]
        with progress.task("generating", total=len(tickets), unit="replies") as bar:
            n_done = 0
            while n_done < len(tickets):
                self._advance()
                now = sum(ticket.done for ticket in tickets)
                bar.advance(now - n_done)
                n_done = now
        return [Completion(ticket.ids, ticket.logps, ticket.stopped, ticket.tops) for ticket in tickets]

    def stream(self, request: Request) -> Generator[Event, None, None]:
        """The tokens of one request as they come; closing the iterator early cancels it."""
        ticket = self._submit(request)
        shown = 0
        try:
            while not ticket.done or shown < len(ticket.ids):
                if shown == len(ticket.ids):
                    self.step()
                    continue
                last = ticket.done and shown + 1 == len(ticket.ids)
                token, logp, top = ticket.ids[shown], ticket.logps[shown], ticket.tops[shown]
                yield Event(ticket.id, token, logp, last, last and ticket.stopped, top)
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
            return
        del self._tickets[request_id]
        if ticket in self._aside.tickets:
            self._aside.tickets.remove(ticket)
        else:
            self._schedule.remove(ticket)

    def clear(self) -> None:
        """Drop every request, even after a step that failed half-way."""
        self._live.clear()
        self._tickets.clear()
        self._aside = _Aside()
        self._schedule = Schedule()

    def refresh(self, model: Model) -> None:
        """Take the weights of `model`.

        Raises UnsupportedError while requests run, which remember the old weights, and where programs hold them.
        """
        if self._compiled is not None:
            raise UnsupportedError("a compiled engine keeps its weights; make another one")
        if self.busy:
            raise UnsupportedError(f"{len(self._tickets)} requests are still running; finish or cancel them first")
        before, self._model = self._model, generating(model, self._device, self._dtype, packed=True)
        if self._model.config != before.config or self._model.vocab_size != before.vocab_size:
            self._cache = self._model.new_cache(self._rows, self._length)
        self._aside = _Aside()

    def _submit(self, request: Request) -> Ticket:
        self.check(request)
        room = self._length - len(request.prompt) + 1  # the last token is not read, it needs no place
        text = Detokenizer(self._table or (), request.stop_strings) if request.stop_strings else None
        ticket = Ticket(self._submitted, request, min(request.max_tokens, room), text)
        self._submitted += 1
        self._tickets[ticket.id] = ticket
        self._schedule.add(ticket)
        return ticket

    def _advance(self) -> list[Ticket]:
        """A step: the tickets that got tokens, of which those that are done have left their rows."""
        with torch.inference_mode():
            tickets = self._decode() if self._live else []
            tickets += self._read_aside()
            tickets += self._prefill()
        self._retire()
        return tickets

    def _decode(self) -> list[Ticket]:
        """Go on with every live ticket."""
        n, cache = len(self._live), self._cache
        guesses = self._guesses()
        widest = max(map(len, guesses))
        read = [
            [ticket.ids[-1], *guess, *[0] * (widest - len(guess))]
            for ticket, guess in zip(self._live, guesses, strict=True)
        ]
        tokens = torch.tensor(read, device=cache.lengths.device)
        if tokens.shape[1] == 1:
            n_keys = self._longest()
            if self._compiled is not None and self._compiled.takes(n_keys):
                return self._choose(self._compiled(tokens, cache, n_keys), self._live)
            here = cache if n == cache.rows else cache.slice(0, n)  # a view of each layer costs as much as a small op
            return self._sample(self._model(tokens, cache=here)[:, -1], self._live)
        before = cache.lengths[:n].clone()
        counts = torch.tensor([1 + len(guess) for guess in guesses], device=tokens.device)
        hidden = self._model(tokens, cache=cache.slice(0, n, counts))
        places = [(row, place) for row, guess in enumerate(guesses) for place in range(len(guess) + 1)]
        rows, slots = zip(*places, strict=True)
        ahead = [guesses[row][:place] for row, place in places]
        logits = self._model.logits(hidden[list(rows), list(slots)])
        drawn = iter(draw(logits, [self._live[row] for row in rows], ahead))
        kept = [_keep(ticket, guess, drawn) for ticket, guess in zip(self._live, guesses, strict=True)]
        cache.lengths[:n] = before + torch.tensor(kept, device=before.device)  # forget the guesses that were wrong
        return list(self._live)

    def _longest(self) -> int:
        """The most tokens that a live ticket has, with its prompt."""
        return max(len(ticket.request.prompt) + len(ticket.ids) for ticket in self._live)

    def _guesses(self) -> list[list[int]]:
        """What the draft thinks comes next for each live ticket: no more than fits, and nothing under a guide."""
        if self._draft is None:
            return [[] for _ in self._live]
        room = self._length - self._longest()
        left = [ticket.limit - len(ticket.ids) - 1 for ticket in self._live]
        most = [0 if t.request.guide is not None else min(room, n) for t, n in zip(self._live, left, strict=True)]
        found = self._draft.propose(self._live, most)
        return [guess[:n] for guess, n in zip(found, most, strict=True)]

    def _prefill(self) -> list[Ticket]:
        """Read the prompts of those that find a row, equal ones once."""
        start = len(self._live)
        most = CHUNK_TOKENS if self._live else PREFILL_TOKENS
        tickets = self._schedule.admit(self._rows - start - len(self._aside.tickets), most)
        if not tickets:
            return []
        firsts: dict[tuple[int, ...], int] = {}
        owners = [firsts.setdefault(tuple(ticket.request.prompt), len(firsts)) for ticket in tickets]
        prompts, n = list(firsts), len(firsts)
        counts = torch.tensor([len(prompt) for prompt in prompts])
        tokens = torch.zeros(n, int(counts.max()), dtype=torch.int64)
        for row, prompt in enumerate(prompts):
            tokens[row, : counts[row]] = torch.tensor(prompt)
        counts, tokens = counts.to(self._cache.lengths.device), tokens.to(self._cache.lengths.device)
        self._cache.clear(start, start + n)
        hidden = self._model(tokens, cache=self._cache.slice(start, start + n, counts))
        last = hidden[torch.arange(n, device=hidden.device), counts - 1]
        order = self._spread(owners, start)
        self._live += [tickets[index] for index in order]
        return self._sample(last[[owners[index] for index in order]], self._live[start:])

    def _spread(self, owners: Sequence[int], start: int) -> list[int]:
        """Copy the memory of row `start + owner` for each further ticket of its owner; the tickets in order of rows."""
        firsts = [owners.index(owner) for owner in range(max(owners) + 1)]
        copies = sorted(set(range(len(owners))) - set(firsts))
        targets = range(start + len(firsts), start + len(owners))
        self._cache.copy(self._cache, [start + owners[index] for index in copies], targets)
        return firsts + copies

    def _read_aside(self) -> list[Ticket]:
        """Read one more chunk of a long prompt; after the last one its tickets are live."""
        aside = self._aside
        if not aside.tickets:
            aside.n_read, aside.tickets = 0, self._schedule.admit_long(self._rows - len(self._live))
            if not aside.tickets:
                return []
            aside.cache = aside.cache or self._model.new_cache(1, self._length)
            aside.cache.clear()
        assert aside.cache is not None
        prompt = aside.tickets[0].request.prompt
        chunk = torch.tensor([prompt[aside.n_read : aside.n_read + CHUNK_TOKENS]], device=self._cache.lengths.device)
        hidden = self._model(chunk, cache=aside.cache)
        aside.n_read += chunk.shape[1]
        if aside.n_read < len(prompt):
            return []
        start, tickets = len(self._live), aside.tickets
        aside.tickets = []
        self._cache.copy(aside.cache, [0] * len(tickets), range(start, start + len(tickets)))
        self._live += tickets
        return self._sample(hidden[:, -1].expand(len(tickets), -1), tickets)

    def _sample(self, hidden: Tensor, tickets: Sequence[Ticket]) -> list[Ticket]:
        """The next token of each ticket from its hidden state `(n, D)`."""
        return self._choose(self._model.logits(hidden), tickets)

    def _choose(self, logits: Tensor, tickets: Sequence[Ticket]) -> list[Ticket]:
        """The next token of each ticket from logits `(n, V)`."""
        for ticket, drawn in zip(tickets, draw(logits, tickets), strict=True):
            ticket.add(*drawn)
        return list(tickets)

    def _retire(self) -> None:
        """Free the rows of tickets that are done; the last live ones move into the holes."""
        live = [row for row, ticket in enumerate(self._live) if not ticket.done]
        if len(live) == len(self._live):
            return
        for ticket in self._live:
            if ticket.done:
                del self._tickets[ticket.id]
        holes = [row for row in range(len(live)) if self._live[row].done]
        movers = live[len(live) - len(holes) :]
        for row, mover in zip(holes, movers, strict=True):
            self._live[row] = self._live[mover]
        del self._live[len(live) :]
        with torch.inference_mode():
            self._cache.copy(self._cache, movers, holes)


@dataclass
class _Aside:
    """A long prompt that is being read: its tickets (several where they share it), and how far it is."""

    tickets: list[Ticket] = field(default_factory=list)
    n_read: int = 0
    cache: Cache | None = None


def _keep(ticket: Ticket, guess: Sequence[int], drawn: Iterator[Drawn]) -> int:
    """Give a ticket the tokens drawn after each of its guesses, up to the first wrong one; how many those are."""
    mine = list(islice(drawn, len(guess) + 1))
    for n, (token, logp, top) in enumerate(mine):
        ticket.add(token, logp, top)
        if ticket.done or n == len(guess) or token != guess[n]:
            break
    return n + 1


def _news(ticket: Ticket) -> list[Event]:
    """The events of the tokens that a ticket got in this step."""
    first, ticket.n_told = ticket.n_told, len(ticket.ids)
    events = []
    for place in range(first, ticket.n_told):
        last = place + 1 == ticket.n_told
        done, stopped = last and ticket.done, last and ticket.stopped
        events.append(Event(ticket.id, ticket.ids[place], ticket.logps[place], done, stopped, ticket.tops[place]))
    return events
