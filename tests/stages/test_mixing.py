"""Phases of a recipe: what is read when, what the facts say of it, and what is refused by name."""

from pathlib import Path

import pytest

from groundup.errors import ConfigError
from groundup.recipe import Mix, Pretrain, Recipe
from groundup.stages.mixing import curriculum, mixture_facts
from groundup.tokens.pack import Packed
from groundup.tokens.shard import Shard, write

LENGTH = 4
PHASES = [
    {"name": "warm_up", "share": 0.25, "weights": {"web": 0}},
    {"name": "main", "share": 0.5},
    {"name": "annealing", "share": 0.25, "weights": {"web": 0, "books": 0, "facts": 9}},
]
WEIGHTS = {"web": 1.0, "books": 2.0, "facts": 1.0}


@pytest.fixture
def packed(tmp_path: Path) -> list[Packed]:
    for number, label in enumerate(WEIGHTS):
        write(tmp_path / label, [[number + 1] * 4000], 10, separator=0)
    return [Packed(Shard.open(tmp_path / label), LENGTH) for label in WEIGHTS]


def test_phases_say_what_is_read_when(packed: list[Packed]) -> None:
    mix, train = Mix(phases=PHASES), Pretrain(steps=40, rows=8)
    read = curriculum(mix, train, WEIGHTS, packed, seed=1)
    labels = [list(WEIGHTS)[int(read.row(position).tokens.max()) - 1] for position in range(320)]
    assert read.starts == [0, 80, 240]
    assert set(labels[:80]) == {"books", "facts"} and set(labels[80:240]) == set(WEIGHTS)
    assert set(labels[240:]) == {"facts"}
    facts = mixture_facts(mix, read, list(WEIGHTS), 320 * LENGTH, LENGTH)
    assert {name: found["tokens"] for name, found in facts["mixture"].items()} == {
        label: labels.count(label) * LENGTH for label in WEIGHTS
    }
    assert [phase["name"] for phase in facts["phases"]] == ["warm_up", "main", "annealing"]
    assert facts["phases"][2]["mixture"] == {"facts": {"share": 1.0, "tokens": 320, "epochs": 80 / packed[2].rows}}
    half = mixture_facts(mix, read, list(WEIGHTS), 80 * LENGTH, LENGTH)
    assert sum(found["tokens"] for found in half["phases"][1]["mixture"].values()) == 0
    assert Recipe.from_tree({"data": {"mix": mix.tree()}}).data.mix == mix


def test_limits_hold_over_all_phases(packed: list[Packed]) -> None:
    mix, train = Mix(phases=PHASES, epochs=0.1), Pretrain(steps=40, rows=8)
    with pytest.raises(ConfigError, match=r"at most 0.1 epochs"):
        curriculum(mix, train, WEIGHTS, packed, seed=1)
    read = curriculum(Mix(phases=PHASES, epochs=0.15), train, WEIGHTS, packed, seed=1)
    assert all(used <= 0.15 * rows.rows + 2 for used, rows in zip(read.used(320), packed, strict=True))


@pytest.mark.parametrize(
    ("phases", "steps", "message"),
    [
        (PHASES, None, "data.mix.phases: a timed run does not know its end"),
        ([{"name": "all", "share": 1.0, "weights": {"boks": 1}}], 10, "did you mean 'books'"),
        ([{"name": "all", "share": 1.0, "weights": dict.fromkeys(WEIGHTS, 0)}], 10, "every source has weight 0"),
    ],
)
def test_phases_that_make_no_sense_are_refused(
    packed: list[Packed], phases: list[dict], steps: int | None, message: str
) -> None:
    with pytest.raises(ConfigError, match=message):
        curriculum(Mix(phases=phases), Pretrain(steps=steps), WEIGHTS, packed, seed=1)
    with pytest.raises(ConfigError, match=r"make 0.5; let them make 1"):
        Mix.from_tree({"phases": [{"name": "all", "share": 0.5}]})
