"""The recipe: its defaults stand, its files read, and a misspelt field is told at any depth."""

from pathlib import Path

import pytest

from groundup.config import leaves, read_toml
from groundup.errors import ConfigError
from groundup.recipe import Recipe
from spine import ROOT


def test_every_default_is_a_value_that_the_recipe_accepts() -> None:
    assert Recipe.from_tree(Recipe().tree()) == Recipe()
    assert Recipe().train.optim.name == "muon"
    assert Recipe().model.name == "qwen3"


@pytest.mark.parametrize("path", sorted((ROOT / "recipes").glob("*.toml")), ids=lambda path: path.stem)
def test_the_ready_made_recipes_read(path: Path) -> None:
    tree = read_toml(path)
    resolved = leaves(Recipe.from_tree(tree).tree())
    assert leaves(tree).keys() <= resolved.keys()


@pytest.mark.parametrize(
    ("pair", "nearest"),
    [
        ("mintes=3", "minutes"),
        ("train.stepz=3", "steps"),
        ("train.optim.mometum=0.9", "momentum"),
        ("model.layer=3", "layers"),
        ("tokenizer.vocabsize=500", "vocab_size"),
        ("corpus.held_out.fractoin=0.1", "fraction"),
        ("model=quen3", "qwen3"),
    ],
)
def test_a_misspelt_setting_gets_the_nearest(pair: str, nearest: str) -> None:
    with pytest.raises(ConfigError) as error:
        Recipe().override(pair)
    dotted = pair.partition("=")[0] if nearest != "qwen3" else "model"
    assert dotted in str(error.value)
    assert f"did you mean '{nearest}'?" in str(error.value)
