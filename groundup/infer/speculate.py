"""Guess ahead, then check all guesses in one pass of the model (Leviathan et al. 2023, arXiv 2211.17192).

The engine draws the token after each guess with the very random number that it would use without guesses, and keeps
the tokens up to the first that differs from its guess. So the reply is token for token the one that it would be without
a draft, and not only of the same distribution; a draft costs or saves time and nothing else.
"""

from collections.abc import Sequence
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from groundup.errors import ConfigError, UnsupportedError
from groundup.infer.draw import draw
from groundup.infer.schedule import Ticket
from groundup.layers.cache import Cache
from groundup.models._base import Model


class Lookup:
    """Guesses that what followed the last few tokens before follows them again (Saxena 2023, prompt look-up decoding).

    Costs next to nothing, and is right where a text repeats its prompt: code, quotations, lists.
    """

    def __init__(self, *, tokens: int = 8, longest: int = 4, shortest: int = 2) -> None:
        """Guesses `tokens` at most, after a match of `longest` tokens, or fewer, but not less than `shortest`."""
        self._tokens, self._sizes = tokens, range(longest, shortest - 1, -1)
        self._indexes: WeakKeyDictionary[Ticket, _Index] = WeakKeyDictionary()

    def check(self, model: Model, cache: Cache) -> None:
        """See `schedule.Draft`. Raises UnsupportedError for a model that cannot go back."""
        check_cuttable(model, cache)

    def propose(self, tickets: Sequence[Ticket], most: Sequence[int]) -> list[list[int]]:
        """See `schedule.Draft`."""
        return [
            self._guess(ticket, min(n, self._tokens)) if n > 0 else [] for ticket, n in zip(tickets, most, strict=True)
        ]

    def _guess(self, ticket: Ticket, n: int) -> list[int]:
        index = self._indexes.get(ticket)
        if index is None:
            index = self._indexes[ticket] = _Index(ticket.request.prompt)
        index.extend(ticket.ids, self._sizes)
        for size in self._sizes:
            place = index.before(size)
            if place is not None:
                return index.ids[place : place + n]
        return []


class _Index:
    """Where each short run of tokens of one text was followed by something, the last time."""

    def __init__(self, prompt: Sequence[int]) -> None:
        self.ids = list(prompt)
        self._n_prompt, self._n_indexed = len(self.ids), 0
        self._ends: dict[tuple[int, ...], int] = {}

    def extend(self, reply: Sequence[int], sizes: range) -> None:
        """Take up the tokens that are new. A run is entered once a token follows it: it never finds itself."""
        self.ids += reply[len(self.ids) - self._n_prompt :]
        for end in range(max(1, self._n_indexed), len(self.ids)):
            for size in sizes:
                if size <= end:
                    self._ends[tuple(self.ids[end - size : end])] = end
        self._n_indexed = len(self.ids)

    def before(self, size: int) -> int | None:
        """Where what followed the last `size` tokens begins; None where they were not seen before."""
        return self._ends.get(tuple(self.ids[-size:])) if size <= len(self.ids) else None


class DraftModel:
    """Guesses with a smaller model of the same vocabulary, drawing as the large one will: with its random numbers."""

    def __init__(self, model: Model, *, rows: int, length: int, tokens: int = 4) -> None:
        """For an engine of the same `rows` and `length`. Raises UnsupportedError for a model that cannot go back."""
        self._model, self._tokens = model.eval(), tokens
        self._cache = model.new_cache(rows, length)
        self._held: list[list[int]] = [[] for _ in range(rows)]
        check_cuttable(model, self._cache)

    def check(self, model: Model, cache: Cache) -> None:
        """See `schedule.Draft`. Raises ConfigError for a draft of other ids, or of fewer rows."""
        check_cuttable(model, cache)
        if self._model.vocab_size != model.vocab_size:
            ours, theirs = self._model.vocab_size, model.vocab_size
            raise ConfigError(f"the draft has {ours} ids and the model {theirs}; use one with the same tokenizer")
        if self._cache.rows < cache.rows:
            raise ConfigError(f"the draft has {self._cache.rows} rows and the engine {cache.rows}; give it as many")

    def propose(self, tickets: Sequence[Ticket], most: Sequence[int]) -> list[list[int]]:
        """See `schedule.Draft`. Nothing is guessed near the end of the context."""
        texts = [[*ticket.request.prompt, *ticket.ids] for ticket in tickets]
        n_tokens = min(self._tokens, max(most))
        if n_tokens < 1 or max(map(len, texts)) + 2 * self._tokens > self._cache.length:
            return [[] for _ in tickets]
        with torch.inference_mode():
            hidden = self._catch_up(texts)
            guesses: list[list[int]] = [[] for _ in tickets]
            for place in range(n_tokens):
                drawn = draw(self._model.logits(hidden), tickets, guesses)
                for guess, (token, *_) in zip(guesses, drawn, strict=True):
                    guess.append(token)
                if place + 1 < n_tokens:
                    hidden = self._read([guess[-1:] for guess in guesses])
        for row, (text, guess) in enumerate(zip(texts, guesses, strict=True)):
            self._held[row] = [*text, *guess[:-1]]
        return guesses

    def _catch_up(self, texts: Sequence[list[int]]) -> Tensor:
        """Read what is new in each text; the hidden state `(n, D)` of each last token.

        A row keeps what it has in common with its text, whichever text it had before: rows change hands.
        """
        for row, text in enumerate(texts):
            common = _n_common(self._held[row], text[:-1])
            self._cache.lengths[row] = common
            if len(text) - common > 2 * self._tokens:  # a new text: all but its last token, by itself
                new = torch.tensor([text[common:-1]], device=self._cache.lengths.device)
                self._model(new, cache=self._cache.slice(row, row + 1))
        lengths = self._cache.lengths[: len(texts)].tolist()
        return self._read([text[length:] for text, length in zip(texts, lengths, strict=True)])

    def _read(self, new: Sequence[Sequence[int]]) -> Tensor:
        counts = torch.tensor([len(tokens) for tokens in new])
        padded = torch.zeros(len(new), int(counts.max()), dtype=torch.int64)
        for row, tokens in enumerate(new):
            padded[row, : len(tokens)] = torch.tensor(tokens)
        counts, padded = counts.to(self._cache.lengths.device), padded.to(self._cache.lengths.device)
        hidden = self._model(padded, cache=self._cache.slice(0, len(new), counts))
        return hidden[torch.arange(len(new), device=hidden.device), counts - 1]


def check_cuttable(model: Model, cache: Cache) -> None:
    """Raises UnsupportedError for a model that cannot take back what it has read."""
    if not cache.cuttable:
        raise UnsupportedError(f"{type(model).__name__} remembers one state and cannot go back; leave out the draft")


def _n_common(one: Sequence[int], other: Sequence[int]) -> int:
    """How many ids two texts begin with alike."""
    for place, (a, b) in enumerate(zip(one, other, strict=False)):
        if a != b:
            return place
    return min(len(one), len(other))
