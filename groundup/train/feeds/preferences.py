"""Packed preferences, over and over: pairs for DPO and its kin and for reward models, single verdicts for KTO, classes.

What belongs together lies in one row, each reply a segment of its own: both sides of a pair; a judged reply and, for
KTO, the same question with a reply to another one, which shows how far the policy has drifted. So a loss over them is
additive over rows. Only the reply has weight; what is asked before it has none.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from groundup.corpus.conversation import Conversation, Message
from groundup.corpus.preference import Pair, Preference, Thumb
from groundup.errors import DataError
from groundup.events import SILENT, Reporter
from groundup.tokenizer.chat import Chat
from groundup.tokenizer.special import PAD
from groundup.tokens.conversations import best_fit
from groundup.tokens.pack import padded
from groundup.train.batch import Batch, collate
from groundup.train.feeds._order import Shuffled
from groundup.train.feeds._rows import InOrder

Floats = npt.NDArray[np.float32]
Sequenced = tuple[npt.NDArray[np.int32], Floats]
"""Ids, and the weight of each."""


@dataclass(frozen=True, slots=True)
class Unit:
    """Replies that must lie in one row, and the verdict on each: 1.0, -1.0, or 0.0 for none."""

    replies: tuple[Sequenced, ...]
    verdicts: tuple[float, ...]
    margin: float = 0.0
    label: int | None = None
    """The class of what is in it, for a classifier."""
    number: float | None = None
    """The number that it is labelled with."""

    @property
    def places(self) -> int:
        """Tokens that it takes in a row."""
        return sum(len(ids) - 1 for ids, _ in self.replies)


def pair_units(preferences: Iterable[Preference], chat: Chat) -> list[Unit]:
    """Both replies of each pair. Raises DataError for a single verdict, which has no other side."""
    pairs = [_paired(preference) for preference in preferences]
    sides = _rendered(chat, [(pair.prompt, side) for pair in pairs for side in (pair.chosen, pair.rejected)])
    return [Unit((next(sides), next(sides)), (1.0, -1.0), pair.margin) for pair in pairs]


def verdict_units(preferences: Iterable[Preference], chat: Chat) -> list[Unit]:
    """Each reply with its verdict (those of a pair apart), and its question with the reply to the next question."""
    thumbs = [thumb for preference in preferences for thumb in _apart(preference)]
    talks, shapes = [], []
    for number, thumb in enumerate(thumbs):
        others = (thumbs[(number + step) % len(thumbs)] for step in range(1, len(thumbs)))
        other = next((other for other in others if other.prompt != thumb.prompt), None)
        talks += [(thumb.prompt, each.reply) for each in (thumb, other) if each is not None]
        shapes.append((1.0 if thumb.liked else -1.0, 0.0)[: 1 + (other is not None)])
    replies = _rendered(chat, talks)
    return [Unit(tuple(next(replies) for _ in verdicts), verdicts) for verdicts in shapes]


def label_units(texts: Iterable[tuple[str, int]], chat: Chat, context: int) -> list[Unit]:
    """Each text as a turn of the user, and its class. One that is longer than the context is cut before its end."""
    pairs = list(texts)
    pad, units = chat.tokenizer.special[PAD], []
    rendered = chat.render_batch([(Message("user", text),) for text, _ in pairs])
    for (ids, _), (_, label) in zip(rendered, pairs, strict=True):
        ids = [*ids[: context - 1], ids[-1], pad] if len(ids) > context else [*ids, pad]
        units.append(Unit(((np.asarray(ids, np.int32), np.zeros(len(ids), np.float32)),), (1.0,), label=label))
    return units


def number_units(texts: Iterable[tuple[str, float]], chat: Chat, context: int) -> list[Unit]:
    """Each text as `label_units` has it, and its number."""
    pairs = list(texts)
    units = label_units([(text, 0) for text, _ in pairs], chat, context)
    return [replace(unit, label=None, number=number) for unit, (_, number) in zip(units, pairs, strict=True)]


class PackedPreferences(Sequence[Batch]):
    """Rows of whole units, each a batch of one row. Which go together is decided once: best fit, longest first."""

    def __init__(self, units: Iterable[Unit], length: int, context: int, pad: int) -> None:
        """`length` is T; `context` the most tokens that the model takes in one segment; `pad` fills up.

        A unit with a longer reply, or that does not fit in a row, is left out, for a cut reply is another one. Raises
        DataError when none is left.
        """
        self.length, self._pad = length, pad
        offered = list(units)
        self._numbers = [
            number
            for number, unit in enumerate(offered)
            if unit.places <= length and all(len(ids) - 1 <= context for ids, _ in unit.replies)
        ]
        self._units = [offered[number] for number in self._numbers]
        self.n_dropped = len(offered) - len(self._units)
        """Units left out: too long."""
        if not self._units:
            raise DataError(
                f"none of {len(offered)} preferences fits: the context is {context} tokens and a row {length}; "
                "give shorter ones, or set model.length higher"
            )
        self._rows = best_fit([unit.places for unit in self._units], length)
        self._reference: Floats | None = None

    @property
    def n_units(self) -> int:
        """Pairs, or judged replies, in all rows together."""
        return len(self._units)

    @property
    def order(self) -> list[int]:
        """The numbers of the units as they were offered, in the order in which they lie in the rows."""
        return [self._numbers[place] for row in self._rows for place in row]

    def __len__(self) -> int:
        """Number of rows."""
        return len(self._rows)

    @overload
    def __getitem__(self, index: int) -> Batch: ...
    @overload
    def __getitem__(self, index: slice) -> list[Batch]: ...
    def __getitem__(self, index: int | slice) -> Batch | list[Batch]:
        """A batch of one row, or a list of them for a slice."""
        if isinstance(index, slice):
            return [self[number] for number in range(*index.indices(len(self)))]
        units = [self._units[number] for number in self._rows[index]]
        row = padded([reply for unit in units for reply in unit.replies], self.length, self._pad)
        n = int(row.segments[-1]) + 1
        verdicts, margins, numbers = np.zeros((3, n), dtype=np.float32)
        (pairs, labels), place = np.zeros((2, n), dtype=np.int64), 0
        for number, unit in enumerate(units):
            here = slice(place, place + len(unit.replies))
            verdicts[here], pairs[here], margins[place] = unit.verdicts, number, unit.margin
            labels[here], numbers[here] = unit.label or 0, unit.number or 0.0
            place = here.stop
        return replace(
            collate([row]),
            segments=torch.from_numpy(row.segments)[None],
            positions=torch.from_numpy(row.positions)[None],
            count=float(len(units)),
            segment_weight=torch.from_numpy(verdicts)[None],
            margin=torch.from_numpy(margins)[None],
            pair=torch.from_numpy(pairs)[None],
            label=torch.from_numpy(labels)[None] if units[0].label is not None else None,
            number=torch.from_numpy(numbers)[None] if units[0].number is not None else None,
            ref_logp=None if self._reference is None else torch.from_numpy(self._reference[index])[None],
        )

    @property
    def reference(self) -> Floats | None:
        """(rows, T) log-probabilities under the reference, if they are known: they may be kept and given back."""
        return self._reference

    @reference.setter
    def reference(self, logp: Floats) -> None:
        """Take what was worked out before."""
        assert logp.shape == (len(self), self.length), "log-probabilities of other rows"
        self._reference = logp

    def refer(self, logp: Callable[[Batch], Tensor], rows: int, progress: Reporter = SILENT) -> None:
        """Work out the reference once: `logp` gives (B, T) of a batch under a frozen model, `rows` at a time."""
        found = np.zeros((len(self), self.length), dtype=np.float32)
        with progress.task("reference", len(self), "rows") as bar:
            for first in range(0, len(self), rows):
                batch = joined(self[first : first + rows])
                found[first : first + rows] = logp(batch).float().cpu().numpy()
                bar.advance(len(batch.tokens))
        self._reference = found


class Preferences(InOrder[Batch]):
    """Every row once an epoch, in an order that is a function of (seed, epoch); a batch may span two epochs."""

    def __init__(self, packed: Sequence[Batch], rows: int, seed: int, rank: int = 0, world: int = 1) -> None:
        super().__init__(Shuffled(packed, seed), rows, joined, rank, world)


def joined(parts: Sequence[Batch]) -> Batch:
    """One batch of the rows of several; fields over segments are filled up with zeros to the widest."""
    widest = max(part.segment_weight.shape[1] for part in parts if part.segment_weight is not None)
    fields: dict[str, Any] = {}
    for name in parts[0].tensors():
        rows = [part.tensors()[name] for part in parts]
        if name in ("pair", "segment_weight", "margin", "label", "number"):
            rows = [torch.nn.functional.pad(row, (0, widest - row.shape[1])) for row in rows]
        fields[name] = torch.cat(rows)
    return Batch(**fields, count=sum(part.count for part in parts))


def length_bias(pairs: Sequence[Unit], most: float = 1.0) -> float:
    """By how many log-odds raters liked a reply better for each token that it was longer, at most `most` either way.

    The logistic regression of the choice on the difference in length, without a constant; by Newton's method, with a
    prior of one pair's weight at 0 so that it stays finite where length decides every pair.
    """
    ahead = np.array([float(good[1].sum() - bad[1].sum()) for good, bad in (unit.replies for unit in pairs)])
    scale = max(float(np.abs(ahead).max(initial=0.0)), 1.0)
    x, slope = ahead / scale, 0.0
    for _ in range(50):
        doubt = 1 / (1 + np.exp(slope * x))
        move = (float((x * doubt).sum()) - slope) / (float((x * x * doubt * (1 - doubt)).sum()) + 1.0)
        slope += move
        if abs(move) < 1e-9:
            break
    return math.copysign(min(abs(slope) / scale, most), slope)


def _rendered(chat: Chat, talks: Sequence[tuple[Conversation, Conversation]]) -> Iterator[Sequenced]:
    """Ids and weights of prompts and replies; only a reply counts. One more target, so that its end is read too."""
    prompts, replies = (chat.render_batch(part) for part in list(zip(*talks, strict=True)) or ((), ()))
    last = chat.tokenizer.special[PAD]
    for (before, _), (after, weights) in zip(prompts, replies, strict=True):
        ids = np.asarray([*before, *after, last], dtype=np.int32)
        yield ids, np.asarray([*[0.0] * len(before), *weights, 0.0], dtype=np.float32)


def _paired(preference: Preference) -> Pair:
    if isinstance(preference, Thumb):
        raise DataError("a reply with a single verdict is no pair; use the objective kto, or give pairs")
    return preference


def _apart(preference: Preference) -> tuple[Thumb, ...]:
    if isinstance(preference, Pair):
        prompt = preference.prompt
        return Thumb(prompt, preference.chosen, True), Thumb(prompt, preference.rejected, False)
    return (preference,)
