"""Documents to rows of T tokens: packed full, or one piece of a document in each row.

`row(position)` is a pure function of the seed and the position; position counts on through the epochs. In a row the
target of each token is the token after it, and every document is read as the separator (end of text) and its tokens.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from groundup.errors import DataError
from groundup.tokens.order import shuffled
from groundup.tokens.shard import Shard

Ints = npt.NDArray[np.int64]

DOCUMENTS, ROWS = 0, 1  # what is shuffled: keys that keep the two orders apart


@dataclass(frozen=True, slots=True)
class Row:
    """T tokens, and what training needs to know of each."""

    tokens: Ints
    """(T,) what the model reads."""
    targets: Ints
    """(T,) what it is to say next."""
    positions: Ints
    """(T,) places that rotary or learned positions use."""
    segments: Ints
    """(T,) equal where attention may pass."""
    weights: npt.NDArray[np.float32]
    """(T,) of each target in the loss; 0.0: not trained on."""


class Rows(Protocol):
    """Endless rows. Law: the first `rows` positions are an epoch, then comes the next one in another order."""

    rows: int

    def row(self, position: int) -> Row:
        """The row at any position from 0 on, whatever was asked before."""


class Packed:
    """Documents, permuted in each epoch, end to end; cut full into rows of T; the rows permuted too.

    The tokens after the last full row of an epoch, fewer than T, are not seen in it. With `isolate`, segments and
    positions begin anew with every document in a row; else a row is one segment.
    """

    def __init__(self, shard: Shard, length: int, seed: int = 0, isolate: bool = False) -> None:
        """`length` is T. Raises DataError when the shard does not fill a row."""
        self.shard, self.length, self.seed, self.isolate = shard, length, seed, isolate
        self.rows = (shard.n_tokens - 1) // length
        if self.rows < 1:
            raise DataError(
                f"{shard.path}: {shard.n_tokens} tokens do not fill a row of {length}; give more text, or set "
                f"model.length to at most {max(1, shard.n_tokens - 1)}"
            )
        self._epoch: tuple[int, Ints, Ints, Ints] | None = None

    def row(self, position: int) -> Row:
        """The row at a position; a pure function of (seed, position)."""
        epoch, place = divmod(position, self.rows)
        documents, starts, order = self._orders(epoch)
        begin = int(order[place]) * self.length
        end = begin + self.length + 1
        first = int(np.searchsorted(starts, begin, side="right")) - 1
        last = int(np.searchsorted(starts, end, side="left"))
        offsets, ids = self.shard.offsets, self.shard.ids
        parts = []
        for number in range(first, last):
            document, start = int(documents[number]), int(starts[number])
            offset = int(offsets[document]) - start
            parts.append(ids[max(begin, start) + offset : min(end, int(starts[number + 1])) + offset])
        span = np.concatenate(parts).astype(np.int64)
        # Where documents begin in the row; the last token of the span is a target only.
        heads = np.maximum(starts[first:last] - begin, 0) if self.isolate else np.zeros(1, dtype=np.int64)
        positions, segments = _places(heads[heads < self.length], self.length)
        return Row(span[:-1], span[1:], positions, segments, np.ones(self.length, dtype=np.float32))

    def _orders(self, epoch: int) -> tuple[Ints, Ints, Ints]:
        """Of an epoch: the documents in order, where each starts in the stream (and its end), the order of rows."""
        held = self._epoch
        if held is None or held[0] != epoch:
            documents = shuffled(self.shard.n_documents, self.seed, epoch, DOCUMENTS)
            lengths = np.diff(self.shard.offsets.astype(np.int64))[documents]
            starts = np.concatenate(([0], np.cumsum(lengths)))
            held = self._epoch = (epoch, documents, starts, shuffled(self.rows, self.seed, epoch, ROWS))
        return held[1:]


class Padded:
    """A document's pieces of up to T tokens, each in a row of its own; the rest of the row is padding of weight 0.

    Every token is seen in every epoch, and the last token of a document has the separator as its target.
    """

    def __init__(self, shard: Shard, length: int, seed: int = 0) -> None:
        """`length` is T. Raises DataError when the shard holds no document."""
        self.shard, self.length, self.seed = shard, length, seed
        pieces = -(-np.diff(shard.offsets.astype(np.int64)) // length)
        self._starts: Ints = np.concatenate(([0], np.cumsum(pieces)))
        self.rows = int(self._starts[-1])
        if self.rows < 1:
            raise DataError(f"{shard.path}: holds no document; give more text")
        self._epoch: tuple[int, Ints] | None = None

    def row(self, position: int) -> Row:
        """The row at a position; a pure function of (seed, position)."""
        epoch, place = divmod(position, self.rows)
        if self._epoch is None or self._epoch[0] != epoch:
            self._epoch = (epoch, shuffled(self.rows, self.seed, epoch, ROWS))
        number = int(self._epoch[1][place])
        document = int(np.searchsorted(self._starts, number, side="right")) - 1
        begin = int(self.shard.offsets[document]) + (number - int(self._starts[document])) * self.length
        end = int(self.shard.offsets[document + 1])
        span = self.shard.ids[begin : min(end, begin + self.length + 1)]
        if begin + self.length >= end:
            span = np.append(span, self.shard.separator)
        return padded([(span, np.ones(len(span), dtype=np.float32))], self.length, self.shard.separator)


def padded(sequences: list[tuple[npt.NDArray[Any], npt.NDArray[np.float32]]], length: int, pad: int) -> Row:
    """One row of whole sequences, each a segment with its own positions; the rest is a segment of weight 0.

    A sequence is ids and the weight of each; n + 1 ids take n places, for the last is a target only.
    """
    tokens = np.full(length, pad, dtype=np.int64)
    targets = np.full(length, pad, dtype=np.int64)
    weights = np.zeros(length, dtype=np.float32)
    heads = []
    used = 0
    for ids, weight in sequences:
        end = used + len(ids) - 1
        tokens[used:end], targets[used:end], weights[used:end] = ids[:-1], ids[1:], weight[1:]
        heads.append(used)
        used = end
    if used < length:
        heads.append(used)
    positions, segments = _places(np.asarray(heads, dtype=np.int64), length)
    return Row(tokens, targets, positions, segments, weights)


def _places(heads: Ints, length: int) -> tuple[Ints, Ints]:
    """Positions and segments (T,) of a row whose segments begin at `heads`, the first at 0."""
    marks = np.zeros(length, dtype=np.int64)
    marks[heads] = 1
    segments = np.cumsum(marks) - 1
    return np.arange(length) - heads[segments], segments
