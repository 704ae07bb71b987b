"""Feeds: every row once, an order that is a function of (seed, position), and an exact place to go on from."""

from itertools import islice

import numpy as np
import pytest
import torch

from groundup.errors import DataError
from groundup.tokens.pack import Row
from groundup.train.batch import collate
from groundup.train.feeds._order import Shuffled, seed_of
from groundup.train.feeds.conversations import Conversations
from groundup.train.feeds.documents import Documents
from groundup.train.feeds.rehearsal import Rehearsal
from train import toy


class Numbered:
    """Row p is full of p."""

    rows = 10

    def row(self, position: int) -> Row:
        full = np.full(4, position)
        return Row(full, full + 1, np.arange(4), np.zeros(4, dtype=np.int64), np.ones(4, dtype=np.float32))


def first_tokens(feed: Documents, n: int) -> list[int]:
    return [int(row[0]) for batch in islice(feed, n) for row in batch.tokens]


def test_rows_come_in_order_and_the_state_is_that_of_the_consumer() -> None:
    feed = Documents(Numbered(), rows=3)
    source = iter(feed)
    assert next(source).tokens[:, 0].tolist() == [0, 1, 2]
    assert feed.state() == {"position": 3}
    other = Documents(Numbered(), rows=3)
    other.restore(feed.state())
    assert next(source).tokens[:, 0].tolist() == next(iter(other)).tokens[:, 0].tolist() == [3, 4, 5]
    assert feed.epoch == 0.6


@pytest.mark.parametrize("world", [1, 2, 4])
def test_the_ranks_together_see_each_row_once(world: int) -> None:
    feeds = [Documents(Numbered(), rows=2, rank=rank, world=world) for rank in range(world)]
    seen = [number for feed in feeds for number in first_tokens(feed, 8 // world)]
    assert sorted(seen) == list(range(16))


def test_the_first_rows_come_in_shorter_ones() -> None:
    feed = Documents(Numbered(), rows=3, start_length=2, start_rows=6)
    shapes = [tuple(batch.tokens.shape) for batch in islice(feed, 3)]
    assert shapes == [(6, 2), (6, 2), (3, 4)]
    again = Documents(Numbered(), rows=3, start_length=2, start_rows=6)
    again.restore({"position": 3})
    batch = next(iter(again))
    assert batch.tokens.tolist() == [[p, p] for p in (3, 3, 4, 4, 5, 5)] and batch.count == 12.0
    assert batch.targets.shape == batch.weights.shape == (6, 2)


def test_an_epoch_has_every_conversation_once_in_an_order_of_its_own() -> None:
    packed = [Numbered().row(number) for number in range(12)]
    seen = first_tokens(Conversations(packed, rows=4, seed=3), 6)
    assert sorted(seen[:12]) == sorted(seen[12:]) == list(range(12))
    assert seen[:12] != seen[12:] != sorted(seen[12:])
    assert seen == first_tokens(Conversations(packed, rows=4, seed=3), 6)
    assert seen != first_tokens(Conversations(packed, rows=4, seed=4), 6)


def test_any_place_of_the_order_can_be_asked_first() -> None:
    forward = Shuffled(range(7), seed=1)
    in_order = [forward.row(place) for place in range(30)]
    assert [Shuffled(range(7), seed=1).row(place) for place in reversed(range(30))] == in_order[::-1]


def test_no_conversation_is_an_error_that_says_what_to_do() -> None:
    with pytest.raises(DataError, match="--chat PATH"):
        Conversations([], rows=4, seed=0)


def test_a_batch_counts_its_weights_and_drops_what_says_nothing() -> None:
    plain = collate([Numbered().row(number) for number in range(3)])
    assert plain.positions is None and plain.segments is None
    assert plain.count == 12.0
    packed = collate(toy.rows(4))
    assert packed.positions is not None and packed.segments is not None
    assert packed.count == packed.weights.sum().item()
    assert packed.tokens.dtype == packed.segments.dtype == torch.int64 and packed.weights.dtype == torch.float32


def test_a_batch_is_cut_by_rows_and_counted_anew() -> None:
    whole = toy.batch(6)
    parts = [whole.cut(0, 2), whole.cut(2, 6)]
    assert sum(part.count for part in parts) == whole.count
    for name, value in whole.tensors().items():
        assert torch.equal(torch.cat([part.tensors()[name] for part in parts]), value)


def test_seeds_differ_and_stay() -> None:
    assert len({seed_of(1, place, member) for place in range(20) for member in range(20)}) == 400
    assert seed_of(-1, 2) == seed_of(-1, 2) < 2**63


def test_rehearsal_counts_what_is_known_by_its_share_of_what_is_new_and_goes_on_where_it_stood() -> None:
    def feed() -> Rehearsal:
        packed = [Numbered().row(100 + number) for number in range(5)]
        return Rehearsal(Documents(Numbered(), rows=3), Conversations(packed, 2, seed=0), micros=2, weight=0.5)

    whole = feed()
    new, more, known, *_ = step = list(islice(whole, 6))
    assert [batch.tokens[0, 0] >= 100 for batch in step] == [False, False, True] * 2
    assert known.count == 0 and float(known.weights.sum()) == pytest.approx(0.5 * (new.count + more.count))
    resumed = feed()
    resumed.restore(whole.state())
    for one, other in zip(islice(whole, 3), islice(resumed, 3), strict=True):
        assert torch.equal(one.tokens, other.tokens) and torch.equal(one.weights, other.weights)
