"""What is done, stale or to do: each stage depends on its own settings, files and parents, and on nothing else."""

import os
from pathlib import Path

import pytest

from groundup.config import Tree, read_toml
from groundup.errors import ConfigError
from groundup.pipeline import STAGES, spent_before, stages_of, status, todo
from groundup.recipe import Recipe
from groundup.stages._work import Clock
from groundup.store import Store
from spine import write_text

NAMES = [stage.name for stage in STAGES]


def frozen(store: Store, *pairs: str) -> Tree:
    """The recipe of a run, with settings changed."""
    return Recipe.from_tree(read_toml(store.root / "recipe.toml")).override(*pairs).tree()


def test_the_stages_stand_in_the_order_of_their_needs() -> None:
    assert NAMES == ["corpus", "tokenizer", "tokens", "pretrain", "sft", "grpo", "eval", "report"]
    for number, stage in enumerate(STAGES):
        assert set(stage.needs) <= set(NAMES[:number])
        assert stage.make.__doc__


def test_every_section_of_the_recipe_is_read_by_some_stage() -> None:
    """A setting that no stage read could be changed without anything being made again. So may be what decides on how
    many machines and how safely, and not what is learned."""
    unread = set(Recipe().tree()) - {section.partition(".")[0] for stage in STAGES for section in stage.reads}
    assert unread == {"elastic", "parallel", "safety"}


@pytest.mark.parametrize(
    ("pair", "again"),
    [
        ("seed=2", NAMES[3:]),
        ("corpus.held_out.fraction=0.2", NAMES),
        ("data.text=['python']", NAMES),
        ("tokenizer.vocab_size=410", NAMES[1:]),
        ("tokens.isolate=true", ["pretrain", "sft", "grpo", "eval", "report"]),
        ("model.dim=64", NAMES[3:]),
        ("train.optim.lr=0.5", NAMES[3:]),
        ("sft.rows=8", ["sft", "grpo", "eval", "report"]),
        ("grpo.kl=0.1", ["grpo", "eval", "report"]),
        ("eval.arithmetic=4", ["eval", "report"]),
        ("minutes=3", []),
    ],
)
def test_a_changed_setting_makes_again_what_depends_on_it(pair: str, again: list[str], place: Path) -> None:
    store = Store.open(place / "runs", "tiny")
    assert todo(store, frozen(store)) == []
    assert todo(store, frozen(store, pair)) == again


def test_minutes_matter_to_the_stages_that_the_clock_decides() -> None:
    pretrain = next(stage for stage in STAGES if stage.name == "pretrain")
    timed = Recipe().override("minutes=3")
    assert pretrain.config(timed.tree())["minutes"] == 3.0
    assert "minutes" not in pretrain.config(timed.override("train.steps=5").tree())


def test_what_made_a_stage_stale_is_told(place: Path) -> None:
    store = Store.open(place / "runs", "tiny")
    found = {
        entry.stage.name: entry for entry in status(store, frozen(store, "tokenizer.vocab_size=410", "sft.rows=8"))
    }
    assert (found["corpus"].state, found["corpus"].because) == ("done", "")
    assert found["tokenizer"].because == "tokenizer.vocab_size was 400, is 410"
    assert found["tokens"].because == "tokenizer is made again"
    assert found["sft"].because == "sft.rows was 4, is 8; tokenizer is made again; pretrain is made again"
    assert {entry.state for name, entry in found.items() if name != "corpus"} == {"stale"}


def test_the_users_files_are_looked_at_by_their_content(tmp_path: Path) -> None:
    text = write_text(tmp_path / "text", documents=3)
    store = Store.create(tmp_path / "runs", "mine")
    tree = Recipe().override(f"data.text=['{text}']").tree()
    first = status(store, tree)[0]
    assert (first.stage.name, first.state) == ("corpus", "to do")
    with store.publish("corpus", first.fingerprint, first.parents, first.config):
        pass
    book = text / "book01.txt"
    os.utime(book, (1, 1))
    assert status(store, tree)[0].state == "done", "a new time alone is no change"
    book.write_text(book.read_text(encoding="utf-8").replace("a", "e"), encoding="utf-8")
    changed = status(store, tree)[0]
    assert (changed.state, changed.because) == ("stale", "the files changed")
    book.unlink()
    assert status(store, tree)[0].because == "the files changed"


def test_a_run_that_is_done_has_spent_nothing_of_the_next_ones_minutes(place: Path) -> None:
    store = Store.open(place / "runs", "tiny")
    assert spent_before(store, Recipe.from_tree(frozen(store))) == 0.0
    assert spent_before(store, Recipe()) == 0.0


def test_the_time_of_interrupted_commands_counts(tmp_path: Path) -> None:
    store, recipe = Store.create(tmp_path, "mine"), Recipe().override("minutes=1")
    store.note("run", recipe.fingerprint(), spent=12.5)
    store.note("run", Recipe().fingerprint(), spent=99.0)
    assert spent_before(store, recipe) == 12.5


def test_a_stage_gets_what_those_after_it_leave() -> None:
    ahead = {"corpus": 5.0, "pretrain": 30.0, "sft": 6.0, "eval": 4.0}
    clock = Clock(minutes=1.0, spent=10.0, ahead=ahead)
    left = clock.left_for("pretrain")
    assert left is not None
    assert 39.0 < left <= 40.0
    assert clock.left_for("eval") == pytest.approx(50.0, abs=1.0)
    assert Clock(minutes=None, ahead=ahead).left_for("pretrain") is None


def test_on_a_machine_slower_than_it_was_when_it_was_probed_the_evaluation_gets_its_time() -> None:
    ahead = {"pretrain": 30.0, "sft": 6.0, "eval": 10.0}
    clock = Clock(minutes=1.0, ahead=ahead, seconds_per_token=1e-4)
    clock.observe(tokens=100_000, seconds=11.0)
    assert clock.slower == 1.0
    clock.observe(tokens=100_000, seconds=25.0)
    assert clock.slower == pytest.approx(2.0)
    assert clock.left_for("sft") == pytest.approx(40.0, abs=1.0)


@pytest.mark.parametrize(
    ("adapt", "names"),
    [
        ({"objective": "likelihood"}, ["adapt", "eval", "report"]),
        ({"objective": "dpo"}, ["reference", "adapt", "eval", "report"]),
        ({"objective": "ppo", "reward": "r"}, ["adapt", "eval", "report"]),
        ({"objective": "likelihood", "best_of": 4, "reward": "r"}, ["replies", "adapt", "eval", "report"]),
        ({"objective": "classify", "folds": 5}, ["adapt", "folds", "eval", "report"]),
        ({"objective": "distill", "teacher": "t"}, ["adapt", "eval", "report"]),
    ],
)
def test_an_adapted_run_has_the_stages_of_its_method(adapt: Tree, names: list[str]) -> None:
    tree = Recipe.from_tree({"imported": "i", "adapt": {"data": ["a.jsonl"], **adapt}}).tree()
    stages = stages_of(tree)
    assert [stage.name for stage in stages] == names
    known = {"import", *({"reward", "teacher"} & adapt.keys())}
    for stage in stages:
        assert set(stage.needs) <= known, "each needs what stands before it, or what the run began with"
        known.add(stage.name)


@pytest.mark.parametrize(
    ("adapt", "told"),
    [
        ({"objective": "ppo"}, "need a reward model"),
        ({"objective": "dpo", "reward": "r"}, "dpo learns from what the examples say"),
        ({"objective": "distill"}, "distill needs one"),
        ({"objective": "dpo", "teacher": "t"}, "dpo has no use for one"),
        ({"objective": "dpo", "folds": 5}, r"adapt\.folds: 5 with dpo"),
    ],
)
def test_what_does_not_go_together_is_refused(adapt: Tree, told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        Recipe.from_tree({"imported": "i", "adapt": {"data": ["a.jsonl"], **adapt}})
