"""A model that tells classes apart, beside a bag of words that learned from the same texts."""

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from groundup.corpus.classes import Labelled
from groundup.stages._given import batched, chat_of, with_head
from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.adapt import learn
from groundup.stages.examples import Examples, adapting, read_examples, share_of
from groundup.stages.incoming import WEIGHTS
from groundup.stages.training import build_model
from groundup.store import Draft

if TYPE_CHECKING:
    from groundup.models._base import Model

ROWS = 32
"""Texts that are judged together."""

Told = tuple[str, str, str | None]
"""The label of a text, what the model says, and what the bag of words says where it was asked."""


def folds(work: Work) -> None:
    """Judge every text by a model that has not learned from it: as many models as there are folds.

    Each learns for as many steps as the run's own. A fold that is done outlives a kill.
    """
    settings, found = adapting(work.recipe), read_examples(work.recipe)
    steps = work.needs["adapt"].facts["steps"]
    told: list[Told] = []
    for fold in range(settings.folds):
        kept = work.scratch / f"fold-{fold}.json"
        if not kept.is_file():
            place = work.scratch / f"fold-{fold}"
            (place / "draft").mkdir(parents=True, exist_ok=True)
            inner = replace(
                work,
                name="adapt",
                fingerprint=f"{work.fingerprint}-{fold}",
                scratch=place,
                draft=Draft(place / "draft"),
            )
            apart = _apart(work, found, fold, settings.folds)
            model, _ = learn(inner, settings.model_copy(update={"steps": steps}), apart)
            kept.write_text(json.dumps(_told(work, model, apart)), encoding="utf-8")
        told += [(label, ours, words) for label, ours, words in json.loads(kept.read_text(encoding="utf-8"))]
    about = f"Each text by a model that learned from the other folds, of {settings.folds}."
    work.draft.facts["tasks"] = _scores(told, f"classes, {settings.folds} folds", about)


def class_facts(work: Work, found: Examples) -> dict[str, Any]:
    """The share of held-out texts whose class is told, by the model and by a bag of words."""
    from groundup.train.checkpoint import load_weights

    model = with_head(build_model(work.recipe, work.path("import"), None, work.device), len(found.classes))
    load_weights(model, work.path("adapt") / WEIGHTS)
    return _scores(_told(work, model, found), "classes", "Held-out texts whose class is told.")


def _apart(work: Work, found: Examples, fold: int, n: int) -> Examples:
    """The examples with one fold held out. What stands in it depends on the texts and the seed alone."""
    items = (*found.train, *found.held_out)
    seed = work.recipe.seed + adapting(work.recipe).seed
    out = [int(share_of(item, seed) * n) == fold for item in items]
    return replace(
        found,
        train=tuple(item for item, held in zip(items, out, strict=True) if not held),
        held_out=tuple(item for item, held in zip(items, out, strict=True) if held),
    )


def _told(work: Work, model: "Model", found: Examples) -> list[Told]:
    """What the model and a bag of words say of the held-out texts."""
    import torch

    from groundup.eval.words import Words, available
    from groundup.tokenizer.special import PAD
    from groundup.train.feeds.preferences import PackedPreferences, label_units

    chat, context, classes = chat_of(work), model.config.length, found.classes
    train, held_out = ([item for item in part if isinstance(item, Labelled)] for part in (found.train, found.held_out))
    units = label_units([(item.text, number) for number, item in enumerate(held_out)], chat, context)
    said: dict[int, str] = {}
    for batch in batched(PackedPreferences(units, context, context, chat.tokenizer.special[PAD]), ROWS):
        scores = scored(work, model, batch, ("pooled",))
        assert scores.pooled is not None and batch.label is not None and batch.segment_weight is not None
        judged = batch.segment_weight != 0
        with torch.inference_mode():
            chosen = scores.pooled.cpu()[judged].argmax(-1)
        said |= {int(place): classes[int(best)] for place, best in zip(batch.label[judged], chosen, strict=True)}
    words: Sequence[str | None] = [None] * len(held_out)
    if available():
        words = Words([item.text for item in train], [item.label for item in train]).predict(
            [item.text for item in held_out]
        )
    return [(item.label, said[number], words[number]) for number, item in enumerate(held_out)]


def _scores(told: Sequence[Told], name: str, about: str) -> dict[str, Any]:
    """The share of right answers of both; chance is to say the class that is most frequent."""
    from groundup.eval.interval import wilson

    most = Counter(label for label, *_ in told).most_common(1)[0][1] / len(told)
    facts = {}
    ways = [(name, about, [ours for _, ours, _ in told])]
    if told[0][2] is not None:
        what = "The same by a bag of words that learned from the same texts (TF-IDF, logistic regression)."
        ways.append((f"{name}, by words", what, [str(words) for *_, words in told]))
    for label, meant, said in ways:
        right = wilson(sum(one == other for (one, *_), other in zip(told, said, strict=True)), len(told))
        ends = {"score": right.value, "low": right.low, "high": right.high}
        facts[label] = {"about": meant, **ends, "chance": most, "n": len(told), "unit": "texts"}
    return facts
