"""Rows: what every packing promises, and that a row is a function of seed and position alone."""

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from groundup.errors import DataError
from groundup.tokens.order import shuffled
from groundup.tokens.pack import Packed, Padded, Row, Rows
from groundup.tokens.shard import Shard, write

SEPARATOR = 0
lengths = st.lists(st.integers(0, 12), min_size=1, max_size=12)
MAKERS: dict[str, Callable[[Shard, int, int], Rows]] = {
    "packed": lambda shard, length, seed: Packed(shard, length, seed),
    "isolated": lambda shard, length, seed: Packed(shard, length, seed, isolate=True),
    "padded": lambda shard, length, seed: Padded(shard, length, seed),
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def shard_of(folder: Path, sizes: list[int]) -> Shard:
    """Documents of unlike ids: document d holds 1000 * (d + 1) + 1, + 2, ..."""
    documents = [[1000 * (number + 1) + place for place in range(1, size + 1)] for number, size in enumerate(sizes)]
    write(folder / "a.tokens", documents, 100_000, SEPARATOR)
    return Shard.open(folder / "a.tokens")


@pytest.fixture(scope="module")
def shard(tmp_path_factory: pytest.TempPathFactory) -> Shard:
    return shard_of(tmp_path_factory.mktemp("tokens"), [5, 0, 17, 3, 3, 40, 1, 9])


def same(left: Row, right: Row) -> bool:
    return all((getattr(left, name) == getattr(right, name)).all() for name in Row.__slots__)


@each
def test_a_row_depends_on_seed_and_position_alone(make: Callable[..., Rows], shard: Shard) -> None:
    forth, back = make(shard, 8, 3), make(shard, 8, 3)
    count = 3 * forth.rows + 1
    rows = [forth.row(position) for position in range(count)]
    assert all(same(rows[position], back.row(position)) for position in reversed(range(count)))
    other = make(shard, 8, 4)
    assert not all(same(rows[position], other.row(position)) for position in range(forth.rows))
    epochs = [rows[start : start + forth.rows] for start in (0, forth.rows)]
    assert not all(map(same, *epochs))


@each
@settings(max_examples=60, deadline=None)
@given(sizes=lengths, length=st.integers(1, 9), seed=st.integers(-5, 5))
def test_what_every_row_promises(
    tmp_path_factory: pytest.TempPathFactory, make: Callable[..., Rows], sizes: list[int], length: int, seed: int
) -> None:
    shard = shard_of(tmp_path_factory.mktemp("tokens"), sizes)
    if shard.n_tokens <= length:
        return
    rows = make(shard, length, seed)
    for position in range(2 * rows.rows):
        row = rows.row(position)
        for name, dtype in (
            ("tokens", "i8"),
            ("targets", "i8"),
            ("positions", "i8"),
            ("segments", "i8"),
            ("weights", "f4"),
        ):
            values = getattr(row, name)
            assert values.shape == (length,) and values.dtype == dtype
        taught = row.weights > 0
        inside = taught[:-1] & taught[1:]
        assert (row.targets[:-1][inside] == row.tokens[1:][inside]).all()
        for place in np.flatnonzero(taught):
            token, target = int(row.tokens[place]), int(row.targets[place])
            assert target in (SEPARATOR, token + 1) or token == SEPARATOR
        starts = np.flatnonzero(row.positions == 0)
        assert (np.diff(row.segments) == (row.positions[1:] == 0)).all() and starts[0] == 0
        assert (row.positions == np.arange(length) - starts[row.segments]).all()


@settings(max_examples=60, deadline=None)
@given(sizes=lengths, length=st.integers(1, 9), isolate=st.booleans())
def test_an_epoch_of_packed_rows_is_every_document_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], length: int, isolate: bool
) -> None:
    shard = shard_of(tmp_path_factory.mktemp("tokens"), sizes)
    if shard.n_tokens <= length:
        return
    rows = Packed(shard, length, 1, isolate)
    for epoch in (0, 1, 7):
        seen = [rows.row(epoch * rows.rows + place) for place in range(rows.rows)]
        tokens = Counter(int(token) for row in seen for token in row.tokens)
        every = Counter(int(token) for token in shard.ids)
        assert tokens <= every
        assert (every - tokens).total() == shard.n_tokens - rows.rows * length <= length
        assert all((row.weights == 1.0).all() for row in seen)
        if isolate:
            assert all((row.tokens[1:][row.positions[1:] == 0] == SEPARATOR).all() for row in seen)
            assert all((row.positions[row.tokens == SEPARATOR] == 0).all() for row in seen)
        else:
            assert all((row.segments == 0).all() for row in seen)


@settings(max_examples=60, deadline=None)
@given(sizes=lengths, length=st.integers(1, 9))
def test_an_epoch_of_padded_rows_teaches_every_token_once(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], length: int
) -> None:
    shard = shard_of(tmp_path_factory.mktemp("tokens"), sizes)
    rows = Padded(shard, length, 1)
    targets: Counter[int] = Counter()
    for place in range(rows.rows):
        row = rows.row(place)
        taught = row.weights > 0
        targets.update(int(target) for target in row.targets[taught])
        assert (row.segments == np.where(taught, 0, 1)).all()
    assert targets == Counter(int(token) for token in shard.ids)


def test_documents_change_neighbours_between_epochs(shard: Shard) -> None:
    rows = Packed(shard, 8, 0)
    joints = [
        {(int(a) // 1000, int(b)) for row in map(rows.row, epoch) for a, b in zip(row.tokens, row.targets, strict=True)}
        for epoch in (range(rows.rows), range(rows.rows, 2 * rows.rows))
    ]
    assert joints[0] != joints[1]


def test_too_little_text_for_a_row_is_refused(shard: Shard) -> None:
    assert Packed(shard, shard.n_tokens - 1).rows == 1
    with pytest.raises(DataError, match=rf"model.length to at most {shard.n_tokens - 1}"):
        Packed(shard, shard.n_tokens)


def test_no_documents_are_refused(tmp_path: Path) -> None:
    empty = shard_of(tmp_path, [])
    for make in MAKERS.values():
        with pytest.raises(DataError, match="give more text"):
            make(empty, 4, 0)


def test_the_order_is_the_same_for_ever() -> None:
    assert shuffled(8, 1, 2).tolist() == [5, 6, 3, 2, 1, 0, 4, 7]
    assert sorted(shuffled(1000, -1).tolist()) == list(range(1000))
    assert shuffled(0, 1).tolist() == []
