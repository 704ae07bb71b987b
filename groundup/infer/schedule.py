"""Which requests run in this step: first come, first served, as many prompts at once as are worth their padding."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from groundup.infer.sampling import Sampling

PREFILL_TOKENS = 8192  # prompt tokens, padding counted, read in one step: bounds its memory and the others' wait


@dataclass(frozen=True)
class Request:
    """A prompt of ids to go on from, and how.

    A reply ends after `max_tokens`, after an id out of `stop`, or when the context is full. For `temperature`, `top_k`,
    `top_p` and `min_p` see `Sampling`. Raises ConfigError for a value out of range.
    """

    prompt: Sequence[int]
    max_tokens: int
    temperature: float = 1.0
    top_k: int | None = None
    top_p: float | None = None
    min_p: float | None = None
    stop: frozenset[int] = frozenset()
    seed: int = 0

    def __post_init__(self) -> None:
        self.sampling()

    def sampling(self) -> Sampling:
        """How its tokens are drawn."""
        return Sampling(self.temperature, self.top_k, self.top_p, self.min_p)


@dataclass(eq=False)
class Ticket:
    """A request on its way: what it has got so far."""

    id: int
    request: Request
    limit: int
    ids: list[int] = field(default_factory=list)
    logps: list[float] = field(default_factory=list)
    done: bool = False

    def __post_init__(self) -> None:
        self.sampling = self.request.sampling()

    @property
    def stopped(self) -> bool:
        """It ended at an id out of `stop`, and was not cut."""
        return bool(self.ids) and self.ids[-1] in self.request.stop

    def add(self, token: int, logp: float) -> None:
        """One more token."""
        self.ids.append(token)
        self.logps.append(logp)
        self.done = self.stopped or len(self.ids) >= self.limit


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

    def admit(self, free: int) -> list[Ticket]:
        """The next tickets for `free` rows: at least one if any waits, else up to PREFILL_TOKENS with their padding."""
        admitted: list[Ticket] = []
        longest = 0
        while self._waiting and len(admitted) < free:
            longest = max(longest, len(self._waiting[0].request.prompt))
            if admitted and longest * (len(admitted) + 1) > PREFILL_TOKENS:
                break
            admitted.append(self._waiting.popleft())
        return admitted
