"""Which requests run in this step: first come, first served, as many prompts at once as the others can wait for."""

from collections import deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import Protocol

from jaxtyping import Bool
from torch import Tensor

from groundup.infer.sampling import Sampling
from groundup.infer.text import Detokenizer
from groundup.layers.cache import Cache
from groundup.models._base import Model

PREFILL_TOKENS = 8192  # prompt tokens, padding counted, read in one step: bounds its memory
CHUNK_TOKENS = 512  # the same while others wait for their next token; a longer prompt is read in chunks of this size


class Guide(Protocol):
    """What a reply may be, token by token: a grammar. It follows one reply, so each request needs its own."""

    def allowed(self) -> Bool[Tensor, " V"]:
        """Which tokens may come next; at least one, an id out of the request's `stop` where the reply may end."""

    def accept(self, token: int) -> None:
        """This allowed token came."""


@dataclass(frozen=True)
class Request:
    """A prompt of ids to go on from, and how.

    A reply ends after `max_tokens`, after an id out of `stop`, once its text holds one of `stop_strings`, or when the
    context is full. `top` asks for that many of the likeliest alternatives of each token; `guide` bounds what is said.
    For the other fields see `Sampling`. Raises ConfigError for a value out of range.
    """

    prompt: Sequence[int]
    max_tokens: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    stop: frozenset[int] = frozenset()
    seed: int = 0
    repetition_penalty: float = 1.0
    presence_penalty: float = 0.0
    frequency_penalty: float = 0.0
    bias: Mapping[int, float] = field(default_factory=dict)
    stop_strings: tuple[str, ...] = ()
    top: int = 0
    guide: Guide | None = None

    def __post_init__(self) -> None:
        self.sampling()

    def sampling(self) -> Sampling:
        """How its tokens are drawn."""
        return Sampling(**{item.name: getattr(self, item.name) for item in fields(Sampling)})


@dataclass(eq=False)
class Ticket:
    """A request on its way: what it has got so far. `text` looks for its stop strings, where it has any."""

    id: int
    request: Request
    limit: int
    text: Detokenizer | None = None
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    tops: list[tuple[tuple[int, float], ...]] = field(default_factory=list)
    done: bool = False
    n_told: int = 0
    """Tokens that were given out as events."""

    def __post_init__(self) -> None:
        self.sampling = self.request.sampling()

    @property
    def stopped(self) -> bool:
        """It ended at an id out of `stop` or a stop string, and was not cut."""
        return bool(self.ids) and (self.ids[-1] in self.request.stop or (self.text is not None and self.text.stopped))

    def add(self, token: int, logp: float, top: tuple[tuple[int, float], ...] = ()) -> None:
        """One more token, with its log-probability and the likeliest alternatives where they are asked for."""
        self.ids.append(token)
        self.logps.append(logp)
        self.tops.append(top)
        if self.text is not None:
            self.text.add(token)
        if self.request.guide is not None and token not in self.request.stop:
            self.request.guide.accept(token)
        self.done = self.stopped or len(self.ids) >= self.limit


class Draft(Protocol):
    """Guesses what comes next, so that several tokens can be checked in one pass."""

    def check(self, model: Model, cache: Cache) -> None:
        """Raises ConfigError or UnsupportedError where it cannot guess for this model and cache."""

    def propose(self, tickets: Sequence[Ticket], most: Sequence[int]) -> list[list[int]]:
        """Up to `most` tokens that may follow the ids of each ticket; any may be wrong, and a list may be empty."""


class Schedule:
    """The tickets that wait, and the order in which they are let in."""

    def __init__(self) -> None:
        self._waiting: deque[Ticket] = deque()

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, ticket: Ticket) -> None:
        """Put a ticket at the end of the queue."""
        self._waiting.append(ticket)

    def remove(self, ticket: Ticket) -> None:
        """Take a ticket out of the queue, wherever it stands."""
        self._waiting.remove(ticket)

    def admit(self, free: int, most_tokens: int) -> list[Ticket]:
        """The next tickets for `free` rows: at least one if any waits, else while their prompts, padded to the longest
        and equal ones counted once, have `most_tokens` at most. Stops before a prompt that is read in chunks.
        """
        admitted: list[Ticket] = []
        prompts: set[tuple[int, ...]] = set()
        longest = 0
        while self._waiting and len(admitted) < free:
            prompt = tuple(self._waiting[0].request.prompt)
            longest = max(longest, len(prompt))
            n_prompts = len(prompts | {prompt})
            if len(prompt) > CHUNK_TOKENS or (admitted and longest * n_prompts > most_tokens):
                break
            prompts.add(prompt)
            admitted.append(self._waiting.popleft())
        return admitted

    def admit_long(self, free: int) -> list[Ticket]:
        """The next ticket, if its prompt is to be read in chunks, with those behind it that have the same prompt."""
        admitted: list[Ticket] = []
        while self._waiting and len(admitted) < free:
            prompt = self._waiting[0].request.prompt
            if len(prompt) <= CHUNK_TOKENS or (admitted and prompt != admitted[0].request.prompt):
                break
            admitted.append(self._waiting.popleft())
        return admitted
