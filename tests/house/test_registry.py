"""The folder is the registry: whatever stands in a plug-in folder can be chosen by its name, and by nothing else."""

from collections.abc import Iterator
from typing import Any, get_args

import pytest
from pydantic import BaseModel

from groundup.config import Component, Folder
from groundup.errors import ConfigError
from groundup.recipe import Recipe


def folders_in(config: type[BaseModel]) -> Iterator[str]:
    """The plug-in folders that a recipe chooses from."""
    for field in config.model_fields.values():
        yield from (mark.path for mark in field.metadata if isinstance(mark, Folder))
        yield from folders_of(field.annotation)


def folders_of(hint: Any) -> Iterator[str]:
    """The plug-in folders that a type names, however deep."""
    if isinstance(hint, type) and issubclass(hint, BaseModel) and not issubclass(hint, Component):
        yield from folders_in(hint)
    for part in (*get_args(hint), *getattr(hint, "__metadata__", ())):
        if isinstance(part, Folder):
            yield part.path
        else:
            yield from folders_of(part)


def test_the_recipe_chooses_from_the_folders_of_the_house() -> None:
    assert {"corpus.filters", "models", "optim", "tokenizer"} <= set(folders_in(Recipe))


@pytest.mark.parametrize("path", sorted(set(folders_in(Recipe))))
def test_every_file_of_a_plug_in_folder_can_be_chosen(path: str) -> None:
    folder = Folder(path)
    assert folder.choices()
    for name in folder.choices():
        component = folder.read(name)
        assert component.name == name
        assert folder.read({"name": name, **component.tree()}) == component


@pytest.mark.parametrize("path", sorted(set(folders_in(Recipe))))
def test_a_misspelt_name_gets_a_suggestion(path: str) -> None:
    folder = Folder(path)
    name = folder.choices()[0]
    with pytest.raises(ConfigError, match=f"did you mean '{name}'"):
        folder.read(name + "x")
