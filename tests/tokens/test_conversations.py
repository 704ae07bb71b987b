"""Packed conversations: each whole, each once, none in sight of another."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import DataError
from groundup.tokens.conversations import pack_conversations

PAD = 1


def rendered(sizes: list[int]) -> list[tuple[list[int], list[float]]]:
    """Conversation c of n tokens: ids 100 * (c + 1) + place; the first two thirds are asked, the rest is the reply."""
    return [
        ([100 * (number + 1) + place for place in range(size)], [float(place > size // 2) for place in range(size)])
        for number, size in enumerate(sizes)
    ]


@settings(max_examples=100, deadline=None)
@given(sizes=st.lists(st.integers(3, 13), min_size=1, max_size=30))
def test_every_conversation_is_whole_in_one_row(sizes: list[int]) -> None:
    length = 12
    given_ = rendered(sizes)
    rows = pack_conversations(given_, length, PAD)
    found = []
    for row in rows:
        assert row.tokens.shape == row.targets.shape == row.weights.shape == (length,)
        for segment in range(int(row.segments[-1]) + 1):
            here = row.segments == segment
            if not row.weights[here].any():
                assert (row.tokens[here] == PAD).all() and segment == row.segments[-1]
                continue
            assert (row.positions[here] == np.arange(here.sum())).all()
            ids = [*row.tokens[here].tolist(), int(row.targets[here][-1])]
            assert row.targets[here].tolist() == ids[1:]
            found.append((ids, [0.0, *row.weights[here].tolist()]))
    assert sorted(found) == sorted(given_)
    assert (rows.n_conversations, rows.n_cut, rows.n_dropped) == (len(sizes), 0, 0)
    filled = sorted(sum(int((row.segments == at).sum()) for at in set(row.segments[row.weights > 0])) for row in rows)
    assert len(filled) < 2 or filled[0] + filled[1] > length, "two rows would fit in one"


def test_a_long_one_is_cut_and_counted_and_one_without_a_reply_left_out() -> None:
    long = ([*range(10, 40)], [0.0] * 5 + [1.0] * 25)
    late = ([*range(50, 80)], [0.0] * 25 + [1.0] * 5)
    mute = ([5, 6, 7], [0.0, 0.0, 0.0])
    rows = pack_conversations([long, late, mute], 8, PAD)
    assert (len(rows), rows.n_conversations, rows.n_cut, rows.n_dropped) == (1, 1, 2, 2)
    assert rows[0].tokens.tolist() == [*range(10, 18)]
    assert rows[0].weights.tolist() == [0.0] * 4 + [1.0] * 4
    with pytest.raises(DataError, match=r"none of 2 conversations.*model\.length"):
        pack_conversations([late, mute], 8, PAD)


def test_rows_are_a_sequence() -> None:
    rows = pack_conversations(rendered([5, 6, 7, 8]), 8, PAD)
    assert [row.tokens.tolist() for row in rows[1:]] == [row.tokens.tolist() for row in rows][1:]
    with pytest.raises(IndexError):
        rows[len(rows)]


def test_fifty_thousand_pack_in_seconds() -> None:
    sizes = np.random.default_rng(0).integers(5, 500, size=50_000)
    many = [(np.arange(size), np.ones(size)) for size in sizes]
    start = time.perf_counter()
    rows = pack_conversations(many, 1024, PAD)
    assert time.perf_counter() - start < 10  # measured 0.6
    assert len(rows) < 1.02 * (sizes.sum() - len(sizes)) / 1024
