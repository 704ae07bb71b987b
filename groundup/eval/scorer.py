"""How likely a model finds a text after another: the one place that log-likelihood tasks and the harness ask.

Options of one question are scored together. Where they begin alike (the same question, four answers) that part is read
once and its memory copied; rows of nearly one length make a batch. The head is worked out only where it is asked for.
"""

from collections.abc import Iterator, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from math import log
from typing import NamedTuple, Protocol

import numpy as np
import torch
from torch import Tensor

from groundup.eval.likelihood import BATCH_TOKENS, evaluating, token_bits
from groundup.events import SILENT, Reporter
from groundup.layers.cache import Cache
from groundup.layers.head import CHUNK
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.special import END_OF_TEXT

Pair = tuple[str, str]
"""What is given, and what is scored after it."""

WORTH = 0.2
"""The share of a question's tokens that reading its beginning once must spare: a second pass is not free."""


class Said(NamedTuple):
    """What a model says of one continuation: its log-probability in nats, whether greedy decoding would give it, its
    length in tokens, and whether what was given had to be cut at its beginning to fit in the context."""

    logp: float
    greedy: bool
    n_tokens: int
    cut: bool


class Scorer(Protocol):
    """Whatever can say how likely continuations are."""

    def score(self, groups: Sequence[Sequence[Pair]], progress: Reporter = SILENT) -> list[list[Said]]:
        """What is said of each pair of each group."""

    def read(self, texts: Sequence[str], progress: Reporter = SILENT) -> list[float]:
        """What each text costs, read from its beginning to its end, in nats."""


@dataclass(frozen=True)
class _Row:
    """Tokens to read, `ids[:-1]`, of which the last `n` predictions are asked for."""

    group: int
    place: int
    ids: list[int]
    n: int
    cut: bool


@dataclass(frozen=True)
class _Bundle:
    """Rows of one group, whose first `shared` tokens are read once (0: each reads its own)."""

    rows: list[_Row]
    shared: int

    @property
    def widest(self) -> int:
        """Tokens that its longest row reads beside what is shared."""
        return max(len(row.ids) for row in self.rows) - 1 - self.shared

    @property
    def n_tokens(self) -> int:
        """Tokens that are read in all."""
        return self.shared + sum(len(row.ids) - 1 - self.shared for row in self.rows)


class ModelScorer:
    """A language model as a scorer. Every text stands after an end-of-text token, as in training.

    Where what is given and what is scored meet, tokens are split as EleutherAI's harness splits them: white space at
    the end of the first belongs to the second, and both are encoded as one text.
    """

    def __init__(
        self,
        model: Model,
        tokenizer: Tokenizer,
        *,
        dtype: torch.dtype | None = None,
        batch_tokens: int = BATCH_TOKENS,
    ) -> None:
        """`dtype` is the autocast type; None leaves the weights' own."""
        self.model, self.tokenizer, self.dtype = model, tokenizer, dtype
        self._batch_tokens = batch_tokens

    def score(self, groups: Sequence[Sequence[Pair]], progress: Reporter = SILENT) -> list[list[Said]]:
        """What the model says of each pair of each group; a continuation of no tokens is sure.

        One that is longer than the context is scored by its last tokens.
        """
        rows = [row for row in self._rows(groups) if row.n]
        bundles = [bundle for _, own in sorted(_by_group(rows).items()) for bundle in _bundles(own)]
        found: list[list[Said]] = [[Said(0.0, True, 0, False)] * len(group) for group in groups]
        device = self.model.head_weight.device
        cast = nullcontext() if self.dtype is None else torch.autocast(device.type, self.dtype)
        with progress.task("scoring", total=sum(bundle.n_tokens for bundle in bundles), unit="tokens") as bar:
            with torch.inference_mode(), cast, evaluating(self.model):
                for batch in self._batches(bundles):
                    asked = [row for bundle in batch for row in bundle.rows]
                    for row, (logp, greedy) in zip(asked, self._tell(batch, device), strict=True):
                        found[row.group][row.place] = Said(logp, greedy, row.n, row.cut)
                    bar.advance(sum(bundle.n_tokens for bundle in batch))
        return found

    def read(self, texts: Sequence[str], progress: Reporter = SILENT) -> list[float]:
        """What each text costs after an end-of-text token, in nats; a long one through windows that slide by half."""
        end, encoded = self.tokenizer.special[END_OF_TEXT], self.tokenizer.encode_batch(list(texts))
        sequences = [np.array([end, *ids], dtype=np.int64) for ids in encoded]
        bits = token_bits(self.model, sequences, self.model.config.length, dtype=self.dtype, progress=progress)
        return [float(each.sum()) * log(2) for each in bits]

    def _rows(self, groups: Sequence[Sequence[Pair]]) -> list[_Row]:
        """The tokens of each pair, cut to the context from the left."""
        end, longest = self.tokenizer.special[END_OF_TEXT], self.model.config.length
        pairs = [_moved(pair) for group in groups for pair in group]
        known = {text: place for place, text in enumerate(dict.fromkeys(given for given, _ in pairs))}
        lengths = [len(ids) for ids in self.tokenizer.encode_batch(list(known))]
        encoded = iter(self.tokenizer.encode_batch([given + said for given, said in pairs]))
        rows, asked = [], iter(pairs)
        for number, group in enumerate(groups):
            for place in range(len(group)):
                whole, start = next(encoded), lengths[known[next(asked)[0]]]
                ids = [end, *whole][-(longest + 1) :]
                n = min(max(0, len(whole) - start), len(ids) - 1)
                rows.append(_Row(number, place, ids, n, cut=len(whole) > longest))
        return rows

    def _batches(self, bundles: Sequence[_Bundle]) -> Iterator[list[_Bundle]]:
        """Bundles of nearly one size together, the longest first, those that share apart from those that do not."""
        longest = self.model.config.length
        for sharing in (True, False):
            batch: list[_Bundle] = []
            own = [bundle for bundle in bundles if bool(bundle.shared) is sharing]
            for bundle in sorted(own, key=lambda bundle: (-bundle.shared, -bundle.widest)):
                wider = [*batch, bundle]
                shared, widest = wider[0].shared, max(each.widest for each in wider)
                cost = len(wider) * shared + sum(len(each.rows) for each in wider) * widest
                if batch and (cost > self._batch_tokens or shared + widest > longest):
                    yield batch
                    wider = [bundle]
                batch = wider
            if batch:
                yield batch

    def _tell(self, batch: Sequence[_Bundle], device: torch.device) -> Iterator[tuple[float, bool]]:
        """Log-probability and greediness of each row of a batch."""
        rows = [(row, bundle.shared) for bundle in batch for row in bundle.rows]
        states = self._read(batch, device)
        hidden = [
            states[place, len(row.ids) - 1 - shared - row.n : len(row.ids) - 1 - shared]
            for place, (row, shared) in enumerate(rows)
        ]
        targets = torch.tensor([token for row, _ in rows for token in row.ids[-row.n :]], device=device)
        logps, likeliest = _tell(self.model, torch.cat(hidden), targets)
        sizes = [row.n for row, _ in rows]
        for logp, greedy in zip(logps.split(sizes), likeliest.split(sizes), strict=True):
            yield float(logp.sum()), bool(greedy.all())

    def _read(self, batch: Sequence[_Bundle], device: torch.device) -> Tensor:
        """Hidden states `(rows, T, D)` of what each row does not share."""
        rows = [(owner, row) for owner, bundle in enumerate(batch) for row in bundle.rows]
        suffixes = [row.ids[batch[owner].shared : -1] for owner, row in rows]
        tokens, counts = _padded(suffixes, device)
        if not batch[0].shared:
            return self.model(tokens)
        cache = self._remember([bundle.rows[0].ids[: bundle.shared] for bundle in batch], device, tokens.shape[1])
        owners = [owner for owner, _ in rows]
        mine = self.model.new_cache(len(rows), cache.length, self.dtype)
        mine.copy(cache, owners, range(len(rows)))
        mine.counts = counts
        return self.model(tokens, cache=mine)

    def _remember(self, prefixes: Sequence[list[int]], device: torch.device, room: int) -> Cache:
        """The memory of what is read once, with room for what follows."""
        tokens, counts = _padded(prefixes, device)
        cache = self.model.new_cache(len(prefixes), tokens.shape[1] + room, self.dtype)
        self.model(tokens, cache=cache.slice(0, len(prefixes), counts))
        return cache


def _tell(model: Model, hidden: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities `(n,)` in float64 of `targets` `(n,)` after `hidden` `(n, D)`, and which are the likeliest.

    The head is worked out in the weights' own precision: logits of bfloat16 would tie options that are not alike.
    """
    logps, likeliest = [], []
    with torch.autocast(hidden.device.type, enabled=False):
        hidden = hidden.to(model.head_weight.dtype)
        for part in torch.arange(len(targets), device=targets.device).split(max(1, CHUNK // model.vocab_size)):
            logits = model.logits(hidden[part]).float()
            own = logits.gather(1, targets[part, None])[:, 0]
            logps.append((own - logits.logsumexp(-1)).double())
            likeliest.append(logits.argmax(-1) == targets[part])
    return torch.cat(logps), torch.cat(likeliest)


def _padded(rows: Sequence[list[int]], device: torch.device) -> tuple[Tensor, Tensor]:
    """Rows as one tensor `(B, T)`, padded on the right where no causal model looks; and their lengths `(B,)`."""
    counts = torch.tensor([len(row) for row in rows])
    tokens = torch.zeros(len(rows), int(counts.max()), dtype=torch.int64)
    for place, row in enumerate(rows):
        tokens[place, : len(row)] = torch.tensor(row)
    return tokens.to(device), counts.to(device)


def _moved(pair: Pair) -> Pair:
    """White space between the two is the second's."""
    given, said = pair
    bare = given.rstrip()
    return bare, given[len(bare) :] + said


def _by_group(rows: Sequence[_Row]) -> dict[int, list[_Row]]:
    found: dict[int, list[_Row]] = {}
    for row in rows:
        found.setdefault(row.group, []).append(row)
    return found


def _bundles(rows: list[_Row]) -> list[_Bundle]:
    """The rows of a group as one bundle where that spares enough, else each by itself."""
    shared = min(len(row.ids) - 1 - row.n for row in rows)  # up to the token from which the first prediction is made
    first = rows[0].ids
    for row in rows[1:]:
        while shared and row.ids[:shared] != first[:shared]:
            shared = next(place for place in range(shared) if row.ids[place] != first[place])
    together = _Bundle(rows, shared)
    apart = sum(len(row.ids) - 1 for row in rows)
    if apart - together.n_tokens >= WORTH * apart and shared:
        return [together]
    return [_Bundle([row], 0) for row in rows]
