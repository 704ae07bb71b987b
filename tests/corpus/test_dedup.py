"""The split and likeness, against plain Python."""

import random
import re

import pyarrow as pa
import pytest

from groundup.corpus.minhash import jaccard, runs
from groundup.corpus.split import HeldOut
from groundup.errors import DataError


def plain_jaccard(left: str, right: str) -> float:
    """The likeness of the sets of runs of 5 words, by sets of tuples."""
    sets = []
    for text in (left, right):
        split = re.findall(r"\w+", text.lower())
        sets.append({tuple(split[start : start + 5]) for start in range(len(split) - 4)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("changes", [0, 1, 5, 30, 200])
def test_likeness_is_that_of_sets_of_runs_of_five_words(changes: int) -> None:
    draw = random.Random(changes)
    split = [f"w{draw.randrange(300)}" for _ in range(400)]
    other = list(split)
    for place in draw.sample(range(400), changes):
        other[place] = "changed"
    left, right = " ".join(split), ", ".join(other).upper()
    assert jaccard(runs(left), runs(right)) == pytest.approx(plain_jaccard(left, right), abs=1e-12)


def test_short_texts_are_compared_by_their_words() -> None:
    assert jaccard(runs("one two"), runs("Two, one!")) == 1.0
    assert jaccard(runs("one two"), runs("three")) == 0.0
    assert jaccard(runs(""), runs("")) == 1.0


def rows(sizes: list[int], pinned: bool | None = None) -> list[tuple[str, int, bool | None, int]]:
    return [(f"{(key * 7919) % 1000:032x}", size, pinned, key) for key, size in enumerate(sizes)]


def table(found: list[tuple[str, int, bool | None, int]]) -> pa.Table:
    columns = [("content", pa.string()), ("bytes", pa.int64()), ("pinned", pa.bool_()), ("key", pa.int64())]
    return pa.table({name: pa.array([row[at] for row in found], kind) for at, (name, kind) in enumerate(columns)})


def test_the_split_takes_the_first_by_hash_up_to_its_share() -> None:
    held = HeldOut(fraction=0.1).choose(table(rows([100] * 200)))
    assert held == {key for _, _, _, key in sorted(rows([100] * 200))[:20]}
    assert HeldOut(fraction=0.1, max_bytes=500).choose(table(rows([100] * 200))) < held
    assert len(HeldOut(fraction=0.1, max_bytes=500).choose(table(rows([100] * 200)))) == 5


def test_the_split_is_never_empty_and_never_everything() -> None:
    assert len(HeldOut(fraction=0.01).choose(table(rows([100, 100])))) == 1
    for bad in (rows([100]), [], rows([100, 100], pinned=True), rows([100, 100], pinned=False)):
        with pytest.raises(DataError, match="at least one is needed to learn from and one to measure on"):
            HeldOut().choose(table(bad))


def test_pinned_documents_go_where_their_rule_says() -> None:
    mixed = [("a", 10, True, 1), ("b", 10, False, 2), *rows([100] * 50)[10:]]
    held = HeldOut(fraction=0.1).choose(table(mixed))
    assert 1 in held and 2 not in held and len(held) == 5
