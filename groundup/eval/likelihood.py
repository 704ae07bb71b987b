"""Bits per byte on held-out documents: what the model would need to write them down, over their raw bytes.

Each document is scored on its own, from the end-of-text token before it to the one after it, so that the figure is the
length of a code that a decoder could read back. A document longer than the context is read through a sliding window:
every token is scored once, and all but those of the first window see at least half a window before them.

    tokens    | e a b c d e f g h |    context of 4 targets, e the end-of-text token
    window 1    a b c d                 scored: a b c d
    window 2        c d e f             scored: e f
    window 3            e f g h         scored: g h
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from groundup.errors import DataError
from groundup.eval.compression import to_bytes
from groundup.eval.interval import Interval, bootstrap
from groundup.events import SILENT, Reporter
from groundup.models._base import Model
from groundup.tokenizer._base import Tokenizer
from groundup.tokenizer.special import END_OF_TEXT

CHANCE = 8.0  # bits per byte of a coin for every bit
FEWEST_DOCUMENTS = 20  # below this, documents are too few to resample (books, say) and windows are resampled instead
BATCH_TOKENS = 8192  # in one forward; on two cores 2 k to 16 k are equally fast (bf16, 6 layers of 256)


@dataclass(frozen=True)
class Window:
    """A stretch of one sequence: inputs `start:stop`, targets one to the right, scored from `start + first` on."""

    sequence: int
    start: int
    stop: int
    first: int

    @property
    def length(self) -> int:
        """Tokens that the model reads."""
        return self.stop - self.start


@dataclass(frozen=True)
class Likelihood:
    """What held-out documents cost; `bits`, `bytes` and `tokens` are one number for each resampled unit."""

    bits: NDArray[np.float64]
    bytes: NDArray[np.int64]
    tokens: NDArray[np.int64]
    unit: str

    @cached_property
    def bits_per_byte(self) -> Interval:
        """Total bits over total raw bytes."""
        return bootstrap(self.bits, self.bytes)

    @property
    def bits_per_token(self) -> float:
        """Total bits over total tokens, the end of each document among them."""
        return float(self.bits.sum() / self.tokens.sum())

    def facts(self) -> dict[str, Any]:
        """Plain values for an artifact's facts."""
        return {
            **self.bits_per_byte.facts(),
            "chance": CHANCE,
            "bytes": int(self.bytes.sum()),
            "tokens": int(self.tokens.sum()),
            "bits_per_token": self.bits_per_token,
            "perplexity": 2.0**self.bits_per_token,
            "resampled": f"{len(self.bits)} {self.unit}",
        }


def windows(lengths: Sequence[int], context: int) -> list[Window]:
    """How sequences of `lengths` tokens are read, `context` at a time. Raises ValueError for a context under 2."""
    if context < 2:
        raise ValueError(f"a context of {context} tokens cannot slide by half; use at least 2")
    stride = context // 2
    found = []
    for sequence, length in enumerate(lengths):
        targets = length - 1
        stop = min(targets, context)
        found.append(Window(sequence, 0, stop, 0))
        while stop < targets:
            scored_from, stop = stop, min(stop + stride, targets)
            start = stop - context
            found.append(Window(sequence, start, stop, scored_from - start))
    return found


def token_bits(
    model: Model,
    sequences: Sequence[NDArray[np.int64]],
    context: int,
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Reporter = SILENT,
) -> list[NDArray[np.float64]]:
    """Bits of every token of every sequence but its first: arrays of (length - 1,).

    `dtype` is the autocast type; None leaves the caller's own autocast, if any, in force.
    """
    plan = windows([len(sequence) for sequence in sequences], context)
    bits = [np.zeros(len(sequence) - 1) for sequence in sequences]
    device = next(model.parameters()).device
    cast = nullcontext() if dtype is None else torch.autocast(device.type, dtype)
    with progress.task("likelihood", total=sum(window.length for window in plan), unit="tokens") as bar:
        with torch.inference_mode(), cast, evaluating(model):
            for batch in _batches(plan, batch_tokens):
                logp = _logp(model, sequences, batch, device)
                for row, window in zip(logp, batch, strict=True):
                    scored = slice(window.start + window.first, window.stop)
                    bits[window.sequence][scored] = row[window.first : window.length] / -log(2)
                bar.advance(sum(window.length for window in batch))
    return bits


def likelihood(
    model: Model,
    tokenizer: Tokenizer,
    texts: Sequence[str],
    context: int,
    *,
    dtype: torch.dtype | None = None,
    batch_tokens: int = BATCH_TOKENS,
    progress: Reporter = SILENT,
) -> Likelihood:
    """What `texts`, one document each, cost the model. Raises DataError when there is not a byte to score."""
    sizes = np.array([len(to_bytes(text)) for text in texts], dtype=np.int64)
    if sizes.sum() == 0:
        raise DataError("the held-out documents hold no text; hold out more with corpus.held_out.fraction")
    end = tokenizer.special[END_OF_TEXT]
    sequences = [np.array([end, *ids, end], dtype=np.int64) for ids in tokenizer.encode_batch(list(texts))]
    bits = token_bits(model, sequences, context, dtype=dtype, batch_tokens=batch_tokens, progress=progress)
    if len(texts) >= FEWEST_DOCUMENTS:
        tokens = np.array([len(each) for each in bits], dtype=np.int64)
        return Likelihood(np.array([each.sum() for each in bits]), sizes, tokens, "documents")
    widths = np.array([len(raw) for raw in tokenizer.token_bytes], dtype=np.int64)
    assert sum(widths[sequence].sum() for sequence in sequences) == sizes.sum(), "tokens do not spell the raw bytes"
    blocks = [
        (each[first : first + context], sequence[1 + first : 1 + first + context])
        for each, sequence in zip(bits, sequences, strict=True)
        for first in range(0, len(each), context)
    ]
    return Likelihood(
        np.array([block.sum() for block, _ in blocks]),
        np.array([widths[ids].sum() for _, ids in blocks]),
        np.array([len(ids) for _, ids in blocks], dtype=np.int64),
        "stretches of one context",
    )


def _batches(plan: Sequence[Window], batch_tokens: int) -> Iterator[list[Window]]:
    """Windows of nearly one length together, so that padding costs little; the longest first."""
    batch: list[Window] = []
    for window in sorted(plan, key=lambda window: -window.length):
        if batch and (len(batch) + 1) * batch[0].length > batch_tokens:
            yield batch
            batch = []
        batch.append(window)
    if batch:
        yield batch


def _logp(
    model: Model, sequences: Sequence[NDArray[np.int64]], batch: Sequence[Window], device: torch.device
) -> NDArray[np.float64]:
    """Natural log-probabilities (B, T) of the targets of a batch; what lies beyond a window's length means nothing."""
    # Padding stands on the right, where a causal model cannot see it; any id will do.
    tokens = torch.zeros(2, len(batch), batch[0].length, dtype=torch.long)
    for row, window in enumerate(batch):
        ids = torch.from_numpy(sequences[window.sequence][window.start : window.stop + 1])
        tokens[0, row, : window.length], tokens[1, row, : window.length] = ids[:-1], ids[1:]
    inputs, targets = tokens.to(device)
    return model.score(inputs, targets).logp.double().cpu().numpy()


@contextmanager
def evaluating(model: Model) -> Iterator[None]:
    """Dropout off, and back to how it was."""
    training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(training)
