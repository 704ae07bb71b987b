"""A model that gives a text a number, beside a bag of words that learned from the same texts."""

from collections.abc import Sequence
from statistics import fmean, pstdev
from typing import TYPE_CHECKING, Any

from groundup.corpus.classes import Labelled
from groundup.errors import DataError
from groundup.stages._given import batched, chat_of, with_head
from groundup.stages._measure import scored
from groundup.stages._work import Work
from groundup.stages.incoming import WEIGHTS
from groundup.stages.training import build_model

if TYPE_CHECKING:
    from numpy import ndarray

    from groundup.models._headed import Headed
    from groundup.stages.examples import Examples

ROWS = 32
"""Texts that are judged together."""


def scale_of(found: "Examples") -> tuple[float, float]:
    """Mean and standard deviation of the training part's numbers. Raises DataError where they are all one."""
    numbers = [float(item.label) for item in found.train if isinstance(item, Labelled)]
    if (spread := pstdev(numbers)) == 0:
        raise DataError("the labels are one and the same number; there is nothing to learn from them")
    return fmean(numbers), spread


def unscale(model: "Headed", found: "Examples") -> None:
    """Have the head give numbers as the labels are, no longer in deviations from their mean."""
    import torch

    mean, spread = scale_of(found)
    with torch.no_grad():
        model.score_head.weight.mul_(spread)
        model.score_head.bias.mul_(spread).add_(mean)


def number_facts(work: Work, found: "Examples") -> dict[str, Any]:
    """How much of the held-out numbers' spread is told, by the model and by a bag of words, and the mean error."""
    import numpy as np

    from groundup.eval.words import available, numbers_by_words
    from groundup.train.checkpoint import load_weights

    model = with_head(build_model(work.recipe, work.path("import"), None, work.device))
    load_weights(model, work.path("adapt") / WEIGHTS)
    train, held_out = ([item for item in part if isinstance(item, Labelled)] for part in (found.train, found.held_out))
    truth = np.array([float(item.label) for item in held_out])
    centre = scale_of(found)[0]
    about = "The share of the held-out numbers' spread that is told."
    facts = {"numbers": _told(truth, _said(work, model, held_out), centre, about)}
    if available():
        texts, numbers = [item.text for item in train], [float(item.label) for item in train]
        words = numbers_by_words(texts, numbers, [item.text for item in held_out])
        about = "The same by a bag of words that learned from the same texts (TF-IDF, ridge regression)."
        facts["numbers, by words"] = _told(truth, words, centre, about)
    return facts


def _said(work: Work, model: "Headed", items: Sequence[Labelled]) -> "ndarray":
    """(n,) what the model says of each text."""
    import numpy as np

    from groundup.tokenizer.special import PAD
    from groundup.train.feeds.preferences import PackedPreferences, label_units

    chat, context = chat_of(work), model.config.length
    units = label_units([(item.text, place) for place, item in enumerate(items)], chat, context)
    said = np.zeros(len(items))
    for batch in batched(PackedPreferences(units, context, context, chat.tokenizer.special[PAD]), ROWS):
        pooled = scored(work, model, batch, ("pooled",)).pooled
        assert pooled is not None and batch.label is not None and batch.segment_weight is not None
        judged = batch.segment_weight != 0
        said[batch.label[judged].numpy()] = pooled[..., 0].cpu()[judged].double().numpy()
    return said


def _told(truth: "ndarray", said: "ndarray", centre: float, about: str) -> dict[str, Any]:
    """The share of the squared distance from the training part's mean, and the mean error in the labels' unit."""
    import numpy as np

    from groundup.eval.interval import bootstrap

    spread = (truth - centre) ** 2
    share = bootstrap(spread - (truth - said) ** 2, spread)
    error = bootstrap(np.abs(truth - said))
    ends = {"score": share.value, "low": share.low, "high": share.high}
    return {"about": about, **ends, "chance": 0.0, "n": len(truth), "unit": "texts", "error": error.facts()}
