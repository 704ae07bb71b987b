"""What stages leave for each other, seen on a finished run, and the conversations that sft learns from."""

import json
from pathlib import Path
from random import Random

import pytest

from groundup.config import read_toml
from groundup.errors import DataError, StoreError
from groundup.events import Events
from groundup.recipe import Recipe
from groundup.stages._work import Clock, Work
from groundup.stages.conversations import talks, text_tasks
from groundup.stages.results import open_model
from groundup.stages.text import documents
from groundup.stages.training import build_model
from groundup.store import Draft, Store
from groundup.tokenizer._base import load


def work(place: Path, tmp_path: Path, *pairs: str) -> Work:
    """What the sft stage of the finished run was given, with settings changed."""
    store = Store.open(place / "runs", "tiny")
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml")).override(*pairs)
    return Work(
        name="sft", recipe=recipe, needs=store.current(), draft=Draft(tmp_path), scratch=tmp_path, store=store,
        fingerprint="f", config={}, parents=(), events=Events(), clock=Clock(None), device="cpu", rate=0.0,
    )  # fmt: skip


def test_tokens_are_those_of_the_training_documents(place: Path, tmp_path: Path) -> None:
    given = work(place, tmp_path)
    learned = load(given.path("tokenizer"))
    train = list(documents(given, "train"))
    ends = len(train)
    assert given.needs["tokens"].facts["tokens"] == sum(len(learned.encode(each.text)) for each in train) + ends
    assert {each.id for each in train}.isdisjoint(each.id for each in documents(given, "held_out"))


def test_made_conversations_end_with_the_assistant_and_splits_share_none(place: Path, tmp_path: Path) -> None:
    given = work(place, tmp_path, "sft.conversations=200")
    train, held_out = talks(given, "train"), talks(given, "held_out")
    assert len(train) > 40
    assert {talk[-1].role for talk in (*train, *held_out)} == {"assistant"}
    asked = {talk[0].content for talk in train if "number" not in talk[0].content}
    sums = [talk for talk in held_out if talk[0].content.endswith("= ?")]
    assert sums
    assert asked.isdisjoint(talk[0].content for talk in sums)
    assert talks(given, "train") == train, "the same run makes the same conversations"


def test_tasks_whose_questions_cannot_fit_are_left_out(place: Path, tmp_path: Path) -> None:
    wide, narrow = (text_tasks(work(place, tmp_path, f"model.length={length}")) for length in (512, 32))
    assert narrow.keys() < wide.keys()


def test_ones_own_conversations_take_the_place_of_the_made_ones(place: Path, tmp_path: Path) -> None:
    random, path = Random(1), tmp_path / "talks.jsonl"
    rows = [
        {"messages": [{"role": "user", "content": f"Q{n}"}, {"role": "assistant", "content": f"A{random.random()}"}]}
        for n in range(40)
    ]
    path.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    given = work(place, tmp_path, f"data.chat=['{path}']", "sft.arithmetic=0")
    assert [talk[0].content for talk in talks(given, "held_out")] == ["Q19", "Q39"]
    assert len(talks(given, "train")) == 38
    path.write_text("\n".join(map(json.dumps, rows[:19])), encoding="utf-8")
    with pytest.raises(DataError, match="19 usable conversations; give at least 20"):
        talks(given, "train")


def test_each_stage_of_training_opens_as_a_model_that_answers(place: Path, tmp_path: Path) -> None:
    store = Store.open(place / "runs", "tiny")
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    for stage in ("pretrain", "sft", "grpo", None):
        assert open_model(store, recipe, stage, "cpu") is not None
    other = recipe.override("model.dim=64")
    paths = [store.current()[stage].path for stage in ("tokenizer", "sft")]
    with pytest.raises(StoreError, match=r"weights\.safetensors: .* the model's is"):
        build_model(other, paths[0], paths[1], "cpu")
    with pytest.raises(StoreError, match="its sft stage is not done"):
        open_model(Store.create(tmp_path, "mine"), recipe, "sft", "cpu")
