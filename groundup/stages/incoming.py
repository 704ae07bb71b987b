"""A model that was made elsewhere: brought into a new run, and found again by the stages that go on from it."""

from pathlib import Path
from typing import TYPE_CHECKING

import tomli_w

from groundup.errors import StoreError
from groundup.store import Artifact, Store, runs_in

if TYPE_CHECKING:
    from groundup.formats.incoming import Incoming
    from groundup.recipe import Recipe

KIND = "import"
WEIGHTS = "weights.safetensors"


def bring_in(runs: Path, name: str, given: "Incoming") -> Artifact:
    """A new run that begins with `given`: its artifact, and a recipe that says no more than what came with it.

    Raises StoreError for a name that is taken.
    """
    from groundup.config import fingerprint, leaves
    from groundup.train.checkpoint import save_weights

    if name in runs_in(runs):
        raise StoreError(f"there is a run {name!r} in {runs} already; choose another --name, or `groundup rm {name}`")
    store = Store.create(runs, name)
    config = given.model.config.explicit()
    settings = {"sha256": given.facts["sha256"], "model": {"name": config.name, **config.tree()}}
    print_ = fingerprint([KIND, settings, given.facts["vocab_size"]])
    try:
        with store.locked(), store.publish(KIND, print_, (), settings) as draft:
            given.tokenizer.save(draft.path)
            digest = save_weights(given.model, draft.path / WEIGHTS)
            draft.facts |= {**given.facts, "weights_sha256": digest, "notes": given.notes}
        vocabulary = {"name": "bpe", "vocab_size": given.facts["vocab_size"]}
        tree = {"imported": print_, "model": settings["model"], "tokenizer": vocabulary}
        store.write_json("origins.json", dict.fromkeys(leaves(tree), KIND))
        store.write_text("recipe.toml", tomli_w.dumps(tree))
    except BaseException:
        store.discard()
        raise
    found = store.find(KIND, print_)
    assert found is not None
    return found


def imported(store: Store, recipe: "Recipe") -> Artifact | None:
    """The model that a run goes on from, if it began with one. Raises StoreError where it is gone."""
    if recipe.imported is None:
        return None
    found = store.find(KIND, recipe.imported)
    if found is None:
        raise StoreError(f"run {store.name!r} goes on from import {recipe.imported}, which is gone; import it again")
    return found
