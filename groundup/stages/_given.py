"""The models that an adapted run was given, opened: the one it goes on from, and others that judge it or teach it."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from groundup.stages._work import Work
from groundup.stages.incoming import WEIGHTS
from groundup.stages.training import build_model

if TYPE_CHECKING:
    from groundup.models._base import Model
    from groundup.models._headed import Headed
    from groundup.tokenizer.chat import Chat
    from groundup.train.batch import Batch


def chat_of(work: Work) -> "Chat":
    """The renderer of the model that the run began with."""
    from groundup.tokenizer._base import load
    from groundup.tokenizer.chat import Chat

    return Chat(load(work.path("import")))


def opened(work: Work) -> "Model":
    """The model that the run began with."""
    return build_model(work.recipe, work.path("import"), work.path("import"), work.device)


def with_head(model: "Model", outputs: int = 1, seed: int = 0) -> "Headed":
    """The model with a new head beside that of its vocabulary."""
    from groundup.models._headed import Headed

    return Headed(model, outputs, seed)


def open_given(work: Work, kind: str, head: bool = False) -> "Model":
    """A model that the run was given besides its own, frozen; it may be of another shape."""
    from groundup.config import Folder
    from groundup.train.checkpoint import load_weights

    given = work.needs[kind]
    recipe = work.recipe.model_copy(update={"model": Folder("models").read(given.config["model"])})
    model = build_model(recipe, given.path, None, work.device)
    model = with_head(model) if head else model
    load_weights(model, given.path / WEIGHTS)
    return model.eval().requires_grad_(False)


def batched(rows: "Sequence[Batch]", size: int) -> "Iterator[Batch]":
    """The rows of preferences, so many to a batch."""
    from groundup.train.feeds.preferences import joined

    return (joined(rows[first : first + size]) for first in range(0, len(rows), size))
