"""Trees of settings: what is refused and how it is said, overrides, origins, fingerprints, components of a folder."""

from pathlib import Path
from typing import Annotated

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import Field

from groundup.config import (
    Component,
    Config,
    Folder,
    fingerprint,
    leaves,
    merge,
    origins,
    parse_pairs,
    read_toml,
)
from groundup.errors import ConfigError
from groundup.recipe import Recipe


class Inner(Config):
    steps: int = Field(3, gt=0)
    rate: float | None = None


class Outer(Config):
    inner: Inner = Inner()
    optim: Annotated[Component, Folder("optim", "muon")] = Field("muon", validate_default=True)
    names: tuple[str, ...] = ()


def complaint(tree: dict[str, object], kind: type[Config] = Outer) -> str:
    with pytest.raises(ConfigError) as error:
        kind.from_tree(tree)
    return str(error.value)


@pytest.mark.parametrize(
    ("tree", "parts"),
    [
        ({"iner": {}}, ("iner: there is no such setting", "did you mean 'inner'?")),
        ({"inner": {"step": 4}}, ("inner.step: there is no such setting", "did you mean 'steps'?")),
        ({"inner": {"steps": 0}}, ("inner.steps", "greater than 0", "it is 0")),
        ({"inner": {"steps": "many"}}, ("inner.steps", "integer", "'many'")),
        ({"optim": "moun"}, ("optim", "has no 'moun'", "did you mean 'muon'?")),
        ({"optim": {"name": "adamw", "lrr": 1}}, ("optim.lrr: there is no such setting", "did you mean 'lr'?")),
        ({"optim": 3}, ("optim", "needs a name", "adamw, muon", "it is 3")),
    ],
)
def test_what_is_wrong_is_named(tree: dict[str, object], parts: tuple[str, ...]) -> None:
    text = complaint(tree)
    assert all(part in text for part in parts), text


def test_every_mistake_is_told_at_once() -> None:
    assert len(complaint({"iner": 1, "inner": {"steps": 0, "rat": 1}}).splitlines()) == 3


def test_a_config_is_frozen() -> None:
    with pytest.raises(ValueError, match="frozen"):
        Inner().steps = 4  # type: ignore[misc]


def test_an_override_changes_one_value_and_leaves_the_rest() -> None:
    changed = Outer().override("inner.rate=3e-4", "optim.lr=0.5", 'names=["a", "b"]')
    assert changed.inner == Inner(rate=3e-4)
    assert changed.optim.tree() == {**Outer().optim.tree(), "lr": 0.5}
    assert changed.names == ("a", "b")
    with pytest.raises(ConfigError, match=r"'inner\.rate' is not a setting; write it as section\.field=value"):
        Outer().override("inner.rate")
    with pytest.raises(ConfigError, match="did you mean 'rate'"):
        Outer().override("inner.rat=1")


def test_another_component_drops_the_fields_of_the_old_one() -> None:
    changed = Outer().override("optim.momentum=0.5").override("optim=adamw", "optim.lr=0.25")
    assert changed.optim.name == "adamw"
    assert changed.optim.tree()["lr"] == 0.25
    assert "momentum" not in changed.optim.tree()


def test_a_component_named_in_a_file_takes_fields_from_the_command_line() -> None:
    tree = merge({"optim": "adamw"}, parse_pairs(["optim.lr=0.25"]))
    assert Outer.from_tree(tree).optim.name == "adamw"
    assert Outer.from_tree(tree).optim.tree()["lr"] == 0.25


def test_naming_the_same_component_again_keeps_its_fields() -> None:
    assert Outer().override("optim.momentum=0.5").override("optim=muon").optim.tree()["momentum"] == 0.5


@pytest.mark.parametrize(
    ("text", "value"),
    [("3", 3), ("3e-4", 3e-4), ("true", True), ("[1, 2]", [1, 2]), ("muon", "muon"), ('"3"', "3"), ("a=b", "a=b")],
)
def test_values_are_read_as_toml_or_taken_as_text(text: str, value: object) -> None:
    assert parse_pairs([f"a.b={text}"]) == {"a": {"b": value}}


def test_pairs_of_one_section_come_together_and_the_last_wins() -> None:
    assert parse_pairs(["a.b=1", "a.c=2", "a.b=3"]) == {"a": {"b": 3, "c": 2}}
    assert parse_pairs(["a={b = 1}", "a.c=2"]) == {"a": {"b": 1, "c": 2}}


def test_toml_out_and_in_is_the_same_tree(tmp_path: Path) -> None:
    for config in (Outer(), Recipe(), Recipe().override("model=gpt2", "train.optim=adamw", "minutes=2.5")):
        (tmp_path / "a.toml").write_text(config.to_toml(), encoding="utf-8")
        back = type(config).from_tree(read_toml(tmp_path / "a.toml"))
        assert back == config
        assert back.fingerprint() == config.fingerprint()


def test_a_recipe_file_that_is_none_is_named_with_the_line(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text("seed = 1\nrows = = 2\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r"a\.toml: not a TOML file: .*line 2"):
        read_toml(tmp_path / "a.toml")
    (tmp_path / "b.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match=r"b\.toml: not a TOML file"):
        read_toml(tmp_path / "b.toml")
    with pytest.raises(ConfigError, match=r"c\.toml: there is no such recipe file"):
        read_toml(tmp_path / "c.toml")


def test_origins_name_the_last_layer_that_spoke() -> None:
    layers = [("planner", {"inner": {"steps": 4}, "optim": "muon"}), ("command line", {"inner": {"steps": 5}})]
    tree = Outer.from_tree({"inner": {"steps": 5}}).tree()
    found = origins(tree, layers)
    assert (found["inner.steps"], found["optim.name"], found["optim.lr"]) == ("command line", "planner", "default")
    assert found.keys() == leaves(tree).keys()


def test_a_fingerprint_is_of_the_values_and_not_of_their_order() -> None:
    assert fingerprint({"a": 1, "b": 2}) == fingerprint({"b": 2, "a": 1})
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
    assert len(fingerprint({})) == 16


LEAVES = st.dictionaries(st.sampled_from("abc"), st.integers(0, 9), max_size=3)
TREES = st.dictionaries(st.sampled_from("abc"), LEAVES.filter(bool) | st.integers(0, 9), max_size=3)


@settings(max_examples=60, deadline=None)
@given(TREES, TREES)
def test_what_is_laid_over_wins_and_the_rest_stays(base: dict[str, object], over: dict[str, object]) -> None:
    merged = leaves(merge(base, over))
    assert leaves(over).items() <= merged.items()
    shadowed = {key for key in leaves(base) for other in leaves(over) if key.startswith(f"{other}.")}
    kept = {k: v for k, v in leaves(base).items() if not any(k == o or o.startswith(f"{k}.") for o in leaves(over))}
    assert {k: v for k, v in kept.items() if k not in shadowed}.items() <= merged.items()


def test_the_folder_lists_its_files() -> None:
    assert Folder("optim").choices() == ["adamw", "muon", "normuon"]
    assert {"gpt2", "llama", "qwen3", "rnn"} <= set(Folder("models").choices())
    assert Folder("models").find("llama").from_tree({}).name == "llama"
