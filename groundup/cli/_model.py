"""A run's model, opened to be talked to."""

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from groundup.dialogue import Dialogue
    from groundup.events import Reporter


def open_dialogue(
    runs: Path, name: str, stage: str | None, rows: int | None = None, compiled: "Reporter | None" = None
) -> "Dialogue":
    """The model of a run's stage (None: the last that is done), for so many replies at a time where it is said.

    With `compiled` its steps are compiled first. Raises StoreError when there is no such run, or the stage is not done,
    and UnsupportedError for a model that cannot be compiled.
    """
    from groundup.config import read_toml
    from groundup.recipe import Recipe
    from groundup.stages.results import ENGINE_ROWS, device_of, open_model
    from groundup.store import Store

    store = Store.open(runs, name)
    recipe = Recipe.from_tree(read_toml(store.root / "recipe.toml"))
    return open_model(store, recipe, stage, device_of(store), rows or ENGINE_ROWS, compiled)
