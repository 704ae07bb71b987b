"""Mixtures: shares that hold, sources read in their own order, an order that is a function of (seed, position)."""

from pathlib import Path

import numpy as np
import pytest

from groundup.errors import ConfigError
from groundup.tokens.mixture import BLOCK, Curriculum, Mixture, mixed
from groundup.tokens.pack import Packed
from groundup.tokens.shard import Shard, write


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory) -> list[Packed]:
    folder: Path = tmp_path_factory.mktemp("mixture")
    made = []
    for number, size in enumerate((2000, 333, 4)):
        write(folder / str(number), [[100 * (number + 1) + place % 90 for place in range(size)]], 1000, separator=0)
        made.append(Packed(Shard.open(folder / str(number)), 3, seed=number))
    return made


def labels(mixture: Mixture, positions: range) -> list[int]:
    return [int(mixture.row(position).tokens.max()) // 100 - 1 for position in positions]


def test_shares_hold_in_every_block(sources: list[Packed]) -> None:
    mixture = Mixture(sources, [5.0, 2.5, 2.5])
    assert mixture.counts == [512, 256, 256]
    for block in (0, 1, 5):
        seen = labels(mixture, range(block * BLOCK, (block + 1) * BLOCK))
        assert np.bincount(seen).tolist() == mixture.counts


def test_a_small_share_is_never_nothing(sources: list[Packed]) -> None:
    assert Mixture(sources, [1e9, 1.0, 1.0]).counts == [BLOCK - 2, 1, 1]
    assert sum(Mixture(sources, [1.0, 1.0, 1.0]).counts) == BLOCK


def test_without_weights_each_source_counts_by_its_rows(sources: list[Packed]) -> None:
    mixture = Mixture(sources)
    assert mixture.rows == sum(source.rows for source in sources)
    exact = [BLOCK * source.rows / mixture.rows for source in sources]
    assert all(abs(count - share) <= 1 for count, share in zip(mixture.counts, exact, strict=True))


def test_every_source_is_read_in_its_own_order(sources: list[Packed]) -> None:
    mixture = Mixture(sources, [6.0, 3.0, 1.0], seed=5)
    at = [0, 0, 0]
    for position in range(3 * BLOCK):
        row = mixture.row(position)
        number = int(row.tokens.max()) // 100 - 1
        assert (row.tokens == sources[number].row(at[number]).tokens).all()
        at[number] += 1


def test_the_order_depends_on_seed_and_position_alone(sources: list[Packed]) -> None:
    forth, back = Mixture(sources, [1, 1, 1], 2), Mixture(sources, [1, 1, 1], 2)
    count = 2 * BLOCK + 7
    assert labels(forth, range(count)) == labels(back, range(count - 1, -1, -1))[::-1]
    assert labels(forth, range(50)) != labels(Mixture(sources, [1, 1, 1], 3), range(50))
    assert labels(forth, range(50)) != labels(forth, range(BLOCK, BLOCK + 50))


def test_one_source_is_itself(sources: list[Packed]) -> None:
    mixture = Mixture(sources[:1], [0.3])
    for position in (0, 1, 700, 5000):
        assert (mixture.row(position).tokens == sources[0].row(position).tokens).all()


@pytest.mark.parametrize("weights", [[1.0, 2.0], [1.0, 0.0, 1.0], [1.0, -1.0, 1.0], [1.0, float("nan"), 1.0]])
def test_wrong_weights_are_named(sources: list[Packed], weights: list[float]) -> None:
    with pytest.raises(ConfigError, match="weights"):
        Mixture(sources, weights)


def test_temperature_and_limits_change_the_shares() -> None:
    def shares(temperature: float = 1.0, most: float = 1.0, epochs: float = 0.0) -> list[float]:
        return mixed([90.0, 9.0, 1.0], [90, 9, 1], 100, temperature=temperature, most=most, epochs=epochs)

    assert shares() == pytest.approx([0.9, 0.09, 0.01])
    assert shares(temperature=1e9) == pytest.approx([1 / 3] * 3)
    assert shares(most=0.5) == pytest.approx([0.5, 0.45, 0.05])
    assert shares(temperature=2, epochs=2) == pytest.approx([0.80, 0.18, 0.02])
    assert shares(temperature=1e9, epochs=2, most=0.9) == pytest.approx([0.80, 0.18, 0.02])
    with pytest.raises(ConfigError, match="fill 50% of the training"):
        shares(epochs=0.5)


def test_a_curriculum_of_one_phase_is_the_mixture(sources: list[Packed]) -> None:
    one, other = Curriculum(sources, [([6.0, 3.0, 1.0], 50)], 5), Mixture(sources, [6.0, 3.0, 1.0], 5)
    for position in (0, 49, 50, BLOCK - 1, BLOCK, 5000):  # it goes on past its end
        assert (one.row(position).tokens == other.row(position).tokens).all()
    assert one.used(BLOCK + 7) == other.used(BLOCK + 7) and one.rows == other.rows


def test_phases_change_the_shares_and_no_source_begins_anew(sources: list[Packed]) -> None:
    phases = [([1.0, 0.0, 0.0], 300), ([5.0, 5.0, 0.0], BLOCK + 77), ([0.0, 1.0, 1.0], 500)]
    read = Curriculum(sources, phases, 5)
    end = 300 + BLOCK + 77 + 500
    at, seen = [0, 0, 0], []
    for position in range(end):
        row = read.row(position)
        number = int(row.tokens.max()) // 100 - 1
        assert (row.tokens == sources[number].row(at[number]).tokens).all()
        at[number] += 1
        seen.append(number)
    assert set(seen[:300]) == {0} and set(seen[-500:]) == {1, 2}
    assert read.used(end) == at and [read.used(place) for place in (1, 900)] == [[1, 0, 0], _counts(seen[:900])]
    assert read.in_phase(2, end) == _counts(seen[-500:])[1:] and read.in_phase(2, 300) == [0, 0]
    backwards = Curriculum(sources, phases, 5)
    for position in (end - 1, 1200, 300, 299, 0):
        assert (backwards.row(position).tokens == read.row(position).tokens).all()


def _counts(seen: list[int]) -> list[int]:
    return np.bincount(seen, minlength=3).tolist()


def test_limits_on_epochs_count_what_was_read_before() -> None:
    settings = {"temperature": 1.0, "most": 1.0, "epochs": 2.0}
    assert mixed([1.0, 1.0], [100, 100], 100, used=[150, 0], **settings) == [0.5, 0.5]
    assert mixed([1.0, 1.0], [100, 100], 100, used=[190, 0], **settings) == pytest.approx([0.1, 0.9])
    assert mixed([1.0, 0.0, 1.0], [10, 10, 100], 100, used=[0, 0, 0], **settings) == pytest.approx([0.2, 0.0, 0.8])
