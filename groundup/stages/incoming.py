"""A model that was made elsewhere: brought into a new run, and found again by the stages that go on from it.

It comes from a folder of another library, or from another run of ours: then the run holds a copy of its own, and of
some of its text, so that the other run may go.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import tomli_w

from groundup.errors import StoreError
from groundup.store import Artifact, Store, runs_in

if TYPE_CHECKING:
    from groundup.formats.incoming import Incoming
    from groundup.recipe import Recipe

KIND = "import"
WEIGHTS = "weights.safetensors"
HELD_OUT, LEARNED = "held_out.json", "learned.json"
"""Lists of texts, in the artifact of a model that came from a run: none of what it learned from, and some of it."""

LEARNED_BYTES = 4_000_000
"""Of the text that is taken along, about."""


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


def take(store: Store, parent: Store, weights: Artifact, tokenizer: Path, model: Mapping[str, Any], kind: str) -> str:
    """A copy of another run's model in `store`, as an artifact of `kind`, unless it is there already; its fingerprint.

    `model` is the parent's `model` section. Raises StoreError where its weights are gone.
    """
    from groundup.config import fingerprint

    if not (weights.path / WEIGHTS).is_file():
        raise StoreError(f"run {parent.name!r}: the weights of its {weights.kind} stage are gone; make it again")
    settings = {"sha256": weights.facts["weights_sha256"], "model": dict(model)}
    print_ = fingerprint([kind, settings, (tokenizer / "tokenizer.json").read_text(encoding="utf-8")])
    if (found := store.find(kind, print_)) is not None:
        store.point(kind, found)
        return print_
    with store.publish(kind, print_, (), settings) as draft:
        for file in (weights.path / WEIGHTS, *sorted(tokenizer.glob("tokenizer*.json"))):
            shutil.copyfile(file, draft.path / file.name)
        texts = {HELD_OUT: held_out_texts(parent), LEARNED: learned_texts(parent)} if kind == KIND else {}
        for name, held in texts.items():
            (draft.path / name).write_text(json.dumps(held), encoding="utf-8")
        about = {"parameters": _parameters(parent), "weights_sha256": weights.facts["weights_sha256"]}
        draft.facts |= {"run": parent.name, "stage": weights.kind, **about}
    return print_


def held_out_texts(store: Store) -> list[str]:
    """The text that no stage of a run has learned from: of its corpus, or what its model came with."""
    from groundup.corpus import refine

    corpus = store.current().get("corpus")
    if corpus is None:
        return _came_with(store, HELD_OUT)
    return [document.text for document in refine.documents(corpus.path / "corpus", "held_out")]


def learned_texts(store: Store) -> list[str]:
    """Some of the text that a run has learned from, drawn evenly: of its corpus, or what its model came with."""
    from groundup.corpus import refine

    corpus = store.current().get("corpus")
    if corpus is None:
        return _came_with(store, LEARNED)
    stride = max(1, -(-int(corpus.facts["bytes"]) // LEARNED_BYTES))
    documents = refine.documents(corpus.path / "corpus", "train")
    return [document.text for number, document in enumerate(documents) if number % stride == 0]


def _came_with(store: Store, name: str) -> list[str]:
    """Texts that were taken along with the model that the run began with."""
    given = store.current().get(KIND)
    if given is None or not (given.path / name).is_file():
        return []
    return list(json.loads((given.path / name).read_text(encoding="utf-8")))


def _parameters(store: Store) -> int | None:
    """The parameters of a run's model, as the stage that made it said."""
    facts = store.facts()
    return next((facts[kind]["parameters"] for kind in ("pretrain", KIND) if kind in facts), None)
